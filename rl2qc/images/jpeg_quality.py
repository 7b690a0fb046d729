"""The quality that a JPEG was saved with, by its tables, and how its colours are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

__all__ = ["jpeg_quality", "quality_of", "subsampling_of"]

# The standard table of brightness (ITU T.81, Annex K.1), row by row.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    float,
).reshape(-1)


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> int:
    """The quality, 1 to 100, whose table of brightness is nearest; 0 without tables.

    Encoders other than libjpeg's have tables of their own: of these it is the quality of about as
    much loss.

    Parameters
    ----------
    tables
        64 steps each, as Pillow gives them (row by row).

    References
    ----------
    ITU-T T.81, Annex K; the scaling by quality is that of the Independent JPEG Group.

    Examples
    --------
    >>> jpeg_quality({0: [1] * 64})
    100
    """
    if 0 not in tables or len(tables[0]) != 64:
        return 0
    # The order of a table does not matter to its sum.
    steps = np.sort(np.asarray(tables[0], float))
    qualities = np.arange(1, 101)
    scale = np.where(qualities < 50, 5000 / qualities, 200 - 2 * qualities)
    known = np.clip(np.floor((np.sort(_LUMINANCE)[None] * scale[:, None] + 50) / 100), 1, 255)
    return int(qualities[np.abs(known - steps).sum(axis=1).argmin()])


_SAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


def quality_of(image: Image.Image) -> int:
    """:func:`jpeg_quality` of an open picture; 0 of one that is no JPEG."""
    return jpeg_quality(image.quantization) if isinstance(image, JpegImageFile) else 0


def subsampling_of(image: Image.Image) -> str:
    """How an open JPEG of three channels stores its colours, such as "4:2:0"; else "".

    Examples
    --------
    >>> subsampling_of(Image.new("RGB", (8, 8)))
    ''
    """
    if not isinstance(image, JpegImageFile) or len(image.getbands()) != 3:
        return ""
    return _SAMPLINGS.get(get_sampling(image), "")

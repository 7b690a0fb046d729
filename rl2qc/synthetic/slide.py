"""A procedural slide with artifacts in known places, and a pyramidal TIFF of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.files import atomic_path
from rl2qc.synthetic.corruptions import CORRUPTIONS
from rl2qc.synthetic.tissue import Stain, synthetic_tissue

__all__ = ["SyntheticSlide", "synthetic_slide", "write_pyramid"]

# Artifact: (top, left, height, width) of the region that it may reach, as shares of the slide,
# and the share of that region that it covers.
_PLACES: Mapping[str, tuple[tuple[float, float, float, float], float]] = {
    "fold": ((0.0, 0.0, 1.0, 1.0), 0.045),
    "out_of_focus": ((0.10, 0.10, 0.36, 0.23), 1.0),
    "ink": ((0.35, 0.55, 0.60, 0.42), 0.24),
    "bubble": ((0.46, 0.04, 0.50, 0.36), 0.30),
}


@dataclass(frozen=True, eq=False)
class SyntheticSlide:
    """Pixels of a slide and the truth about its artifacts.

    Attributes
    ----------
    rgb : (h, w, 3) uint8
    masks
        (h, w) bool for each artifact by name: damaged tissue, not the glass beside it. Empty
        for a clean slide.
    mpp
        Micrometres per pixel.
    """

    rgb: NDArray[np.uint8]
    masks: Mapping[str, NDArray[np.bool_]]
    mpp: float

    def shares(self, x: ArrayLike, y: ArrayLike, side: int) -> dict[str, NDArray[np.float64]]:
        """Share of each tile's pixels that are tissue under each artifact.

        Parameters
        ----------
        x, y : (n,) int
            Top left corners of the tiles in pixels; the tiles lie on the slide.
        side
            Side of the tiles in pixels.

        Returns
        -------
        dict of (n,) float64 in [0, 1]
        """
        left, top = np.asarray(x, np.int64), np.asarray(y, np.int64)
        right, bottom = left + side, top + side
        shares = {}
        for name, mask in self.masks.items():
            area = cv2.integral(mask.astype(np.uint8), sdepth=cv2.CV_64F)
            inside = area[bottom, right] - area[top, right] - area[bottom, left] + area[top, left]
            shares[name] = inside / side**2
        return shares


def synthetic_slide(
    rng: np.random.Generator,
    *,
    height: int = 2048,
    width: int = 3072,
    mpp: float = 0.5,
    stain: Stain | None = None,
    damaged: bool = True,
) -> SyntheticSlide:
    """Draw a piece of tissue on glass; if ``damaged``, with one artifact of each kind.

    Parameters
    ----------
    rng
        Source of every random choice.
    height, width, mpp, stain
        As for :func:`rl2qc.synthetic.tissue.synthetic_tissue`.
    damaged
        Add a fold across the slide, a field out of focus, ink and an air bubble.

    Examples
    --------
    >>> slide = synthetic_slide(np.random.default_rng(0), height=128, width=192, mpp=4.0)
    >>> sorted(slide.masks)
    ['bubble', 'fold', 'ink', 'out_of_focus']
    >>> 0 < slide.shares([0], [0], 128)["out_of_focus"].item() < 0.3
    True
    """
    # Streams of their own, so that the same artifacts can be put on other tissue.
    for_tissue, for_artifacts = rng.spawn(2)
    rgb = synthetic_tissue(height, width, for_tissue, mpp=mpp, stain=stain, island=True)
    # Averaged, so that an empty lumen counts as tissue.
    tissue = cv2.blur(rgb.min(2), (65, 65)) < 232
    masks: dict[str, NDArray[np.bool_]] = {}
    for name, (place, severity) in _PLACES.items() if damaged else ():
        top, left, h, w = np.rint(np.array(place) * (height, width, height, width)).astype(int)
        region = np.s_[top : top + h, left : left + w]
        rgb[region], mask = CORRUPTIONS.get(name).damage(rgb[region], severity, for_artifacts)
        masks[name] = np.zeros((height, width), np.bool_)
        masks[name][region] = mask & tissue[region]
    return SyntheticSlide(rgb, masks, mpp)


def write_pyramid(path: str | Path, rgb: NDArray[np.uint8], mpp: float, levels: int = 3) -> None:
    """Write a tiled pyramidal TIFF that OpenSlide reads, resolution included.

    Parameters
    ----------
    path
        File to write.
    rgb : (h, w, 3) uint8
        Level 0; each further level has half the side of the one before.
    mpp
        Micrometres per pixel of level 0.
    levels
        Number of levels.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "slide.tiff"
    >>> write_pyramid(path, np.full((512, 768, 3), 240, np.uint8), mpp=0.5)
    >>> import openslide
    >>> with openslide.OpenSlide(path) as slide:
    ...     slide.level_dimensions, slide.properties["openslide.mpp-x"]
    (((768, 512), (384, 256), (192, 128)), '0.5')
    """
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary) as tiff:
        for level in range(levels):
            if level:
                size = (rgb.shape[1] // 2, rgb.shape[0] // 2)
                rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
            per_centimetre = 1e4 / (mpp * 2**level)
            tiff.write(
                rgb,
                tile=(256, 256),
                photometric="rgb",
                compression="deflate",
                compressionargs={"level": 1},
                resolution=(per_centimetre, per_centimetre),
                resolutionunit="CENTIMETER",
                subfiletype=1 if level else 0,
                metadata=None,
            )

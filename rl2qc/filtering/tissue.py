"""Where the tissue of a slide is: the one place that the filter asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl2qc.images.colours import odd_colours
from rl2qc.images.patch_tissue import tissue_mask
from rl2qc.slides.readers.base import Overview

__all__ = ["SlideTissue", "find_tissue"]


@dataclass(frozen=True)
class SlideTissue:
    """The tissue of a slide, on its overview.

    Attributes
    ----------
    mask
        (h, w) bool, tissue and what could not be read.
    threshold
        Absorbed share of light above which a pixel is tissue.
    coverage
        Share of the scanned area that is tissue.
    odd_colours
        What is wrong with the colours (:func:`rl2qc.images.colours.odd_colours`), "" if nothing.
    """

    mask: NDArray[np.bool_]
    threshold: float
    coverage: float
    odd_colours: str


def find_tissue(overview: Overview) -> SlideTissue:
    """Find the tissue on an overview of a slide.

    Examples
    --------
    >>> rgb = np.full((8, 8, 3), 240, np.uint8)
    >>> rgb[:4] = (180, 90, 150)
    >>> whole = np.ones((8, 8))
    >>> find_tissue(Overview(rgb, whole.astype(np.float32), whole > 0, (1.0, 1.0))).coverage
    0.5
    """
    shown = (overview.valid >= 0.5) & overview.readable
    found = tissue_mask(overview.rgb, shown)
    # What the overview could not show may be tissue: its tiles are tried one by one.
    mask = found.mask | ~overview.readable
    return SlideTissue(mask, found.threshold, found.coverage, odd_colours(overview.rgb, shown))

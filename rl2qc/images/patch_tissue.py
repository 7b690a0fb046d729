"""Tissue against glass on a picture that need not show any glass, such as a patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["BLACK", "TissueMask", "otsu_threshold", "tissue_mask"]

# Scanners fill what they did not scan with pure black; compression moves it by a few grey levels.
BLACK = 5
# The absorbed share of light between which a patch's threshold may lie. Below, it is noise, dust
# and uneven light; above, it is tissue whatever the stain. The bounds decide on pictures that hold
# only glass or only tissue, where Otsu's threshold splits a single class in two.
_THRESHOLDS = (0.06, 0.10)
# Glass: at least this bright in every channel (of 255), and at most this far from grey.
_GLASS_BRIGHTNESS, _GLASS_CHROMA = 205, 12
# Glass that covers less than this share of the picture cannot be told from pale tissue.
_GLASS_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Where the tissue is.

    Attributes
    ----------
    mask
        (h, w) bool.
    threshold
        Share of light absorbed in the darkest channel above which a pixel is tissue.
    glass
        Colour of the empty glass that light is compared with, RGB in 0 ... 255.
    coverage
        Share of the scanned pixels that is tissue, in [0, 1].
    """

    mask: NDArray[np.bool_]
    threshold: float
    glass: tuple[float, float, float]
    coverage: float


def tissue_mask(rgb: NDArray[np.uint8], scanned: NDArray[np.bool_] | None = None) -> TissueMask:
    """Find what absorbs light, whatever its colour.

    A pixel's absorption is that of its darkest channel relative to the glass of the same slide,
    1 - min_c I_c / G_c. Haematoxylin, eosin, DAB, ink and folds all absorb in one channel at
    least, so no stain is preferred and artifacts stay in: to judge them is the model's task.
    The threshold is Otsu's [1]_, held within fixed bounds.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8, a slide at a few microns per pixel.
    scanned
        (h, w) bool; the other pixels are no tissue and do not count.

    References
    ----------
    .. [1] Otsu, "A threshold selection method from gray-level histograms", IEEE Trans. SMC, 1979.

    Examples
    --------
    >>> picture = np.full((8, 8, 3), 240, np.uint8)
    >>> picture[:4] = (180, 90, 150)
    >>> found = tissue_mask(picture)
    >>> found.mask[:4].all(), found.mask[4:].any(), found.coverage
    (np.True_, np.False_, 0.5)
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb must be (h, w, 3) uint8, got {rgb.shape} {rgb.dtype}")
    counted = rgb.max(axis=2) > BLACK
    if scanned is not None:
        counted &= scanned
    glass = _glass(rgb, counted)
    if not counted.any():
        return TissueMask(np.zeros(rgb.shape[:2], np.bool_), _THRESHOLDS[0], glass, 0.0)
    absorbed = 1 - (rgb / np.asarray(glass, np.float32)).min(axis=2)
    absorbed = absorbed.clip(0, 1).astype(np.float32)
    threshold = float(np.clip(otsu_threshold(absorbed[counted]), *_THRESHOLDS))
    mask = _majority(absorbed > threshold, counted) & counted
    return TissueMask(mask, threshold, glass, float(mask.sum() / counted.sum()))


def otsu_threshold(values: NDArray[np.floating], bins: int = 256) -> float:
    """The threshold in [0, 1] that maximises the variance between the two classes it makes.

    Examples
    --------
    >>> 0.1 < otsu_threshold(np.array([0.1, 0.1, 0.8, 0.9])) < 0.8
    True
    """
    counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums[:-1] / below - (sums[-1] - sums[:-1]) / above
        between = np.nan_to_num(below * above * gap**2)
    # Between two well separated classes every threshold is as good: take the middle one.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1:-1][best].mean())


def _glass(rgb: NDArray[np.uint8], counted: NDArray[np.bool_]) -> tuple[float, float, float]:
    """The colour of empty glass; white where the picture shows too little of it."""
    darkest, brightest = rgb.min(axis=2), rgb.max(axis=2)
    pale = counted & (darkest >= _GLASS_BRIGHTNESS) & (brightest - darkest <= _GLASS_CHROMA)
    # Pure white is what was masked or not scanned, and says nothing about the glass beside it.
    tinted = pale & (darkest < 254)
    for candidates in (tinted, pale):
        if candidates.sum() > _GLASS_SHARE * max(1, counted.sum()):
            # The brighter ones, since pale tissue is among them.
            light = darkest[candidates]
            chosen = rgb[candidates][light >= np.quantile(light, 0.75)]
            red, green, blue = (float(c) for c in np.median(chosen, axis=0))
            return red, green, blue
    return 255.0, 255.0, 255.0


def _majority(mask: NDArray[np.bool_], counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What most of the 3 x 3 neighbours that count say: single noisy pixels are no tissue.

    Parameters
    ----------
    mask, counted
        (h, w) bool.
    """
    votes = ndimage.uniform_filter((mask & counted).astype(np.float32), 3, mode="nearest")
    voters = ndimage.uniform_filter(counted.astype(np.float32), 3, mode="nearest")
    # The small number keeps ties, which rounding would decide, at "no".
    most: NDArray[np.bool_] = votes > voters / 2 + 1e-4
    return most

"""Tissue against glass on the overview of a slide."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.images.components import Components, closed, distances, highest, local_mean, lowest
from rl2qc.images.glass import Glass, find_glass
from rl2qc.images.marks import Absorption, without_marks
from rl2qc.images.patch_tissue import BLACK
from rl2qc.images.printed_grid import without_grid

__all__ = ["Tissue", "find_tissue"]

Mask = NDArray[np.bool_]

# Side in px of the picture on which tissue is sought; a larger one is reduced.
_SIDE = 1024
# Micrometres per pixel where none are known: 16 px of the mask along a tile of 224 px at 0.5.
_MPP = 7.0
# Area in um2 of the smallest piece of tissue, and of the largest hole that belongs to it: a fat
# cell or a gland's lumen.
_SMALLEST, _HOLE = 40.0**2, 110.0**2
# No piece as large as this share of the picture is too small.
_LARGE = 0.02
# Clefts narrower than this many px are of the tissue, too.
_CLEFT = 5
# Optical densities: tissue absorbs more than this share of what is around it, within the bounds;
# the lower one follows what 99 % of the glass stay below.
_SHARE, _LOWEST, _LOWEST_DIRTY, _HIGHEST = 0.4, 0.02, 0.06, 0.105
_AROUND = 31
# Share of the glass that scattered faint spots may cover before the lower bound follows them.
_DIRT = 0.004
# Pale: less absorbed than this, as a mean. Pale pieces are tissue if they are as large as this
# share of the picture and so many of the smallest pieces, wider than a line, and textured.
_PALE, _PALE_SHARE, _PALE_PIECES, _PALE_RADIUS, _PALE_TEXTURE = 0.10, 0.0025, 10, 6, 1.25
# The rim of what is out of focus, in px: details below a share of the contrast, and less dense than
# a share of what is around, which is about half of the inside.
_RIM_WIDTH, _RIM_TEXTURE, _RIM = 14, 0.04, 0.7
# Warned of: shares of the tissue.
_MUCH_PALE, _MUCH_MISSED = 0.1, 0.8
# Share of white light that tissue absorbs where no glass is seen.
_NOT_WHITE = 0.07
_ADVICE = "look at the overview, or give a mask of your own"


@dataclass(frozen=True, eq=False)
class Tissue:
    """The tissue on the overview of a slide.

    Attributes
    ----------
    mask
        (h, w) bool.
    thresholds
        Lowest and highest share of light, absorbed in the channel that absorbs most, above which
        pixels are tissue: pale sections have their own. Zeros where light did not decide.
    glass
        Colour of the empty glass, RGB in 0 ... 255.
    share
        Share of the scanned pixels that is tissue, in [0, 1].
    warnings
        What makes the result doubtful.
    """

    mask: Mask
    thresholds: tuple[float, float]
    glass: tuple[float, float, float]
    share: float
    warnings: tuple[str, ...] = ()


def find_tissue(
    rgb: NDArray[np.uint8],
    scanned: Mask | None = None,
    *,
    mask: Mask | None = None,
    mpp: float = _MPP,
) -> Tissue:
    """Find the tissue on an overview, on glass of any tint.

    Even areas are not tissue: glass, frames, filled areas. What absorbs light compared with the
    glass around it is, whatever the stain, if it absorbs 0.4 times what its surroundings do; so
    a pale section beside a dark one has a threshold of its own. Pens, lines, shadows and dust on
    glass are left out; on tissue they stay, to be judged by the model. Gaps as small as a fat cell
    belong to the tissue.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8, a slide at some microns per pixel.
    scanned
        (h, w) bool; the other pixels are no tissue and do not count.
    mask
        (h, w) bool, tissue by the user's own account, taken as it is; it is only compared.
    mpp
        Microns per pixel.

    Raises
    ------
    ValueError
        Arrays of other shapes or types.

    Examples
    --------
    >>> from rl2qc.synthetic.backgrounds import draw_background
    >>> drawn = draw_background("yellow glass")
    >>> found = find_tissue(drawn.rgb)
    >>> bool((found.mask == drawn.truth).mean() > 0.98), found.warnings
    (True, ())
    """
    _check(rgb, scanned, mask)
    counted = highest(rgb) > BLACK
    if scanned is not None:
        counted &= scanned
    found = _found(rgb, counted, mpp)
    warnings = list(found.warnings)
    if mask is not None:
        # What is black may be tissue if somebody says so.
        counted = np.ones_like(mask) if scanned is None else scanned
        found, warnings = _given(mask & counted, found)
    share = float(found.mask.sum() / max(1, counted.sum()))
    return Tissue(found.mask, found.thresholds, found.glass, share, tuple(warnings))


def _check(rgb: NDArray[np.uint8], *masks: Mask | None) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb must be (h, w, 3) uint8, got {rgb.shape} {rgb.dtype}")
    for mask in masks:
        if mask is not None and (mask.shape != rgb.shape[:2] or mask.dtype != np.bool_):
            raise ValueError(
                f"a mask of {rgb.shape[:2]} must be bool, got {mask.shape} {mask.dtype}"
            )


def _given(mask: Mask, found: Tissue) -> tuple[Tissue, list[str]]:
    """The user's mask in place of what was found, and what is odd about it."""
    warnings = [] if mask.any() else ["the mask given holds no tissue"]
    missed = (found.mask & ~mask).sum() / max(1, found.mask.sum())
    if mask.any() and missed > _MUCH_MISSED:
        warnings.append(
            f"the mask given leaves out {missed:.0%} of what looks like tissue: "
            "is it inverted, or another slide's?"
        )
    return Tissue(mask, (0.0, 0.0), found.glass, found.share), warnings


def _found(rgb: NDArray[np.uint8], counted: Mask, mpp: float) -> Tissue:
    """Tissue on a picture of any size; a share is not counted."""
    h, w = rgb.shape[:2]
    factor = -(-max(h, w) // _SIDE)
    if factor == 1:
        return _sought(rgb, counted, mpp)
    size = (-(-w // factor), -(-h // factor))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    shown = cv2.resize(counted.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    found = _sought(small, shown, mpp * factor)
    mask = cv2.resize(found.mask.astype(np.float32), (w, h)) > 0.5
    return Tissue(mask & counted, found.thresholds, found.glass, 0.0, found.warnings)


def _sought(rgb: NDArray[np.uint8], counted: Mask, mpp: float) -> Tissue:
    rgb = without_grid(rgb, counted)
    glass = find_glass(rgb, counted)
    if glass is None:
        warnings = (f"no empty glass is seen: all that is not white counts as tissue; {_ADVICE}",)
        coloured = cv2.blur(lowest(rgb).astype(np.float32), (3, 3)) < (1 - _NOT_WHITE) * 255
        mask = _without_holes(coloured & counted, counted, mpp)
        share = (_NOT_WHITE, _NOT_WHITE)
        return Tissue(mask, share, (255.0,) * 3, 0.0, warnings if counted.any() else ())
    if glass.dark:
        return _on_dark(rgb, counted, glass, mpp)
    seen = Absorption.of(rgb, glass, counted)
    thresholds, candidates = _thresholds(seen, glass, counted, mpp)
    mask = _above(seen, thresholds, counted, counted & ~glass.empty)
    mask &= ~_soft_rim(mask, candidates, seen)
    smallest = _smallest(counted, mpp)
    mask = _pieces(without_marks(mask, seen, smallest), seen, int(counted.sum()), smallest)
    mask = _without_holes(closed(mask, _CLEFT) & counted, counted, mpp, candidates)
    used = thresholds[mask] if mask.any() else thresholds
    low, high = (float(1 - np.exp(-t)) for t in (used.min(), used.max()))
    return Tissue(mask, (low, high), glass.colour, 0.0, _doubts(mask, seen, glass))


def _thresholds(
    seen: Absorption, glass: Glass, counted: Mask, mpp: float
) -> tuple[NDArray[np.float32], Mask]:
    """(h, w) optical density above which a pixel is tissue, and all that may be."""
    strongest, lowest = seen.strongest, _LOWEST_DIRTY
    if glass.clear.any():
        noise = 1.3 * float(np.quantile(strongest[glass.clear], 0.99))
        lowest = float(np.clip(noise, _LOWEST, _LOWEST_DIRTY))
    open_to = counted & ~glass.empty
    candidates = (strongest > lowest) & open_to
    parts = Components.of(candidates, closed(candidates, 15))
    specks = (parts.area < _PALE_SHARE * counted.sum()) & (parts.means(strongest) < _PALE)
    dirt = parts.pick(specks & ~seen.is_neutral(parts))
    if dirt.sum() > _DIRT * glass.clear.sum():
        lowest = max(lowest, min(_LOWEST_DIRTY, 1.2 * float(np.quantile(strongest[dirt], 0.75))))
        candidates = (strongest > lowest) & open_to
    around = local_mean(strongest, candidates, _AROUND)
    return np.clip(_SHARE * around, lowest, _HIGHEST), candidates


def _above(seen: Absorption, thresholds: NDArray[np.float32], counted: Mask, open_to: Mask) -> Mask:
    """What absorbs more: of dark tissue its sharp outline, of pale tissue what noise leaves."""
    votes = cv2.blur(((seen.sharp > thresholds) & open_to).astype(np.float32), (3, 3))
    sharp = votes > cv2.blur(counted.astype(np.float32), (3, 3)) / 2 + 1e-4
    dark = thresholds > 0.95 * _HIGHEST
    return np.asarray(np.where(dark, sharp, seen.strongest > thresholds) & open_to, np.bool_)


def _soft_rim(mask: Mask, candidates: Mask, seen: Absorption) -> Mask:
    """The rim of tissue out of focus, where light falls off slowly: its outer half."""
    around = local_mean(seen.strongest, candidates, _AROUND)
    contrast = np.minimum(around, 0.8) * seen.brightness
    texture = local_mean(seen.texture, candidates, _AROUND)
    detail = np.sqrt(np.maximum(texture**2 - (1.1 * seen.plain) ** 2, 0))
    soft = (detail < _RIM_TEXTURE * contrast) & (seen.strongest < _RIM * around)
    return np.asarray(mask & soft & (distances(mask) <= _RIM_WIDTH), np.bool_)


def _smallest(counted: Mask, mpp: float) -> float:
    """Area in px of the smallest piece of tissue."""
    return float(min(_SMALLEST / mpp**2, _LARGE * counted.sum()))


def _pieces(mask: Mask, seen: Absorption, counted: int, smallest: float) -> Mask:
    """Pieces that are large enough, and pale ones that cannot be anything else."""
    parts = Components.of(mask, closed(mask, 7))
    area, neutral = parts.area, seen.is_neutral(parts)
    texture = parts.means(seen.texture) / seen.plain
    odd = (area < smallest) | (neutral & (area < 4 * smallest))
    faint = area < max(_PALE_PIECES * smallest, _PALE_SHARE * counted)
    faint |= (texture < _PALE_TEXTURE) | (neutral & (texture < 3))
    faint |= parts.radii() < _PALE_RADIUS
    odd |= (parts.means(seen.strongest) < _PALE) & faint
    return mask & ~parts.pick(odd)


def _without_holes(mask: Mask, counted: Mask, mpp: float, candidates: Mask | None = None) -> Mask:
    """``mask`` with its small holes, and those in which more than glass is seen."""
    count, labels = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)
    holes = Components(np.asarray(labels, np.int32), int(count))
    filled = holes.area < _HOLE / mpp**2
    # What reaches the picture's edge may go on beyond it.
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        filled[edge] = False
    if candidates is not None:
        filled |= holes.means(candidates) > 0.6
    return mask | (holes.pick(filled) & counted)


def _on_dark(rgb: NDArray[np.uint8], counted: Mask, glass: Glass, mpp: float) -> Tissue:
    """Tissue on a background that is darker: what is brighter than a third of the way to it."""
    light = cv2.transform(rgb.astype(np.float32), np.full((1, 3), 1 / 3))
    ground, bright = float(np.mean(glass.colour)), counted & ~glass.empty
    bright &= light > ground + 0.3 * (float(np.median(light[bright])) - ground)
    parts = Components.of(bright)
    mask = _without_holes(parts.pick(parts.area >= _smallest(counted, mpp)), counted, mpp)
    said = f"the background is dark: all that is brighter counts as tissue; {_ADVICE}"
    return Tissue(mask, (0.0, 0.0), glass.colour, 0.0, (said,))


def _doubts(mask: Mask, seen: Absorption, glass: Glass) -> tuple[str, ...]:
    red, green, blue = (round(c) for c in glass.colour)
    if not mask.any():
        return (f"no tissue is seen, only glass of RGB {red}, {green}, {blue}: {_ADVICE}",)
    around = local_mean(seen.strongest, mask, _AROUND)
    pale = float((around[mask] < _PALE).mean())
    if pale <= _MUCH_PALE:
        return ()
    return (
        f"{pale:.0%} of the tissue absorbs hardly any light, and more may be missed: {_ADVICE}",
    )

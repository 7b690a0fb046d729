"""Where the tissue of a slide is: the one place that the filter asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.images import tissue as images
from rl2qc.images.colours import odd_colours
from rl2qc.images.components import highest
from rl2qc.images.patch_tissue import BLACK, tissue_mask
from rl2qc.images.tissue import Tissue
from rl2qc.images.tissue_masks import Frame, find_mask, read_mask
from rl2qc.slides.files import slide_name
from rl2qc.slides.info import SlideInfo
from rl2qc.slides.readers.base import Overview
from rl2qc.slides.tiling import share_beyond

__all__ = [
    "RULES",
    "SlideTissue",
    "edge_warnings",
    "find_tissue",
    "mask_names",
    "mask_of",
    "rule_of",
]

Mask: TypeAlias = NDArray[np.bool_]

# Share of the slide.
_MUCH_BLACK = 0.02
# Of the tissue, what may lie where no tile fits without a word.
_MUCH_BEYOND = 0.001


@dataclass(frozen=True)
class SlideTissue:
    """The tissue of a slide, on its overview.

    Attributes
    ----------
    mask
        (h, w) bool, tissue and what could not be read.
    threshold
        Absorbed share of light above which a pixel is tissue; pale sections have a lower one. None
        where light did not decide.
    coverage
        Share of the scanned area that is tissue.
    source
        How it was found: a word of :data:`RULES`, or a file and what it was taken for.
    odd_colours
        What is wrong with the colours (:func:`rl2qc.images.colours.odd_colours`), "" if nothing.
    warnings
        What makes the mask doubtful.
    """

    mask: Mask
    threshold: float | None
    coverage: float
    source: str
    odd_colours: str
    warnings: tuple[str, ...] = ()


def find_tissue(
    overview: Overview, info: SlideInfo, place: str | Path | None = None
) -> SlideTissue:
    """Find the tissue on an overview of a slide.

    Parameters
    ----------
    overview
        The scanned part of the slide.
    info
        What the slide says about itself.
    place
        A word of :data:`RULES` (auto without one), or the file of a mask
        (:mod:`rl2qc.images.tissue_masks`).

    Raises
    ------
    ImageError
        A mask that cannot be read, that is none, or of another slide's shape.

    Examples
    --------
    >>> rgb = np.full((32, 32, 3), 240, np.uint8)
    >>> rgb[:16] = (180, 90, 150)
    >>> whole = np.ones((32, 32))
    >>> info = SlideInfo("", (512, 512), ((512, 512),), (1.0,), 0.5, "", (0, 0, 512, 512))
    >>> overview = Overview(rgb, whole.astype(np.float32), whole > 0, (16.0, 16.0))
    >>> [round(find_tissue(overview, info, place).coverage, 1) for place in ("auto", "none")]
    [0.5, 1.0]
    """
    shown = (overview.valid >= 0.5) & overview.readable
    mpp = info.mpp * max(overview.downsample)
    source, own, said = rule_of(place), None, tuple[str, ...]()
    if place is None or source in RULES:
        found = RULES[source](overview.rgb, shown, mpp)
    else:
        shape = (overview.rgb.shape[0], overview.rgb.shape[1])
        read = read_mask(place, Frame(info.own.dimensions, info.own.bounds, shape))
        own, said, source = read.mask, read.warnings, f"{Path(place).name} ({read.kind})"
        found = images.find_tissue(overview.rgb, shown, mask=own, mpp=mpp)
    # What the overview could not show may be tissue: its tiles are tried one by one.
    mask = found.mask | (~overview.readable if own is None else ~overview.readable & own)
    odd = odd_colours(overview.rgb, shown)
    threshold = found.thresholds[1] or None
    warnings = (*said, *found.warnings, *_about_black(overview.rgb, shown))
    return SlideTissue(mask, threshold, found.share, source, odd, warnings)


def _about_black(rgb: NDArray[np.uint8], shown: Mask) -> list[str]:
    black = float((shown & (highest(rgb) <= BLACK)).mean())
    if black <= _MUCH_BLACK:
        return []
    return [f"{black:.0%} of the slide is black, as what was not scanned or a file cut short"]


def _by_glass(rgb: NDArray[np.uint8], shown: Mask, mpp: float) -> Tissue:
    return images.find_tissue(rgb, shown, mpp=mpp)


def _everything(rgb: NDArray[np.uint8], shown: Mask, mpp: float) -> Tissue:
    return Tissue(shown, (0.0, 0.0), (255.0,) * 3, float(shown.any()))


def _one_threshold(rgb: NDArray[np.uint8], shown: Mask, mpp: float) -> Tissue:
    found = tissue_mask(rgb, shown)
    return Tissue(found.mask, (found.threshold,) * 2, found.glass, found.coverage)


RULES: Mapping[str, Callable[[NDArray[np.uint8], Mask, float], Tissue]] = {
    "auto": _by_glass,
    "none": _everything,
    "otsu": _one_threshold,
}
"""How tissue is found without a mask, by the word that asks for it: compared with the glass around
it; all that was scanned; by one threshold for the whole slide, as results of before were made."""


def mask_of(place: str | Path | None, slide: Path) -> str | Path:
    """The mask of one slide: a word of :data:`RULES` as text, or a file as a path.

    Parameters
    ----------
    place
        A word (auto without one), a file, or a folder of masks.
    slide
        The slide, which masks are called after.

    Raises
    ------
    UsageError
        There is no mask of it, or more than one.

    Examples
    --------
    >>> mask_of("none", Path("a.svs"))
    'none'
    """
    if place is None or str(place) in RULES:
        return rule_of(place)
    return find_mask(place, mask_names(slide))


def rule_of(place: str | Path | None) -> str:
    """The word of :data:`RULES` (auto without one), or "given" for a mask or what a record says
    of one."""
    if place is None:
        return "auto"
    return str(place) if str(place) in RULES else "given"


def mask_names(slide: Path) -> list[str]:
    """What masks of a slide are called after: its file's name, and that without the suffix."""
    return [slide.name, slide_name(slide)]


def edge_warnings(
    mask: NDArray[np.bool_],
    corners: NDArray[np.int64],
    side: int,
    info: SlideInfo,
    overview: Overview,
) -> list[str]:
    """How much tissue no tile of the grid can reach."""
    beyond = share_beyond(
        mask, corners, side, origin=info.bounds[:2], downsample=overview.downsample
    )
    if not len(corners) or beyond < _MUCH_BEYOND:
        return []
    return [
        f"{beyond:.1%} of the tissue is not judged: it lies at the right or bottom edge, where no "
        "whole tile fits: --edges shift judges it"
    ]

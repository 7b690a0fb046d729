"""Tiles drawn from slides, for a reference that nobody has sorted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.progress import Progress, track
from rl2qc.errors import Rl2qcError, UsageError
from rl2qc.images.tissue import find_tissue
from rl2qc.slides.info import MPP_ADVICE
from rl2qc.slides.readers.base import open_slide
from rl2qc.slides.tiling import plan_reading, tile_grid, tissue_fractions

__all__ = ["DrawnTiles", "NamedSlide", "draw_tiles"]

# Tiles in all, unless --max-patches says otherwise, and the share of tissue that each has.
_MOST, _MIN_TISSUE = 1500, 0.5
# Of few slides, what lies within so many tiles is judged out of fold together.
_BLOCK = 4
# A fifth is held out: of fewer slides, or where one has so large a share, whole slides would be too
# much of what there is to learn from.
_FEW_SLIDES, _LARGE_SHARE = 5, 0.5
_OVERVIEW_TILE, _OVERVIEW_SIDE, _SCANNED = 28, 1000, 0.5


class NamedSlide(NamedTuple):
    """A slide, with a name that no other has, and its microns per pixel where a list gives them."""

    name: str
    path: Path
    mpp: float | None = None


@dataclass(frozen=True, eq=False)
class DrawnTiles:
    """What was drawn.

    Attributes
    ----------
    patches : (n, size, size, 3) uint8
    groups
        The slide of each; of few slides, the part of it.
    warnings
        What could not be drawn from, and why.
    """

    patches: NDArray[np.uint8]
    groups: list[str]
    warnings: tuple[str, ...]


def draw_tiles(
    slides: Sequence[NamedSlide],
    size: int,
    mpp: float,
    *,
    most: int | None = None,
    seed: int = 0,
    progress: bool | Progress = False,
) -> DrawnTiles:
    """Tiles of tissue from slides, as many of each.

    Parameters
    ----------
    slides
    size, mpp
        Side of a tile in px, and microns a pixel.
    most
        Tiles in all.
    seed
        Of the draw.
    progress
        A bar on stderr, or a function that is called with what is done.

    Raises
    ------
    UsageError
        No slide that can be read, or none with tissue.
    """
    rng, warnings = np.random.default_rng(seed), []
    share = max(1, (most or _MOST) // max(1, len(slides)))
    drawn, places = [], []
    with track(progress, "slides", len(slides)) as step:
        for slide in slides:
            try:
                found, blocks = _of_slide(slide, size, mpp, share, rng)
            except Rl2qcError as error:
                said = " ".join(str(error).split())
                advice = "give it in a CSV list of slides with the columns wsi and mpp"
                warnings.append(f"{slide.path} is left out: {said.replace(MPP_ADVICE, advice)}")
            else:
                drawn.append(found)
                places += [(slide.name, x, y) for x, y in blocks]
                if len(found) < share:
                    warnings.append(f"{slide.name} has {len(found)} tiles of tissue alone")
            step(1)
    if not places:
        raise UsageError(f"no tile of tissue in {len(slides)} slides: {'; '.join(warnings[:2])}")
    return DrawnTiles(np.concatenate(drawn), _groups(places), tuple(warnings))


def _groups(places: Sequence[tuple[str, int, int]]) -> list[str]:
    """What must not be split, of each tile's slide and block: slides, or their parts if these are
    few.

    Examples
    --------
    >>> _groups([("a", 0, 0), ("a", 0, 1)])
    ['a 0 0', 'a 0 1']
    >>> _groups([(name, 0, 0) for name in "abcde"])
    ['a', 'b', 'c', 'd', 'e']
    """
    counts = Counter(name for name, _, _ in places)
    if len(counts) >= _FEW_SLIDES and max(counts.values()) <= _LARGE_SHARE * len(places):
        return [name for name, _, _ in places]
    return [f"{name} {x} {y}" for name, x, y in places]


def _of_slide(
    named: NamedSlide, size: int, mpp: float, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[tuple[int, int]]]:
    """Tiles (n, size, size, 3), and the block of the slide that each lies in."""
    with open_slide(named.path, mpp_override=named.mpp) as slide:
        info = slide.info
        try:
            plan = plan_reading(info.mpp, info.level_downsamples, mpp)
        except ValueError as error:
            raise UsageError(str(error)) from error
        side = max(1, round(size * plan.downsample))
        corners = tile_grid(info.bounds, side, side)
        overview = slide.read_overview(
            max(side / _OVERVIEW_TILE, max(info.bounds[2:]) / _OVERVIEW_SIDE)
        )
        mask = find_tissue(overview.rgb, overview.valid >= _SCANNED).mask
        fractions = tissue_fractions(
            mask, corners, side, origin=info.bounds[:2], downsample=overview.downsample
        )
        corners = corners[fractions >= _MIN_TISSUE]
        chosen = np.sort(rng.permutation(len(corners))[:count])
        found = np.empty((len(chosen), size, size, 3), np.uint8)
        for i, (x, y) in enumerate(corners[chosen].tolist()):
            found[i] = slide.read_region(x, y, (size, size), level=plan.level, scale=plan.scale).rgb
    blocks = (corners[chosen] - np.array(info.bounds[:2])) // (side * _BLOCK)
    return found, [(int(x), int(y)) for x, y in blocks]

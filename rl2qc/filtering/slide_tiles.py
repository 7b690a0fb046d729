"""Tiles drawn from slides, for a reference that nobody has sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.progress import Progress, track
from rl2qc.errors import Rl2qcError, UsageError
from rl2qc.images.sources.base import Patches
from rl2qc.images.tissue import find_tissue
from rl2qc.slides.files import slide_name
from rl2qc.slides.readers.base import is_slide, open_slide
from rl2qc.slides.tiling import plan_reading, tile_grid, tissue_fractions

__all__ = ["DrawnTiles", "draw_tiles"]

# Tiles in all, unless --max-patches says otherwise, and the share of tissue that each has.
_MOST, _MIN_TISSUE = 1500, 0.5
# Of one slide, what lies within so many tiles is judged out of fold together.
_BLOCK = 4
_OVERVIEW_TILE, _OVERVIEW_SIDE, _SCANNED = 28, 1000, 0.5


@dataclass(frozen=True, eq=False)
class DrawnTiles:
    """What was drawn.

    Attributes
    ----------
    patches : (n, size, size, 3) uint8
    groups
        The slide of each, or the part of it where there is one slide.
    warnings
        What could not be drawn from, and why.
    """

    patches: NDArray[np.uint8]
    groups: list[str]
    warnings: tuple[str, ...]


def draw_tiles(
    patches: Patches,
    size: int,
    mpp: float,
    *,
    most: int | None = None,
    seed: int = 0,
    progress: bool | Progress = False,
) -> DrawnTiles | None:
    """Tiles of tissue from slides and folders of slides, as many of each; None where none is given.

    Parameters
    ----------
    patches
        What ``rl2qc train`` was given.
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
        Slides beside patches, or no slide that can be read.
    """
    slides, others = _slides_in(patches)
    if not slides:
        return None
    if others:
        raise UsageError(
            f"slides beside patches ({others[0]}): train on one kind, or cut the slides into tiles "
            "first (rl2qc filter --format tiles)"
        )
    rng, warnings = np.random.default_rng(seed), []
    share = max(1, (most or _MOST) // len(slides))
    drawn, groups = [], []
    with track(progress, "slides", len(slides)) as step:
        for slide in slides:
            try:
                found, parts = _of_slide(slide, size, mpp, share, rng, alone=len(slides) == 1)
            except Rl2qcError as error:
                warnings.append(f"{slide} is left out: {' '.join(str(error).split())}")
            else:
                drawn.append(found)
                groups += parts
                if len(found) < share:
                    warnings.append(f"{slide_name(slide)} has {len(found)} tiles of tissue alone")
            step(1)
    if not groups:
        raise UsageError(f"no tile of tissue in {len(slides)} slides: {'; '.join(warnings[:2])}")
    return DrawnTiles(np.concatenate(drawn), groups, tuple(warnings))


def _slides_in(patches: Any) -> tuple[list[Path], list[str]]:
    """The slides among what was given, in folders too, and what is none."""
    given = [patches] if isinstance(patches, str | Path) else patches
    if not isinstance(given, Sequence) or not all(isinstance(p, str | Path) for p in given):
        return [], []
    slides: list[Path] = []
    others: list[str] = []
    for item in map(Path, given):
        if is_slide(item):
            slides.append(item)
            continue
        within = sorted(p for p in item.iterdir() if is_slide(p)) if item.is_dir() else []
        slides += within
        if not within:
            others.append(str(item))
    return slides, others


def _of_slide(
    path: Path, size: int, mpp: float, count: int, rng: np.random.Generator, *, alone: bool
) -> tuple[NDArray[np.uint8], list[str]]:
    with open_slide(path) as slide:
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
    name = slide_name(path)
    if not alone:
        return found, [name] * len(found)
    blocks = (corners[chosen] - np.array(info.bounds[:2])) // (side * _BLOCK)
    return found, [f"{name} {x} {y}" for x, y in blocks.tolist()]

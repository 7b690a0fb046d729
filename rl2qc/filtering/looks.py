"""Tiles that are larger than what a model sees: looked at side by side, and the worst decides."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rl2qc.filtering.measure import Measured
from rl2qc.images.resolution import TOLERANCE
from rl2qc.stats.looks import corrected, worst_of

__all__ = ["cover_tiles", "worst_looks"]


def cover_tiles(
    corners: NDArray[np.int64],
    side: int,
    seen: int,
    dimensions: tuple[int, int],
    *,
    whole: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The fewest squares that show all of each tile, evenly spaced.

    Parameters
    ----------
    corners
        (n, 2) top left corners of the tiles.
    side, seen
        Of a tile and of a square; all lengths in px at level 0. A tile that is not larger, but for
        rounding, has one square, in its middle.
    dimensions
        Width and height of the slide: what of a tile lies beyond it is not looked at.
    whole
        False looks at the middle of each tile alone.

    Returns
    -------
    Corners (m, 2) of the squares, and which tile (m,) each shows, in the order of the tiles.

    Examples
    --------
    >>> looks, of = cover_tiles(np.array([[0, 0], [8, 0]]), 4, 2, (100, 100))
    >>> looks.tolist(), of.tolist()
    ([[0, 0], [2, 0], [0, 2], [2, 2], [8, 0], [10, 0], [8, 2], [10, 2]], [0, 0, 0, 0, 1, 1, 1, 1])
    """
    if not whole or side <= seen * (1 + TOLERANCE):
        return corners + (side - seen) // 2, np.arange(len(corners))
    looks, of = [], []
    for tile, corner in enumerate(corners.tolist()):
        xs, ys = (
            _places(start, min(side, end - start), seen)
            for start, end in zip(corner, dimensions, strict=True)
        )
        found = [(x, y) for y in ys for x in xs]
        looks += found
        of += [tile] * len(found)
    return np.array(looks, np.int64).reshape(-1, 2), np.array(of, np.int64)


def _places(start: int, length: int, seen: int) -> list[int]:
    """Where squares begin along one side of a tile."""
    if length <= seen * (1 + TOLERANCE):
        # What is next to a tile that the slide's edge cuts off is seen with it, as of small tiles.
        return [max(0, start + (length - seen) // 2)]
    count = math.ceil(length / seen - TOLERANCE)
    return [start + round(k * (length - seen) / (count - 1)) for k in range(count)]


def worst_looks(
    measured: Measured,
    corners: NDArray[np.int64],
    looks: NDArray[np.int64],
    of: NDArray[np.int64],
    cell: float,
) -> Measured:
    """What was measured of squares, as of the tiles that they show.

    Each tile has the measurements of the square with the smallest p-value, and that p-value
    corrected for their number. One whose squares cannot all be read has failed.

    Parameters
    ----------
    measured
        Of all squares.
    corners
        (n, 2) of the tiles.
    looks, of
        (m, 2) and (m,) where the squares are, and which tile each shows.
    cell
        Side of a cell of a map in px at level 0.
    """
    count = len(corners)
    counts = np.bincount(of, minlength=count)
    if (counts == 1).all():
        return measured
    failed = np.setdiff1d(np.arange(len(of)), measured.done)
    reasons: dict[int, str] = {}
    for i, (_, reason) in zip(failed, measured.failures, strict=True):
        reasons.setdefault(int(of[i]), reason)
    tile = of[measured.done]
    whole = np.bincount(tile, minlength=count) == counts
    rows = np.flatnonzero(whole[tile])
    # Numbered anew, without those that failed.
    numbers = np.cumsum(whole) - 1
    group = numbers[tile[rows]]
    p = measured.measurements["p_value"][rows]
    worst = rows[worst_of(p, group)]
    columns = {name: values[worst] for name, values in measured.measurements.items()}
    columns["p_value"] = corrected(columns["p_value"], counts[whole])
    evidence = measured.evidence
    if evidence is not None:
        seen = measured.done[rows]
        # Those at the edge of the slide may begin before their tile.
        places = np.rint((looks[seen] - corners[of[seen]]) / cell).astype(np.int64)
        evidence = evidence.take(rows).grouped(group, np.maximum(places, 0))
    return replace(
        measured,
        done=np.flatnonzero(whole),
        measurements=columns,
        extras=[measured.extras[i] for i in worst],
        failures=[(corners[i], reasons[i]) for i in sorted(reasons)],
        evidence=evidence,
    )

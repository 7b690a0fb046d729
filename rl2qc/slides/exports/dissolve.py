"""The union of rectangles as polygons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Ring", "dissolve"]

Ring = list[list[int]]

# Steps along an outline, clockwise on the screen: the cell outlined is on the right hand.
_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def dissolve(
    x: NDArray[np.int64], y: NDArray[np.int64], width: NDArray[np.int64], height: NDArray[np.int64]
) -> list[list[Ring]]:
    """The union of axis-parallel rectangles as valid polygons.

    Rectangles may overlap. Those that touch at a corner alone stay apart, so that every ring is
    simple; a ring is closed (its last point is its first).

    Returns
    -------
    Polygons, each its outline followed by its holes.

    Example
    -------
    >>> two = np.array([0, 2]), np.array([0, 0]), np.array([2, 2]), np.array([2, 2])
    >>> dissolve(*two)
    [[[[0, 0], [4, 0], [4, 2], [0, 2], [0, 0]]]]
    """
    xs, ys = np.unique([x, x + width]), np.unique([y, y + height])
    labels = _label_cells(
        np.searchsorted(xs, x),
        np.searchsorted(xs, x + width),
        np.searchsorted(ys, y),
        np.searchsorted(ys, y + height),
        (len(ys), len(xs)),
    )
    outlines: dict[int, list[Ring]] = {}
    holes: dict[int, list[Ring]] = {}
    for label, ring in _trace(labels):
        points = [[int(xs[column]), int(ys[row])] for column, row in ring]
        rings = outlines if _signed_area(points) > 0 else holes
        rings.setdefault(label, []).append([*points, points[0]])
    return [outlines[label] + holes.get(label, []) for label in sorted(outlines)]


def _label_cells(
    x0: NDArray[np.int64],
    x1: NDArray[np.int64],
    y0: NDArray[np.int64],
    y1: NDArray[np.int64],
    shape: tuple[int, int],
) -> NDArray[np.int32]:
    """Number the parts of the union that hang together by edges; 0 is outside, a border of it
    included."""
    changes = np.zeros((shape[0] + 1, shape[1] + 1), np.int64)
    for rows, columns, change in ((y0, x0, 1), (y0, x1, -1), (y1, x0, -1), (y1, x1, 1)):
        np.add.at(changes, (rows + 1, columns + 1), change)
    covered = changes.cumsum(axis=0).cumsum(axis=1) > 0
    labels: NDArray[np.int32] = ndimage.label(covered)[0]
    return labels


def _trace(labels: NDArray[np.int32]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Follow the outlines of the labelled cells: label, and the corners (column, row) in turn."""
    # The four cells around each corner of the grid.
    south_east, south_west = labels[1:, 1:], labels[1:, :-1]
    north_west, north_east = labels[:-1, :-1], labels[:-1, 1:]
    # For each direction, the cell on the right hand, and the one on the left, which is empty.
    sides = {
        _RIGHT: (south_east, north_east),
        _DOWN: (south_west, south_east),
        _LEFT: (north_west, south_west),
        _UP: (north_east, north_west),
    }
    leaving: dict[tuple[int, int], dict[int, int]] = {}
    for direction, (right, left) in sides.items():
        for row, column in np.argwhere((right > 0) & (left == 0)).tolist():
            leaving.setdefault((column, row), {})[direction] = int(right[row, column])

    todo = {(corner, direction): None for corner, ways in leaving.items() for direction in ways}
    while todo:
        corner, direction = next(iter(todo))
        label = leaving[corner][direction]
        steps = []
        while (corner, direction) in todo:
            del todo[corner, direction]
            steps.append((corner, direction))
            corner = (corner[0] + _STEPS[direction][0], corner[1] + _STEPS[direction][1])
            ways = leaving[corner]
            if len(ways) == 1:
                (direction,) = ways
            elif len(set(ways.values())) == 1:
                # One part meets itself at this corner: turning left keeps its hole a ring apart.
                direction = (direction - 1) % 4
            else:
                # Two parts meet: turning right stays with this one.
                direction = (direction + 1) % 4
        turns = zip(steps, [steps[-1], *steps[:-1]], strict=True)
        yield label, [at for (at, way), (_, last) in turns if way != last]


def _signed_area(points: Ring) -> int:
    """Twice the area, negative for a hole."""
    following = points[1:] + points[:1]
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, following, strict=True))

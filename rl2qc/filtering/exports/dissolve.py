"""The union of rectangles as polygons."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ring", "dissolve"]

Ring = list[list[int]]
_Ints = NDArray[np.int64]


def dissolve(x: _Ints, y: _Ints, width: _Ints, height: _Ints) -> list[list[Ring]]:
    """The union of axis-parallel rectangles as valid polygons.

    Rectangles may overlap and lie anywhere: memory grows with their number and with the outline,
    not with the area. Those that touch at a corner alone stay apart, so that every ring is simple;
    a ring is closed (its last point is its first).

    Returns
    -------
    Polygons, each its outline followed by its holes; y pointing down, outlines run clockwise.

    Examples
    --------
    >>> two = np.array([0, 2]), np.array([0, 0]), np.array([2, 2]), np.array([2, 2])
    >>> dissolve(*two)
    [[[[0, 0], [4, 0], [4, 2], [0, 2], [0, 0]]]]
    """
    edges = _horizontal_edges(x, y, width, height)
    if not len(edges):
        return []
    following = _follow(edges)
    parts = _parts(edges, following)
    outlines: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for first, corners in _rings(edges, following):
        for ring in _split_where_it_meets_itself(corners):
            points = [[column, row] for column, row in [*ring, ring[0]]]
            if _signed_area(points) > 0:
                outlines[parts[first]] = points
            else:
                holes.setdefault(parts[first], []).append(points)
    return [[outlines[part], *holes.get(part, [])] for part in sorted(outlines)]


def _horizontal_edges(x: _Ints, y: _Ints, width: _Ints, height: _Ints) -> _Ints:
    """Sweep downwards and note where the covered columns change.

    Returns
    -------
    (n, 5): y, left and right end, whether the union lies below the edge (or else above it), and
    the edge that begins the union above it (its own number, if the union lies below).
    """
    xs = np.unique([x, x + width])
    at = np.concatenate([y, y + height])
    order = np.argsort(at, kind="stable")
    left, right = (np.tile(np.searchsorted(xs, ends), 2)[order] for ends in (x, x + width))
    step = np.repeat([1, -1], len(x))[order]
    rows, starts = np.unique(at[order], return_index=True)

    depth = np.zeros(len(xs), np.int64)  # rectangles over each column, from xs[i] to xs[i + 1]
    begun_by = np.zeros(len(xs), np.int64)
    edges: list[tuple[int, int, int, int, int]] = []
    for row, start, stop in zip(rows.tolist(), starts, np.append(starts, len(at))[1:], strict=True):
        low, high = left[start:stop].min(), right[start:stop].max()
        change = np.zeros(high - low + 1, np.int64)
        np.add.at(change, left[start:stop] - low, step[start:stop])
        np.add.at(change, right[start:stop] - low, -step[start:stop])
        before = depth[low:high] > 0
        depth[low:high] += change[:-1].cumsum()
        turned = (depth[low:high] > 0).astype(np.int64) - before
        bounds = np.flatnonzero(np.diff(turned, prepend=0, append=0)) + low
        for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            below = int(turned[a - low])
            if below > 0:
                begun_by[a:b] = len(edges)
            if below:
                edges.append((row, int(xs[a]), int(xs[b]), below > 0, int(begun_by[a])))
    return np.array(edges, np.int64).reshape(-1, 5)


def _follow(edges: _Ints) -> _Ints:
    """(n,) the horizontal edge that comes after each, the union on the right hand.

    On every vertical line the corners, from top to bottom, are in turn the upper and the lower end
    of an outline. Two edges may share a corner: the one below the union comes first, which stays
    with the same rectangle instead of crossing over to the one that it touches.
    """
    row, left, right, below, _ = edges.T
    number = np.arange(len(edges))
    ends = np.concatenate([left, right])
    order = np.lexsort((np.tile(below, 2), np.tile(row, 2), ends))
    # An edge above the union runs to the right, one below it to the left.
    is_head = np.concatenate([below == 0, below == 1])[order]
    upper, lower = np.tile(number, 2)[order].reshape(-1, 2).T
    down = is_head[::2]
    following = np.empty(len(edges), np.int64)
    following[np.where(down, upper, lower)] = np.where(down, lower, upper)
    return following


def _parts(edges: _Ints, following: _Ints) -> list[int]:
    """The part of the union that each edge belongs to, parts counted from the top.

    A hole belongs to the part above it.
    """
    # Here, since naming the formats must not wait for it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, number = len(edges), np.arange(len(edges))
    pairs = np.tile(number, 2), np.concatenate([following, edges[:, 4]])
    parts: list[int] = connected_components(
        coo_array((np.ones(2 * n), pairs), shape=(n, n)), directed=False
    )[1].tolist()
    return parts


def _rings(edges: _Ints, following: _Ints) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each closed line: the number of its first edge, and its corners."""
    after, corners = following.tolist(), edges[:, :4].tolist()
    seen = [False] * len(edges)
    for first in range(len(edges)):
        line, edge = [], first
        while not seen[edge]:
            seen[edge] = True
            row, left, right, below = corners[edge]
            line += [(left, row), (right, row)] if below else [(right, row), (left, row)]
            edge = after[edge]
        if line:
            yield first, line


def _split_where_it_meets_itself(line: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """The simple rings of a closed line that may touch itself at corners."""
    ring: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for corner in [*line, line[0]]:
        if corner in place:
            start = place[corner]
            yield ring[start:]
            for dropped in ring[start + 1 :]:
                del place[dropped]
            del ring[start + 1 :]
        else:
            place[corner] = len(ring)
            ring.append(corner)


def _signed_area(points: Ring) -> int:
    """Twice the area, negative for a hole."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(points))

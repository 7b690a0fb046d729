"""Which points of one set lie in balls around those of another: one pass for both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics._pair import Floats, Indices, Pair, Side, blocks, rounding
from rl2qc.stats._checks import FloatArray

__all__ = ["Balls", "balls"]

# Rows of either set in a block: 16 MB of float32.
_ROWS, _COLUMNS = 4096, 1024
# Blocks of real points that are kept, 20 MB of 512 dimensions.
_KEPT = 10
# Share of pairs of a block from which float64 products are cheaper than differences.
_MOST_DOUBTFUL = 0.01


@dataclass(frozen=True, eq=False)
class Balls:
    """What balls around real and around generated points hold.

    Attributes
    ----------
    holding : (generated,) intp
        In how many real balls each generated point lies.
    covered : (real,) bool
        Whether the ball of each real point holds a generated one.
    reached : (real,) bool
        Whether each real point lies in the ball of a generated one.
    """

    holding: Indices
    covered: NDArray[np.bool_]
    reached: NDArray[np.bool_]


def balls(
    real: FloatArray,
    generated: FloatArray,
    real_radii: Floats,
    generated_radii: Floats,
    *,
    strict: bool,
) -> Balls:
    """Compare all pairs of a real and a generated point, once.

    By float32 products (float64 where clusters are tight); pairs too near to an edge for these are
    decided by their differences, so the answer is that of float64 distances.

    Parameters
    ----------
    real, generated : (n, d) and (m, d) float
    real_radii, generated_radii : (n,) and (m,) float64
    strict
        Inside means distance < radius; otherwise distance <= radius.
    """
    pair = Pair(generated, real, "euclidean")
    found = Balls(
        np.zeros(len(generated), np.intp), np.zeros(len(real), bool), np.zeros(len(real), bool)
    )
    # The real points of some blocks are kept: to centre them anew for each row costs a tenth.
    known: dict[int, _Points] = {}
    for rows in blocks(np.arange(len(generated)), _ROWS):
        single = _points(pair, "queries", rows, np.float32)
        for columns in blocks(np.arange(len(real)), _COLUMNS):
            limits = real_radii[columns], generated_radii[rows, None]
            number = int(columns[0])
            of_real = known.get(number) or _points(pair, "reference", columns, np.float32)
            if len(known) < _KEPT:
                known[number] = of_real
            near = _near(single, of_real)
            # Tight clusters far from the mean lose all digits.
            if any(_doubtful(pair, near, limit) > _MOST_DOUBTFUL for limit in limits):
                near = _near(
                    _points(pair, "queries", rows, np.float64),
                    _points(pair, "reference", columns, np.float64),
                )
            at = rows, columns
            in_real, in_generated = (_inside(pair, near, at, limit, strict) for limit in limits)
            found.holding[rows] += np.count_nonzero(in_real, axis=1)
            found.covered[columns] |= in_real.any(axis=0)
            found.reached[columns] |= in_generated.any(axis=0)
    return found


_Points: TypeAlias = tuple[FloatArray, FloatArray]


def _points(
    pair: Pair, side: Side, rows: Indices, dtype: type[np.float32] | type[np.float64]
) -> _Points:
    """Centred points (of queries, times -2, which is exact) and their squared norms."""
    points, norms = pair.centred(side, rows, dtype)
    if side == "queries":
        points *= -2
    return points, norms.astype(dtype)


def _near(left: _Points, right: _Points) -> tuple[FloatArray, float]:
    """Squared distances of all pairs of a block, and a bound of their error."""
    dtype = left[0].dtype.type
    squared: FloatArray = left[0] @ right[0].T
    squared += left[1][:, None]
    squared += right[1]
    # >= (|a| + |b|)^2 for all pairs of the block: one number will do.
    largest = 2 * (float(left[1].max()) + float(right[1].max()))
    return squared, largest * rounding(left[0].shape[1], dtype)


def _doubtful(pair: Pair, near: tuple[FloatArray, float], radii: Floats) -> float:
    """Share of a few of the pairs that lie too near to an edge."""
    squared, margin = near
    some = slice(None, None, 16)
    limits = pair.to_squared(radii[some] if radii.ndim == 2 else radii)
    return float(np.mean(np.abs(squared[some] - limits) <= margin))


def _inside(
    pair: Pair,
    near: tuple[FloatArray, float],
    at: tuple[Indices, Indices],
    radii: Floats,
    strict: bool,
) -> NDArray[np.bool_]:
    """Which pairs lie nearer than the radius of a row or of a column."""
    (squared, margin), (rows, columns) = near, at
    limits = pair.to_squared(radii).astype(squared.dtype)
    edge = squared.dtype.type(margin)
    inside: NDArray[np.bool_] = squared <= limits + edge
    # The few that may be inside: all others are certainly not.
    i, j = np.divmod(np.flatnonzero(inside), inside.shape[1])
    radius = np.broadcast_to(radii, squared.shape)[i, j]
    doubtful = squared[i, j] >= np.broadcast_to(limits, squared.shape)[i, j] - edge
    if strict:  # spares collapsed sets: nothing is inside a ball of radius 0
        inside[i[radius == 0], j[radius == 0]] = False
        doubtful &= radius > 0
    i, j, radius = i[doubtful], j[doubtful], radius[doubtful]
    exact = pair.to_distance(pair.squared(rows[i], columns[j]))
    inside[i, j] = exact < radius if strict else exact <= radius
    return inside

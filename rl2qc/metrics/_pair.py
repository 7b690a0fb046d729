"""Two feature sets as points of one Euclidean space, read block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from rl2qc.stats._checks import FloatArray

__all__ = ["Distance", "Floats", "Indices", "Pair", "Side", "blocks", "rounding"]

Distance: TypeAlias = Literal["euclidean", "cosine"]
Side: TypeAlias = Literal["queries", "reference"]
Indices: TypeAlias = NDArray[np.intp]
Floats: TypeAlias = NDArray[np.float64]

# Numbers in one temporary of a row-wise pass (8 MB in float64).
_CHUNK = 1 << 20


def blocks(rows: Indices, size: int) -> Iterator[Indices]:
    """Cut ``rows`` into consecutive blocks of at most ``size``."""
    for start in range(0, len(rows), max(size, 1)):
        yield rows[start : start + max(size, 1)]


def rounding(dimension: int, dtype: type[np.floating]) -> float:
    """Relative error of a squared distance expanded as |a|^2 + |b|^2 - 2 a.b.

    Times (|a| + |b|)^2 it bounds the absolute error, whatever the order of summation; ``eps`` is
    twice the unit roundoff, and the 8 spare terms cover the rounding of the inputs and the sum.
    """
    return (dimension + 8) * float(np.finfo(dtype).eps)


class Pair:
    """Queries and reference under one distance.

    Everything is scaled by one power of two, which is exact and keeps squares in float32's range.
    Under the cosine distance the rows are unit vectors, and 1 - cos is half their squared distance.
    """

    def __init__(self, queries: FloatArray, reference: FloatArray, distance: Distance) -> None:
        if distance not in get_args(Distance):
            raise ValueError(f"distance must be one of {get_args(Distance)}, got {distance!r}")
        self.dimension = queries.shape[1]
        self._sets: dict[Side, FloatArray] = {"queries": queries, "reference": reference}
        self._cosine = distance == "cosine"
        largest = max(max(abs(float(x.min())), abs(float(x.max()))) for x in (queries, reference))
        self._scale = math.ldexp(1.0, -max(math.frexp(largest)[1], -1000))
        if self._cosine:
            self._norms = {side: self._row_norms(side) for side in self._sets}
        # Centring makes the norms that cancel in the expansion of a squared distance as small as
        # the spread of the features allows.
        total = np.zeros(self.dimension)
        for rows in self._chunks(len(reference)):
            total += self.points("reference", rows).sum(axis=0)
        self._centre = total / len(reference)

    def points(self, side: Side, rows: Indices) -> Floats:
        """Scaled (under cosine: normalised) rows, float64."""
        x = self._sets[side][rows].astype(np.float64)
        x *= self._scale
        if self._cosine:
            x /= self._norms[side][rows, None]
        return x

    def centred(
        self, side: Side, rows: Indices, dtype: type[np.float32] | type[np.float64]
    ) -> tuple[FloatArray, Floats]:
        """Points less the mean of the reference, as ``dtype``, and their squared norms."""
        x: FloatArray = (self.points(side, rows) - self._centre).astype(dtype, copy=False)
        return x, np.einsum("ij,ij->i", x, x, dtype=np.float64)

    def squared(self, rows: Indices, columns: Indices) -> Floats:
        """Squared distances of matched (query, reference) rows, from their differences."""
        out = np.empty(len(rows))
        for part in self._chunks(len(rows)):
            difference = self.points("queries", rows[part])
            difference -= self.points("reference", columns[part])
            np.square(difference, out=difference)
            out[part] = difference.sum(axis=1)
        return out

    def to_distance(self, squared: Floats) -> Floats:
        """Squared distances of points as distances of the features."""
        return squared / 2 if self._cosine else np.sqrt(squared) / self._scale

    def to_squared(self, distances: Floats) -> Floats:
        """The inverse of :meth:`to_distance`, up to rounding."""
        return distances * 2 if self._cosine else (distances * self._scale) ** 2

    def _chunks(self, n: int) -> Iterator[Indices]:
        return blocks(np.arange(n), _CHUNK // self.dimension)

    def _row_norms(self, side: Side) -> Floats:
        x = self._sets[side]
        norms = np.empty(len(x))
        for rows in self._chunks(len(x)):
            norms[rows] = np.linalg.norm(x[rows].astype(np.float64) * self._scale, axis=1)
        if not norms.all():
            row = int(np.argmin(norms))
            raise ValueError(f"cosine distance is undefined: row {row} of the {side} is all zero")
        return norms

"""Which rows are one image: equal ones, or under the cosine distance those of one direction."""

from __future__ import annotations

import hashlib

import numpy as np

from rl2qc.metrics._pair import Distance, Floats, Indices, blocks
from rl2qc.stats._checks import FloatArray

__all__ = ["first_occurrences"]

# Directions onto which rows are projected to find those that may be parallel.
_PROJECTIONS = 4
_CHUNK = 1 << 20


def first_occurrences(features: FloatArray, distance: Distance = "euclidean") -> Indices:
    """For every row the first row at distance 0 from it.

    Under the cosine distance these are its positive multiples, up to the rounding of the features.

    Parameters
    ----------
    features : ndarray, shape (n, d)
    distance : {"euclidean", "cosine"}

    Examples
    --------
    >>> x = np.array([[1.0, 2.0], [3.0, 6.0], [1.0, 2.0], [-1.0, -2.0]])
    >>> first_occurrences(x).tolist(), first_occurrences(x, "cosine").tolist()
    ([0, 1, 0, 3], [0, 0, 0, 3])
    """
    first = _first_equal(features)
    return _first_parallel(features, first) if distance == "cosine" else first


def _first_equal(features: FloatArray) -> Indices:
    seen: dict[bytes, int] = {}
    rows = np.empty(len(features), dtype=np.intp)
    for i, row in enumerate(features):
        # Adding 0 makes -0.0 and 0.0 the same bytes.
        key = hashlib.blake2b((row + 0).tobytes(), digest_size=16).digest()
        rows[i] = seen.setdefault(key, i)
    return rows


def _first_parallel(features: FloatArray, first: Indices) -> Indices:
    """``first`` with the rows of one direction joined.

    Parallel rows are near each other in every projection of their directions: only pairs that are
    so in a few of them are compared.
    """
    dimension = features.shape[1]
    exact = float(np.finfo(np.float64).eps)
    # Rounding moves the direction of a multiple by less than one eps of the features.
    tolerance = 4 * float(np.finfo(features.dtype).eps) + 8 * exact
    window = tolerance + 4 * dimension * exact
    axes = np.random.default_rng(0).normal(size=(dimension, _PROJECTIONS))
    axes /= np.linalg.norm(axes, axis=0)
    rows = np.unique(first)
    places = np.concatenate(
        [_directions(features, part) @ axes for part in blocks(rows, _CHUNK // dimension)]
    )
    order = np.argsort(places[:, 0], kind="stable")
    rows, places = rows[order], places[order]
    joined, offset = np.arange(len(features)), 1
    # Neighbours in the order first, then those further apart: a row that is joined leaves it.
    while len(near := _within(places, offset, window)):
        a, b = rows[near], rows[near + offset]
        same = _distances(features, a, b) <= tolerance
        for i, j in zip(a[same], b[same], strict=True):
            joined[j] = joined[i]
        if same.any():
            rows, places = (np.delete(x, near[same] + offset, axis=0) for x in (rows, places))
            offset = 1
        else:
            offset += 1
    while not np.array_equal(joined, joined[joined]):  # rows joined to rows that were joined later
        joined = joined[joined]
    _, at, member = np.unique(joined[first], return_index=True, return_inverse=True)
    return at[member]


def _within(places: Floats, offset: int, window: float) -> Indices:
    """Where a row and that ``offset`` rows on are near each other in every projection."""
    return np.flatnonzero((np.abs(places[offset:] - places[:-offset]) <= window).all(axis=1))


def _distances(features: FloatArray, a: Indices, b: Indices) -> Floats:
    """Between the directions of matched rows."""
    out = np.empty(len(a))
    for part in blocks(np.arange(len(a)), _CHUNK // features.shape[1]):
        apart = _directions(features, a[part]) - _directions(features, b[part])
        out[part] = np.linalg.norm(apart, axis=1)
    return out


def _directions(features: FloatArray, rows: Indices) -> Floats:
    """Unit vectors; rows of zeros, which have none, stay zeros."""
    x: Floats = features[rows].astype(np.float64)
    x /= _or_one(np.abs(x).max(axis=1))  # first, so that no square leaves the range
    x /= _or_one(np.linalg.norm(x, axis=1))
    return x


def _or_one(sizes: Floats) -> Floats:
    return np.where(sizes > 0, sizes, 1)[:, None]

"""The one nearest-neighbour engine: exact, chunked over both sets, with bounded memory."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from rl2qc.metrics._pair import Distance, Floats, Indices, Pair, blocks, rounding
from rl2qc.stats._checks import FloatArray, as_feature_pair, check_k

__all__ = ["Backend", "Distance", "Neighbors", "kneighbors"]

Backend: TypeAlias = Literal["auto", "numpy", "faiss"]
# How candidates are searched; each is slower and surer than the one before.
_Search: TypeAlias = Literal["pairs", "faiss", "float32", "float64", "plain"]

# Candidates beyond k that are re-ranked in float64. More of them make it likelier that a float32
# search is proven exact; fewer make the re-ranking cheaper.
_SPARE = 8
# Parts of a set that are kept as single precision, twice.
_KEPT = 4


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The ``k`` nearest reference rows of every query, nearest first.

    Parameters
    ----------
    distances : ndarray of float64, shape (n, k)
    indices : ndarray of intp, shape (n, k)
        Rows of the reference.
    """

    distances: Floats
    indices: Indices


def kneighbors(
    queries: ArrayLike,
    reference: ArrayLike,
    k: int,
    *,
    exclude_self: bool = False,
    distance: Distance = "euclidean",
    memory_mb: float = 256.0,
    backend: Backend = "auto",
) -> Neighbors:
    """Find the exact ``k`` nearest neighbours of every query.

    Candidates come from matrix products of mean-centred float32 features; slightly more than
    ``k`` of them are re-ranked by their float64 differences. A rounding bound then proves, query
    by query, that no nearer row was left out; queries for which it cannot (tight clusters far
    from the mean) are searched again in float64, and at last by plain differences. So the
    distances are those of a float64 brute force, whatever the offset and spread of the features.

    Parameters
    ----------
    queries : array_like, shape (n, d)
    reference : array_like, shape (m, d)
    k : int
        Neighbours of each query: at most m, or m - 1 with ``exclude_self``.
    exclude_self : bool
        Row i of ``queries`` is row i of ``reference`` and no neighbour of itself. It is left out
        by index, so that an exact duplicate counts as a neighbour at distance 0.
    distance : {"euclidean", "cosine"}
        Cosine distance is 1 - cos, in [0, 2].
    memory_mb : float
        Working memory in MB beside the inputs and the result.
    backend : {"auto", "numpy", "faiss"}
        Who searches for the candidates. ``"auto"`` takes faiss where it is installed.

    Returns
    -------
    Neighbors
        Equal distances are ordered by index. Of more than ``k`` exact duplicates of a query, it
        is unspecified which ones are returned.

    Raises
    ------
    ValueError
        For features that are no finite 2-D arrays of one dimension, ``k`` out of range, a row of
        zeros under the cosine distance, or ``backend="faiss"`` where faiss is not installed.

    Examples
    --------
    >>> found = kneighbors([[0.0], [1.0], [3.0]], [[0.0], [1.0], [3.0]], 1, exclude_self=True)
    >>> found.distances.ravel().tolist(), found.indices.ravel().tolist()
    ([1.0, 1.0, 2.0], [1, 0, 1])
    """
    q, r = as_feature_pair(queries, reference, ("queries", "reference"))
    if exclude_self and len(q) != len(r):
        raise ValueError(
            f"exclude_self needs the same rows twice, got {len(q)} queries"
            f" and {len(r)} reference rows"
        )
    available = len(r) - 1 if exclude_self else len(r)
    check_k(k, len(r) if exclude_self else k + 1)
    k = int(k)  # faiss takes no integer of numpy's
    if k > available:
        raise ValueError(f"k = {k} needs at least {k} reference rows, got {available}")
    first: _Search = "faiss" if _use_faiss(backend) else "float32"
    pair = Pair(q, r, distance)
    block = _block_size(memory_mb, pair.dimension)
    width = min(k + _SPARE, available)
    if queries is reference and exclude_self and backend == "auto" and len(q) > block:
        first, found = "pairs", _candidates_of_pairs(pair, len(q), width, block)

    squared = np.empty((len(q), k))
    indices = np.empty((len(q), k), dtype=np.intp)
    todo = np.arange(len(q))
    for search in (first, "float64", "plain"):
        unproven = []
        for rows in blocks(todo, block):
            if search == "pairs":
                candidates, cut = found[0][rows], found[1][rows]
            else:
                candidates, cut = _candidates(
                    pair, rows, len(r), width, block, exclude_self, search
                )
            squared[rows], indices[rows] = _rerank(pair, rows, candidates, k)
            # With every row a candidate, nothing was left out.
            if width < available and search != "plain":
                unproven.append(rows[~_proven(pair, rows, squared[rows, -1], cut, search)])
        todo = np.concatenate(unproven) if unproven else todo[:0]
        if not todo.size:
            break
    return Neighbors(pair.to_distance(squared), indices)


def _candidates(
    pair: Pair,
    rows: Indices,
    n_reference: int,
    width: int,
    block: int,
    exclude_self: bool,
    search: _Search,
) -> tuple[Indices, Floats]:
    """The ``width`` nearest reference rows by a fast search, and the squared distance of the last.

    One block of the reference at a time, keeping the best so far: a streaming top-k.
    """
    best = np.full((len(rows), width), np.inf)
    ids = np.zeros((len(rows), width), dtype=np.intp)
    left, left_norm = pair.centred("queries", rows, _dtype(search))
    for columns in blocks(np.arange(n_reference), block):
        if search == "faiss":
            right, _ = pair.centred("reference", columns, np.float32)
            values, near = _faiss_nearest(left, right, min(width + 1, len(columns)))
            names = columns[near]
            if exclude_self:
                values[names == rows[:, None]] = np.inf
        else:
            if search == "plain":
                values = cdist(
                    pair.points("queries", rows), pair.points("reference", columns), "sqeuclidean"
                )
            else:
                values = _partial_squares(pair, left, columns)
            names = np.broadcast_to(columns, values.shape)
            if exclude_self:
                own = np.flatnonzero((rows >= columns[0]) & (rows <= columns[-1]))
                values[own, rows[own] - columns[0]] = np.inf
        best, ids = _merge(best, ids, values, names)
    if search in ("float32", "float64"):
        best += left_norm[:, None]
    return ids, best[:, -1]


def _candidates_of_pairs(pair: Pair, n: int, width: int, block: int) -> tuple[Indices, Floats]:
    """:func:`_candidates` of all rows of a set among its others: each product serves both rows."""
    best, ids = np.full((n, width), np.inf), np.zeros((n, width), dtype=np.intp)
    parts = list(blocks(np.arange(n), block))
    # The parts that come next are kept: to centre them anew each time costs a tenth.
    augmented = lru_cache(_KEPT)(lambda part: _augmented(pair, parts[part]))
    numbers = range(len(parts))
    # A part with itself first: few of the others are nearer than what is known then.
    for a, b in [(i, i) for i in numbers] + list(combinations(numbers, 2)):
        first, second, values = parts[a], parts[b], augmented(a)[0] @ augmented(b)[1].T
        if a == b:
            np.fill_diagonal(values, np.inf)
        else:
            best[second], ids[second] = _merge(best[second], ids[second], values.T, first[None])
        best[first], ids[first] = _merge(best[first], ids[first], values, second[None])
    return ids, best[:, -1]


def _augmented(pair: Pair, rows: Indices) -> tuple[FloatArray, FloatArray]:
    """Rows (n, d + 2) of two kinds, whose products are squared distances."""
    x, norms = pair.centred("reference", rows, np.float32)
    one, norm = np.ones(len(x), np.float32), norms.astype(np.float32)
    return np.column_stack([-2 * x, norm, one]), np.column_stack([x, one, norm])


def _partial_squares(pair: Pair, left: FloatArray, columns: Indices) -> FloatArray:
    """|r|^2 - 2 q.r in one product: |q|^2 is the same for a whole row and ranks nothing."""
    dtype = left.dtype.type
    right, right_norm = pair.centred("reference", columns, dtype)
    product: FloatArray = (
        np.c_[-2 * left, np.ones(len(left), dtype)] @ np.c_[right, right_norm.astype(dtype)].T
    )
    return product


def _faiss_nearest(left: FloatArray, right: FloatArray, k: int) -> tuple[FloatArray, Indices]:
    import faiss

    values, indices = faiss.knn(left, right, k)
    return values, indices


def _merge(
    best: Floats, ids: Indices, values: FloatArray, names: Indices
) -> tuple[Floats, Indices]:
    """Keep, row by row, the smallest of the best so far and the new values, in order.

    ``names`` are of all values, or (1, m) of their columns.
    """
    n, width = best.shape
    row, column = _where(values < best[:, -1:].astype(values.dtype, copy=False))
    if len(row) > 4 * best.size:
        # Values alone are partitioned much faster than their places.
        least = np.partition(values, width - 1, axis=1)[:, width - 1, None]
        row, column = _where(values <= least)
    if len(row) > 4 * best.size:  # most of them are equal
        column = np.argpartition(values, width - 1, axis=1)[:, :width].ravel()
        row = np.repeat(np.arange(n), width)
    value = np.concatenate([best.ravel(), values[row, column]])
    name = np.concatenate([ids.ravel(), names[row if len(names) == n else 0, column]])
    owner = np.concatenate([np.repeat(np.arange(n), width), row])
    # Every row owns at least `width` entries; sorted by owner, its best are the first of its run.
    order = np.lexsort((value, owner))
    first = np.searchsorted(owner[order], np.arange(n))
    keep = order[first[:, None] + np.arange(width)]
    return value[keep], name[keep]


def _where(mask: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Rows and columns of what is true, faster than NumPy finds them in two dimensions."""
    if mask.flags.c_contiguous:
        row, column = np.divmod(np.flatnonzero(mask), mask.shape[1])
    else:
        column, row = np.divmod(np.flatnonzero(mask.T), mask.shape[0])
    return row, column


def _rerank(pair: Pair, rows: Indices, candidates: Indices, k: int) -> tuple[Floats, Indices]:
    """The ``k`` nearest candidates by their float64 differences."""
    exact = pair.squared(np.repeat(rows, candidates.shape[1]), candidates.ravel())
    exact = exact.reshape(candidates.shape)
    order = np.lexsort((candidates, exact), axis=1)[:, :k]
    return np.take_along_axis(exact, order, axis=1), np.take_along_axis(candidates, order, axis=1)


def _proven(
    pair: Pair, rows: Indices, kth: Floats, cut: Floats, search: _Search
) -> NDArray[np.bool_]:
    """Which queries have certainly no row nearer than their kth among those left out.

    A row left out was computed to lie at a squared distance of ``cut`` or more. Were it truly
    nearer than the kth, at t, its centred norm would be at most |q| + t, and its squared distance
    would have been computed below t^2 + rounding * (2 |q| + t)^2. At distance 0 none is nearer.
    """
    dtype = _dtype(search)
    norm = np.sqrt(pair.centred("queries", rows, dtype)[1])
    slack = rounding(pair.dimension, dtype) * (2 * norm + np.sqrt(kth)) ** 2
    return np.asarray((kth == 0) | (cut > kth + slack))


def _dtype(search: _Search) -> type[np.float32] | type[np.float64]:
    return np.float32 if search in ("pairs", "faiss", "float32") else np.float64


def _block_size(memory_mb: float, dimension: int) -> int:
    """Rows of a square block whose products, masks and operands fit in the memory."""
    if not memory_mb > 0:
        raise ValueError(f"memory_mb must be positive, got {memory_mb!r}")
    # bytes = per_cell * size^2 + per_row * size, solved for size
    per_cell, per_row = 48.0, 48.0 * dimension
    root = math.sqrt(per_row**2 + 4 * per_cell * memory_mb * 2**20)
    return min(max(int((root - per_row) / (2 * per_cell)), 16), 4096)


def _use_faiss(backend: Backend) -> bool:
    if backend not in get_args(Backend):
        raise ValueError(f"backend must be one of {get_args(Backend)}, got {backend!r}")
    found = importlib.util.find_spec("faiss")
    # A mere folder of that name on the path is found as well, but has no origin.
    installed = found is not None and found.origin is not None
    if backend == "faiss" and not installed:
        raise ValueError("backend = 'faiss' needs the package faiss: pip install faiss-cpu")
    return installed and backend != "numpy"

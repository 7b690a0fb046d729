"""Distances, kernel and patches of all images at once, for metrics of row numbers.

A resample picks rows of what is computed here once, so that a metric can be resampled hundreds of
times. The metrics of rows stand beside the plain functions of features, whose values they give.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics._duplicates import first_occurrences
from rl2qc.metrics._pair import Distance, Floats
from rl2qc.stats._checks import FloatArray, as_features

__all__ = ["Matrices", "Rows", "cosine_matrix", "distance_matrix", "halves", "sums_of_pairs"]

Rows: TypeAlias = NDArray[np.intp]
"""Numbers of images, the sets numbered through."""

# Squared distances below this share of the squared norms lose digits in their expansion.
_CANCELLING = 1e-6
_CHUNK = 1 << 20
# Neighbours that are found at once: as many as PRDC looks at, and WAD-Div looks at fewer.
_NEIGHBOURS = 5
# Nearest images that are kept of each, and of how many images in all: a resample holds a good part
# of them, so that only rows without enough of them among these are searched in full. Most have
# enough among the nearest few.
_FEW, _NEAR, _FROM, _UP_TO = 32, 128, 300, 4096


class Matrices:
    """All images of several sets, numbered through, and what metrics of their numbers need.

    Everything is made when it is first asked for.

    Parameters
    ----------
    features : array_like, shape (n, d), optional
        All images; the memory of the distances grows with n^2.
    pixels : sequence of uint8 arrays (n_i, h, w, 3), optional
        Of each set.
    distance : {"euclidean", "cosine"}
        Of :attr:`distances`.
    groups : array_like, shape (n,), optional
        Slide of each image, for metrics that halve the real set.
    unseen : array_like of int, optional
        Numbers of real images that are in no set to be scored; without them the real set is
        halved where such images are needed.
    seed : int
        Of the halves, and of the subsets that make sets equal in size.

    Examples
    --------
    >>> matrices = Matrices([[0.0], [1.0], [3.0]])
    >>> matrices.spacing(np.arange(3), 1).ravel().tolist()
    [1.0, 1.0, 2.0]
    """

    def __init__(
        self,
        features: ArrayLike | None = None,
        *,
        pixels: Sequence[NDArray[np.uint8]] = (),
        distance: Distance = "euclidean",
        groups: ArrayLike | None = None,
        unseen: ArrayLike | None = None,
        seed: int = 0,
    ) -> None:
        self._features = None if features is None else as_features(features)
        self.pixels, self.distance, self.seed = tuple(pixels), distance, seed
        self.groups = None if groups is None else np.asarray(groups)
        self.unseen: Rows | None = None if unseen is None else np.asarray(unseen, dtype=np.intp)
        self._known: dict[Hashable, Any] = {}

    @property
    def features(self) -> FloatArray:
        """(n, d); ``ValueError`` where there are none."""
        if self._features is None:
            raise ValueError("there are no features")
        return self._features

    @cached_property
    def euclidean(self) -> Floats:
        """Euclidean distances of all pairs, (n, n)."""
        return distance_matrix(self.features)

    @cached_property
    def distances(self) -> Floats:
        """Distances of all pairs, (n, n), of the kind that was chosen."""
        return self.euclidean if self.distance == "euclidean" else cosine_matrix(self.features)

    @cached_property
    def kernel(self) -> Floats:
        """KID's polynomial kernel of all pairs, (n, n)."""
        x = self.features.astype(np.float64)
        base = x @ x.T
        base /= x.shape[1]
        base += 1
        return np.asarray(base * base * base)  # a power takes several times as long

    @cached_property
    def image(self) -> Rows:
        """For each image the first one that equals it."""
        return first_occurrences(self.features, self.distance)

    def prepare(self) -> None:
        """Compute distances and kernel now."""
        self.distances, self.kernel, self.image  # noqa: B018

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, made when ``key`` is first asked for."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def spacing(self, rows: Rows, k: int) -> Floats:
        """Distances (n, k) to the ``k`` nearest others, nearest first; fewer where there are."""

        return self._spacing("distances", rows, k)

    def radii(self, rows: Rows, k: int) -> Floats:
        """Euclidean distance (n,) to the ``k``-th nearest other."""
        kind = "distances" if self.distance == "euclidean" else "euclidean"
        return self._spacing(kind, rows, k)[:, -1]

    def _spacing(self, kind: str, rows: Rows, k: int) -> Floats:
        most = max(k, _NEIGHBOURS)

        def make() -> Floats:
            n = min(most, len(rows) - 1)
            if self._near(kind) is not None and n:
                return self._spacing_of_near(kind, rows, n)
            return _nearest_others(getattr(self, kind)[np.ix_(rows, rows)], np.arange(len(rows)), n)

        found: Floats = self.once(("spacing", kind, most, rows.tobytes()), make)
        return found[:, :k]

    def nearest(self, rows: Rows, reference: Rows) -> tuple[Rows, Floats]:
        """Position in ``reference`` of the nearest of each row, and its distance."""

        def make() -> tuple[Rows, Floats]:
            if self._near("distances") is not None:
                return self._nearest_of_near(rows, reference)
            across = self.distances[np.ix_(rows, reference)]
            return across.argmin(axis=1), across.min(axis=1)

        found: tuple[Rows, Floats] = self.once(
            ("nearest", rows.tobytes(), reference.tobytes()), make
        )
        return found

    def _near(self, kind: str) -> tuple[Rows, Floats] | None:
        """Numbers and distances (n, 128) of the images nearest to each, itself among them."""
        if not _FROM <= len(self.features) <= _UP_TO:
            return None
        return cast("tuple[Rows, Floats]", self.once(("near", kind), lambda: self._nearest(kind)))

    def _nearest(self, kind: str) -> tuple[Rows, Floats]:
        everything: Floats = getattr(self, kind)
        at = np.argpartition(everything, _NEAR, axis=1)[:, :_NEAR]
        distances = np.take_along_axis(everything, at, axis=1)
        order = np.argsort(distances, axis=1)
        return np.take_along_axis(at, order, axis=1), np.take_along_axis(distances, order, axis=1)

    def _spacing_of_near(self, kind: str, rows: Rows, n: int) -> Floats:
        near = self._near(kind)
        assert near is not None
        found, rest = np.empty((len(rows), n)), np.arange(len(rows))
        there = np.zeros(len(self.features), bool)
        there[rows] = True
        # A neighbour that is there twice is two neighbours.
        alone = np.count_nonzero(there) == len(rows)
        for width in (_FEW, _NEAR) if alone else ():
            own = rows[rest]
            at, distances = (of_all[:, :width][own] for of_all in near)
            others = there[at]
            others &= at != own[:, None]
            nth = np.cumsum(others, axis=1, dtype=np.int16)
            known = nth[:, -1] >= n
            others &= nth <= n
            found[rest[known]] = distances[known][others[known]].reshape(-1, n)
            rest = rest[~known]
        if len(rest):
            found[rest] = _nearest_others(getattr(self, kind)[np.ix_(rows[rest], rows)], rest, n)
        return found

    def _nearest_of_near(self, rows: Rows, reference: Rows) -> tuple[Rows, Floats]:
        near = self._near("distances")
        assert near is not None
        nowhere = len(reference)
        position = np.full(len(self.features), nowhere)
        position[reference[::-1]] = np.arange(nowhere)[::-1]  # of a repeated one the first
        nearest, least, rest = (
            np.empty(len(rows), np.intp),
            np.empty(len(rows)),
            np.arange(len(rows)),
        )
        for width in (_FEW, _NEAR):
            at, distances = (of_all[:, :width][rows[rest]] for of_all in near)
            at = position[at]
            first = (at < nowhere).argmax(axis=1)[:, None]
            of_first = np.take_along_axis(distances, first, axis=1)
            # Of equal distances the first in the reference, as argmin has it.
            nearest[rest] = np.where(distances == of_first, at, nowhere).min(axis=1)
            least[rest] = of_first[:, 0]
            rest = rest[(nearest[rest] == nowhere) | (distances[:, -1] == least[rest])]
        if len(rest):
            across = self.distances[np.ix_(rows[rest], reference)]
            nearest[rest], least[rest] = across.argmin(axis=1), across.min(axis=1)
        return nearest, least

    def nearest_of_all(self, rows: Rows, reference: Rows, m: int) -> tuple[Rows, Floats]:
        """Positions (n, m) in ``reference`` of the ``m`` nearest, and their distances."""
        across = self.distances[np.ix_(rows, reference)]
        at = np.argsort(across, axis=1, kind="stable")[:, :m]
        return at, np.take_along_axis(across, at, axis=1)


def _nearest_others(distances: Floats, own: Rows, n: int) -> Floats:
    """The ``n`` least of each row, in order, but for its column ``own``; the array is used up."""
    distances[np.arange(len(own)), own] = np.inf
    distances.partition(max(n - 1, 0), axis=1)
    return np.sort(distances[:, :n], axis=1)


def sums_of_pairs(matrix: Floats, a: Rows, b: Rows) -> tuple[float, float, float]:
    """Sums over all pairs of rows of ``a``, of ``b``, and of one with the other.

    Examples
    --------
    >>> sums_of_pairs(np.array([[1.0, 2.0], [2.0, 5.0]]), np.array([0, 0]), np.array([1]))
    (4.0, 5.0, 4.0)
    """
    if len(matrix) <= 2 * (len(a) + len(b)):  # one product with the counts is cheaper than copies
        counts = np.stack([np.bincount(rows, minlength=len(matrix)) for rows in (a, b)])
        of_a, of_b = counts.astype(np.float64) @ matrix
        return float(of_a[a].sum()), float(of_b[b].sum()), float(of_a[b].sum())
    within_a, within_b, across = (
        float(matrix[np.ix_(*pair)].sum()) for pair in ((a, a), (b, b), (a, b))
    )
    return within_a, within_b, across


def halves(rows: Rows, groups: NDArray[np.generic] | None, seed: int) -> tuple[Rows, Rows]:
    """Two random halves, sorted; whole groups where they are known.

    Raises
    ------
    ValueError
        For fewer than two rows or groups.

    Examples
    --------
    >>> a, b = halves(np.arange(6), None, 0)
    >>> len(a), len(b), sorted({*a, *b}) == list(range(6))
    (3, 3, True)
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(len(rows)) if groups is None else groups[rows]
    _, member, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        raise ValueError("the real set cannot be halved: it needs at least 2 images, or slides")
    order = rng.permutation(len(counts))
    reach = np.cumsum(counts[order])
    # The boundary nearest to the middle, with a group on either side.
    cut = int(np.clip(np.argmin(np.abs(reach - len(rows) / 2)), 0, len(counts) - 2)) + 1
    first = np.isin(member, order[:cut])
    return rows[first], rows[~first]


def distance_matrix(features: FloatArray) -> Floats:
    """Euclidean distances of all pairs, (n, n), exactly 0 for equal rows."""
    x = features.astype(np.float64)
    x -= x.mean(axis=0)
    norms = np.einsum("ij,ij->i", x, x)
    squared = x @ x.T
    squared *= -2
    squared += norms
    squared += norms[:, None]
    near = squared <= _CANCELLING * (norms + norms[:, None])
    i, j = np.nonzero(np.triu(near, 1))
    step = max(1, _CHUNK // x.shape[1])
    for start in range(0, len(i), step):
        a, b = i[start : start + step], j[start : start + step]
        difference = x[a] - x[b]
        squared[a, b] = squared[b, a] = np.einsum("ij,ij->i", difference, difference)
    np.fill_diagonal(squared, 0)
    return np.asarray(np.sqrt(squared, out=squared))


def cosine_matrix(features: FloatArray) -> Floats:
    """Cosine distances 1 - cos of all pairs, (n, n); ``ValueError`` for a row of zeros."""
    x = features.astype(np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(f"cosine distance is undefined: row {int(np.argmin(norms))} is all zero")
    # Half the squared distance of unit vectors: exact where 1 - cos would cancel.
    return distance_matrix(x / norms) ** 2 / 2

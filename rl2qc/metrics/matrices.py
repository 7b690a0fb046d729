"""Every feature metric as a function of row numbers, fast enough to be resampled.

One distance matrix and one kernel matrix are made of all images at once; a resample picks rows of
them. At all rows the values are those of the pure functions in `rl2qc.metrics`.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics._duplicates import first_occurrences
from rl2qc.metrics._pair import Metric

# The steps behind the public functions, which take features and so could not share distances.
from rl2qc.metrics.frechet import fid
from rl2qc.metrics.irs import _most_likely, _rarefied
from rl2qc.metrics.prdc import Convention
from rl2qc.metrics.wad_div import _to_exponential, _wasserstein
from rl2qc.stats._checks import FloatArray, as_features

__all__ = ["RowMetrics", "cosine_matrix", "distance_matrix", "halves"]

_Rows: TypeAlias = NDArray[np.intp]
_Floats: TypeAlias = NDArray[np.float64]

# Squared distances below this share of the squared norms lose digits in their expansion.
_CANCELLING = 1e-6
_CHUNK = 1 << 20


class RowMetrics:
    """Metrics of two sets of rows (real, generated) of one stack of features.

    Parameters
    ----------
    features : array_like, shape (n, d)
        All images; memory grows with n^2.
    k : int
        Neighbours of WAD-Div.
    prdc_k : int
        Neighbours of precision, recall, density and coverage.
    prdc_convention : {"prdc", "kynkaanniemi"}
        As in `rl2qc.metrics.prdc.prdc`.
    distance : {"euclidean", "cosine"}
        Between neighbours in WAD-Div, IRS and authenticity; precision, recall, density and
        coverage are defined by the Euclidean one.
    groups : array_like, shape (n,), optional
        Slide of each image, for metrics that halve the real set.
    held_out : array_like of int, optional
        Rows of real images that are in no set to be scored; without them the real set is halved
        where such images are needed.
    seed : int
        Of the halves, and of the subsets that make sets equal in size.

    Examples
    --------
    >>> rows = RowMetrics([[0.0], [1.0], [2.0], [3.0], [0.5], [0.6], [9.0], [9.5]], k=1, prdc_k=1)
    >>> values = rows.neighbours(np.arange(4), np.arange(4, 8))
    >>> values["precision"], values["density"]
    (0.5, 1.0)
    """

    def __init__(
        self,
        features: ArrayLike,
        *,
        k: int = 3,
        prdc_k: int = 5,
        prdc_convention: Convention = "prdc",
        distance: Metric = "euclidean",
        groups: ArrayLike | None = None,
        held_out: ArrayLike | None = None,
        seed: int = 0,
    ) -> None:
        self.features = as_features(features)
        self.k, self.prdc_k, self.seed = k, prdc_k, seed
        self._within = np.less if prdc_convention == "prdc" else np.less_equal
        self._groups = None if groups is None else np.asarray(groups)
        self._held_out = None if held_out is None else np.asarray(held_out, dtype=np.intp)
        self._euclidean = distance_matrix(self.features)
        self._distances = (
            self._euclidean if distance == "euclidean" else cosine_matrix(self.features)
        )
        x = self.features.astype(np.float64)
        self._kernel = (x @ x.T / x.shape[1] + 1) ** 3
        self._image = first_occurrences(self.features, distance)
        self._known: dict[bytes, dict[str, float]] = {}

    def fid(self, real: _Rows, generated: _Rows) -> float:
        """Frechet distance."""
        return fid(self.features[real], self.features[generated]).value

    def r_fid(self, real: _Rows, generated: _Rows) -> float:
        """Real-against-real over real-against-generated FID for one halving of the real rows."""
        rest, aside = halves(real, self._groups, self.seed)
        size = min(len(aside), len(generated))
        observed = self.fid(rest, generated[:size])
        if observed == 0:
            raise ValueError("undefined: the generated images equal the real ones")
        return self.fid(rest, aside[:size]) / observed

    def kid(self, real: _Rows, generated: _Rows) -> float:
        """Unbiased kernel distance from all pairs."""
        m, n = len(real), len(generated)
        if min(m, n) < 2:
            raise ValueError(f"KID needs at least 2 images a set, got {min(m, n)}")
        own = np.diag(self._kernel)
        within_real = self._kernel[np.ix_(real, real)].sum() - own[real].sum()
        within = self._kernel[np.ix_(generated, generated)].sum() - own[generated].sum()
        across = self._kernel[np.ix_(real, generated)].mean()
        return float(within_real / (m * (m - 1)) + within / (n * (n - 1)) - 2 * across)

    def irs_adjusted(self, real: _Rows, generated: _Rows) -> float:
        """IRS_inf over that of held-out images; without any, of one half of the real rows."""
        if self._held_out is None:
            train, held_out = halves(real, self._groups, self.seed)
        else:
            train, held_out = real, self._held_out
        n_train = len(np.unique(self._image[train]))
        ours, theirs = self._retrieved(train, generated), self._retrieved(train, held_out)
        size = min(int(ours.sum()), int(theirs.sum()))
        s_ours, _ = _most_likely(_rarefied(ours, size), size, n_train)
        s_theirs, _ = _most_likely(_rarefied(theirs, size), size, n_train)
        return s_ours / s_theirs

    def nearer_train(self, real: _Rows, generated: _Rows) -> float:
        """Share of images nearer to the real rows than to as many held-out ones."""
        if self._held_out is None:
            raise ValueError("needs real images that the generator has not seen")
        size = min(len(real), len(self._held_out))
        return self._nearer(generated, real, self._held_out, size, self.seed)

    def nearer_train_null(self, real: _Rows, generated: _Rows, n: int) -> _Floats:
        """The same ``n`` times after real and held-out images (or slides) were shuffled.

        An honest generator knows neither from the other, so its value is one of these.
        """
        if self._held_out is None:
            raise ValueError("needs real images that the generator has not seen")
        both, size = np.concatenate([real, self._held_out]), min(len(real), len(self._held_out))
        values = []
        for seed in range(self.seed, self.seed + n):
            first, second = halves(both, self._groups, seed)
            fewest = min(size, len(first), len(second))
            values.append(self._nearer(generated, first, second, fewest, seed))
        return np.array(values)

    def neighbours(self, real: _Rows, generated: _Rows) -> dict[str, float]:
        """All metrics of nearest neighbours, by name; the same rows are only looked at once.

        A metric that the rows are too few for, or that is not defined, is left out.
        """
        key = real.tobytes() + b"|" + generated.tobytes()
        if key not in self._known:
            self._known[key] = self._neighbours(real, generated)
        return self._known[key]

    def _neighbours(self, real: _Rows, generated: _Rows) -> dict[str, float]:
        of_real, of_generated = self.spacing(real), self.spacing(generated)
        values = self._wad_div(real, generated, of_real, of_generated)
        across = self._distances[np.ix_(generated, real)]
        nearest, at = across.min(axis=1), across.argmin(axis=1)
        if len(real) > 1:
            values["authenticity"] = float(np.mean(nearest > of_real[at, 0]))
        n_train = len(np.unique(self._image[real]))
        retrieved = len(np.unique(self._image[real[at]]))
        values["irs_alpha"] = retrieved / n_train
        values["irs_inf"] = _most_likely(retrieved, len(generated), n_train)[0] / n_train
        if min(len(real), len(generated)) > self.prdc_k:
            values |= self._prdc(real, generated)
        return values

    def _prdc(self, real: _Rows, generated: _Rows) -> dict[str, float]:
        m = self.prdc_k

        def radii(rows: _Rows) -> _Floats:
            # Column 0 is the image itself: at distance 0 none comes before it.
            within = self._euclidean[np.ix_(rows, rows)]
            return np.asarray(np.partition(within, m, axis=1)[:, m])

        across = self._euclidean[np.ix_(generated, real)]
        of_real, of_generated = radii(real), radii(generated)
        inside = self._within(across, of_real)
        return {
            "precision": float(inside.any(axis=1).mean()),
            "recall": float(self._within(across, of_generated[:, None]).any(axis=0).mean()),
            "density": float(inside.sum(axis=1).mean() / m),
            "coverage": float(self._within(across.min(axis=0), of_real).mean()),
        }

    def _wad_div(
        self, real: _Rows, generated: _Rows, of_real: _Floats, of_generated: _Floats
    ) -> dict[str, float]:
        values: dict[str, float] = {}
        if len(generated) <= self.k:
            return values
        own = of_generated.ravel()
        values["wad_div_zero"] = float(own.mean())
        values["wad_div_exponential"] = _to_exponential(own, 0.95, 95.0, "closed", 0)
        if len(real) <= self.k:
            return values
        # The same draw as in wad_div.
        rng, size = np.random.default_rng(self.seed), min(len(real), len(generated))
        drawn = []
        for rows, known in ((generated, of_generated), (real, of_real)):
            if len(rows) > size:
                known = self.spacing(rows[np.sort(rng.choice(len(rows), size, replace=False))])
            drawn.append(known.ravel())
        values["wad_div_empirical"] = _wasserstein(*drawn)
        if scale := float(drawn[1].mean()):
            values["wad_div_ratio"] = float(drawn[0].mean()) / scale
            values["wad_div_normalized"] = min(values["wad_div_ratio"], 1.0)
        return values

    def nearest(self, rows: _Rows, reference: _Rows, m: int) -> tuple[_Rows, _Floats]:
        """Positions in ``reference`` of the ``m`` nearest, and their distances."""
        across = self._distances[np.ix_(rows, reference)]
        at = np.argsort(across, axis=1, kind="stable")[:, :m]
        return at, np.take_along_axis(across, at, axis=1)

    def _nearer(self, generated: _Rows, first: _Rows, second: _Rows, size: int, seed: int) -> float:
        """Share nearer to ``size`` rows of the first than to as many of the second."""
        rng = np.random.default_rng(seed)  # the same draws as in authenticity
        to_first, to_second = (
            self._distances[
                np.ix_(generated, rows[np.sort(rng.choice(len(rows), size, replace=False))])
            ].min(axis=1)
            for rows in (first, second)
        )
        return float(np.mean((to_first < to_second) + 0.5 * (to_first == to_second)))

    def spacing(self, rows: _Rows) -> _Floats:
        """Distances to the `k` nearest others, or to as many as there are, nearest first."""
        k = min(self.k, len(rows) - 1)
        within = self._distances[np.ix_(rows, rows)]
        np.fill_diagonal(within, np.inf)
        return np.sort(np.partition(within, max(k - 1, 0), axis=1)[:, :k], axis=1)

    def _retrieved(self, train: _Rows, queries: _Rows) -> _Rows:
        """How often each retrieved training image was retrieved."""
        at = self._distances[np.ix_(queries, train)].argmin(axis=1)
        return np.unique(self._image[train[at]], return_counts=True)[1]


def halves(rows: _Rows, groups: NDArray[np.generic] | None, seed: int) -> tuple[_Rows, _Rows]:
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


def distance_matrix(features: FloatArray) -> _Floats:
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


def cosine_matrix(features: FloatArray) -> _Floats:
    """Cosine distances 1 - cos of all pairs, (n, n); ``ValueError`` for a row of zeros."""
    x = features.astype(np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(f"cosine distance is undefined: row {int(np.argmin(norms))} is all zero")
    # Half the squared distance of unit vectors: exact where 1 - cos would cancel.
    return distance_matrix(x / norms) ** 2 / 2

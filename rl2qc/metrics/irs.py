"""IRS, the image retrieval score: how much of the training set a generator has learned."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from rl2qc.metrics._duplicates import first_occurrences
from rl2qc.metrics._occupancy import Tails, distribution, expected_distinct
from rl2qc.metrics.neighbors import Backend, Metric, kneighbors
from rl2qc.stats._checks import FloatArray, as_count, as_feature_pair

__all__ = [
    "IrsEstimate",
    "IrsExpectation",
    "IrsResult",
    "irs",
    "irs_expected",
    "irs_from_counts",
    "irs_minimum_learned",
]


class IrsEstimate(NamedTuple):
    """IRS_inf from counts alone: shares of the training set, in (0, 1]."""

    value: float
    low: float
    high: float
    saturated: bool


class IrsExpectation(NamedTuple):
    """Distinct training images that a generator of given diversity retrieves."""

    low: int
    mean: float
    high: int


@dataclass(frozen=True)
class IrsResult:
    """The image retrieval score and what it was computed from.

    Parameters
    ----------
    value : float
        IRS_inf: the share of the training images that infinitely many generated ones would
        retrieve, by maximum likelihood; in (0, 1], higher is more diverse.
    low, high : float
        Bounds of IRS_inf, each exceeded with probability ``alpha``.
    saturated : bool
        The likelihood still rises at 1: the generated images are too few, or too diverse, to
        bound the value from above.
    irs_alpha : float
        IRS_alpha: the share retrieved by the images at hand.
    adjusted : float or None
        IRS_inf of the generated over IRS_inf of as many held-out real images, which cancels what
        the features cannot retrieve even from real images. None without held-out images.
    adjusted_saturated : bool or None
        Whether either of the two estimates is saturated.
    retrieved : int
        Distinct training images retrieved.
    n, n_train : int
        Generated images; training images, exact duplicates counted once.
    n_duplicates : int
        Training images left out because they are exact duplicates of others.
    metric : str
    alpha : float
        Error probability of each bound.
    """

    value: float
    low: float
    high: float
    saturated: bool
    irs_alpha: float
    adjusted: float | None
    adjusted_saturated: bool | None
    retrieved: int
    n: int
    n_train: int
    n_duplicates: int
    metric: str
    alpha: float

    def __float__(self) -> float:
        return self.value


def irs(
    train: ArrayLike,
    generated: ArrayLike,
    held_out: ArrayLike | None = None,
    *,
    metric: Metric = "euclidean",
    alpha: float = 0.05,
    memory_mb: float = 256.0,
    backend: Backend = "auto",
) -> IrsResult:
    """Image retrieval score of generated images.

    Every generated image retrieves its nearest training image; the number of distinct ones tells
    how many the generator draws from (`irs_from_counts`). Exact duplicates in the training set
    (under the cosine metric: positive multiples) are one image: which of them is nearest is
    chance, and they could never all be retrieved.

    Parameters
    ----------
    train : array_like, shape (N, d)
    generated : array_like, shape (n, d)
    held_out : array_like, shape (m, d), optional
        Real images that are not in ``train``, for the adjusted score. The larger of the two query
        sets is brought to the size of the smaller one by its expected number of distinct images
        over all subsets (rarefaction), so nothing is drawn at random.
    metric : {"euclidean", "cosine"}
    alpha : float
        Error probability of each of the two bounds, in (0, 0.5).
    memory_mb, backend
        Passed to `rl2qc.metrics.neighbors.kneighbors`.

    Raises
    ------
    ValueError
        If a set is no finite, non-empty 2-D array, the dimensions differ, or ``alpha`` is out of
        range.

    References
    ----------
    Dombrowski et al., "Image generation diversity issues and how to tame them", CVPR 2025;
    rarefaction: Hurlbert, "The nonconcept of species diversity", Ecology 52, 1971, Eq. 14.

    Examples
    --------
    >>> result = irs([[0.0], [1.0], [2.0], [3.0]], [[0.1], [0.2], [1.1], [0.9], [1.2], [0.3]])
    >>> result.retrieved, result.irs_alpha, result.value
    (2, 0.5, 0.5)
    """
    real, x = as_feature_pair(train, generated, ("train", "generated"))
    image = first_occurrences(real, metric)
    n_train = len(np.unique(image))

    def retrieve(queries: FloatArray) -> NDArray[np.intp]:
        """How often each retrieved training image was retrieved."""
        found = kneighbors(queries, real, 1, metric=metric, memory_mb=memory_mb, backend=backend)
        return np.unique(image[found.indices[:, 0]], return_counts=True)[1]

    counts = retrieve(x)
    estimate = irs_from_counts(len(counts), len(x), n_train, alpha)
    adjusted = adjusted_saturated = None
    if held_out is not None:
        other = retrieve(as_feature_pair(real, held_out, ("train", "held_out"))[1])
        size = min(int(counts.sum()), int(other.sum()))
        ours, ours_saturated = _most_likely(_rarefied(counts, size), size, n_train)
        theirs, theirs_saturated = _most_likely(_rarefied(other, size), size, n_train)
        adjusted, adjusted_saturated = ours / theirs, ours_saturated or theirs_saturated
    return IrsResult(
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        saturated=estimate.saturated,
        irs_alpha=len(counts) / n_train,
        adjusted=adjusted,
        adjusted_saturated=adjusted_saturated,
        retrieved=len(counts),
        n=len(x),
        n_train=n_train,
        n_duplicates=len(real) - n_train,
        metric=metric,
        alpha=alpha,
    )


def irs_from_counts(
    retrieved: int, n_generated: int, n_train: int, alpha: float = 0.05
) -> IrsEstimate:
    r"""IRS_inf and its bounds from the number of distinct training images retrieved.

    The generator is modelled as drawing n images uniformly from s of the N training images, so
    the number K of distinct ones has :math:`P(K = k) = \frac{s!}{(s-k)!} S(n, k) s^{-n}`. The
    value is the most likely s over N, found by bisection where
    :math:`\log \frac{L(s)}{L(s-1)} = \log\frac{s}{s-k} + n \log(1 - \frac{1}{s})` changes sign.
    The upper bound is the largest s with :math:`P(K \le k) \ge \alpha`, the lower one the
    smallest with :math:`P(K \ge k) \ge \alpha`.

    Parameters
    ----------
    retrieved : int
        k, in 1 ... min(n, N).
    n_generated, n_train : int
        n and N.
    alpha : float
        Error probability of each bound, in (0, 0.5).

    Raises
    ------
    ValueError
        If the counts contradict each other, or ``alpha`` is out of range.

    Examples
    --------
    >>> irs_from_counts(12, 15, 32)
    IrsEstimate(value=0.9375, low=0.46875, high=1.0, saturated=False)
    """
    _check_counts(n_train, n_generated, alpha)
    if not 1 <= as_count(retrieved, "retrieved", at_least=0) <= min(n_generated, n_train):
        raise ValueError(
            f"retrieved must be between 1 and min(n_generated, n_train) ="
            f" {min(n_generated, n_train)}, got {retrieved}"
        )
    s, saturated = _most_likely(retrieved, n_generated, n_train)
    tails = Tails(n_generated, retrieved)
    high = _last(lambda s: tails.at_most(s) >= alpha, retrieved, n_train)
    # Where even N classes make k distinct ones unlikely, N is the best that can be said.
    low = min(_last(lambda s: tails.at_least(s) < alpha, retrieved - 1, n_train) + 1, n_train)
    return IrsEstimate(s / n_train, low / n_train, high / n_train, saturated)


def irs_expected(
    n_train: int, n_generated: int, diversity: float = 1.0, alpha: float = 0.05
) -> IrsExpectation:
    """Mean and central range of the distinct training images retrieved.

    Parameters
    ----------
    n_train, n_generated : int
    diversity : float
        Share of the training images that the generator draws from, uniformly; in (0, 1].
    alpha : float
        Probability left out on either side of the range, in (0, 0.5).

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> low, mean, high = irs_expected(32, 15)
    >>> low, round(mean, 1), high
    (10, 12.1, 14)

    The idealised IRS_alpha of the paper, 1 - (1 - 1/N)^n:

    >>> round(100 * irs_expected(50_000, 100_000).mean / 50_000, 2)
    86.47
    """
    _check_counts(n_train, n_generated, alpha)
    if not 0 < diversity <= 1:
        raise ValueError(f"diversity must be in (0, 1], got {diversity!r}")
    s = max(round(diversity * n_train), 1)
    k, p = distribution(n_generated, s)
    low = k[np.searchsorted(np.cumsum(p), alpha)]
    high = k[::-1][np.searchsorted(np.cumsum(p[::-1]), alpha)]
    return IrsExpectation(int(low), expected_distinct(n_generated, s), int(high))


def irs_minimum_learned(
    n_train: int, n_generated: int, diversity: float, alpha: float = 0.05
) -> int:
    """k_min of the paper's early rejection: fewer distinct images reject the wanted diversity.

    The largest k with P(K <= k) < ``alpha`` for a generator that draws uniformly from the wanted
    share of the training images; 0 if there is none.

    Parameters
    ----------
    n_train, n_generated : int
    diversity : float
        Wanted IRS_inf, in (0, 1].
    alpha : float
        Probability of rejecting a generator that has it, in (0, 0.5).

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    Dombrowski et al., CVPR 2025, supplement, Eq. 9 and its example:

    Examples
    --------
    >>> irs_minimum_learned(1_281_166, 50_000, 0.8)
    48744
    """
    return irs_expected(n_train, n_generated, diversity, alpha).low - 1


def _check_counts(n_train: int, n_generated: int, alpha: float) -> None:
    as_count(n_train, "n_train")
    as_count(n_generated, "n_generated")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must be in (0, 0.5), got {alpha!r}")


def _most_likely(k: float, n: int, n_train: int) -> tuple[int, bool]:
    """The s in k ... N of the largest likelihood, and whether it still rises beyond N."""

    def rises(s: int) -> bool:
        """L(s) > L(s - 1). With n distinct among n it always does (or, for n = 1, never falls)."""
        return s <= k or k >= n or -math.log1p(-k / s) + n * math.log1p(-1 / s) > 0

    first = math.ceil(k)
    return _last(rises, first, n_train), rises(n_train + 1)


def _last(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The last of low ... high for which a predicate holds that holds for low and never returns."""
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _rarefied(counts: NDArray[np.intp], size: int) -> float:
    """Expected number of distinct images in a random subset of ``size`` retrievals."""
    n = int(counts.sum())
    missing = n - counts
    possible = missing >= size  # else every subset holds the image
    log_absent = (
        gammaln(missing[possible] + 1)
        - gammaln(missing[possible] - size + 1)
        - gammaln(n + 1)
        + gammaln(n - size + 1)
    )
    return float(len(counts) - np.exp(log_absent).sum())

"""The image retrieval score from counts alone: the occupancy model, its bounds, its range."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rl2qc.metrics._occupancy import Tails, distribution, expected_distinct
from rl2qc.stats._checks import as_count

__all__ = [
    "IrsEstimate",
    "IrsExpectation",
    "irs_expected",
    "irs_from_counts",
    "irs_minimum_learned",
    "most_likely",
]


# Tail probabilities are right to about a millionth of this: one that equals alpha is not below it.
_ROUNDING = 1e-9


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
    s, saturated = most_likely(retrieved, n_generated, n_train)
    tails, least = Tails(n_generated, retrieved), alpha * (1 - _ROUNDING)
    high = _last(lambda s: tails.at_most(s) >= least, retrieved, n_train)
    # Where even N classes make k distinct ones unlikely, N is the best that can be said.
    low = min(_last(lambda s: tails.at_least(s) < least, retrieved - 1, n_train) + 1, n_train)
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
    least = alpha * (1 - _ROUNDING)
    low = k[np.searchsorted(np.cumsum(p), least)]
    high = k[::-1][np.searchsorted(np.cumsum(p[::-1]), least)]
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


def most_likely(k: float, n: int, n_train: int) -> tuple[int, bool]:
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

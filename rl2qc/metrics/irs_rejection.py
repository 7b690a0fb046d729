"""Rejecting a generator by IRS before all of its images are there: where to look, and how low.

A look at every image would reject a good generator in the end: each look has its chance of error.
Looks are therefore taken at numbers that grow by a quarter, and their common level is chosen so
that all together reject a generator of the wanted diversity with probability ``alpha``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics._occupancy import rarefied
from rl2qc.metrics.irs_counts import irs_from_counts, irs_minimum_learned, most_likely
from rl2qc.stats._checks import as_count

__all__ = ["RejectionPlan", "beside_real", "rejection_plan"]

_FIRST, _GROWTH = 10, 1.25
# Up to so many images the law of all looks together is worked out; beyond, errors are added up.
_EXACT_UP_TO = 10_000
_HALVINGS = 5


@dataclass(frozen=True)
class RejectionPlan:
    """At which numbers of images to look, and what rejects there.

    Parameters
    ----------
    looks : tuple of int
        Numbers of generated images, rising.
    most : tuple of int
        With no more distinct training images than this the generator is rejected; 0 where nothing
        can be said yet.
    level : float
        Error probability of each look.
    error : float
        Probability that any of them rejects a generator of the wanted diversity: exact, or a
        bound.
    """

    looks: tuple[int, ...]
    most: tuple[int, ...]
    level: float
    error: float

    def rejects(self, n: int, retrieved: int) -> bool:
        """Whether ``retrieved`` distinct training images at a look of ``n`` images reject."""
        return n in self.looks and retrieved <= self.most[self.looks.index(n)]


def rejection_plan(
    n_train: int, n_generated: int, diversity: float, alpha: float = 0.05
) -> RejectionPlan:
    """When to look at a generator, so that all looks together err with probability ``alpha``.

    Parameters
    ----------
    n_train
        Training images, equal ones counted once.
    n_generated
        Images that there are, or will be.
    diversity
        Wanted IRS_inf, in (0, 1].
    alpha
        Probability of rejecting a generator that draws uniformly from that share of the training
        images.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    Dombrowski et al., CVPR 2025, supplement, Eq. 9 (one look).

    Examples
    --------
    >>> plan = rejection_plan(800, 200, 0.8)
    >>> plan.looks[:3], plan.error <= 0.05, plan.rejects(200, 120)
    ((10, 13, 16), True, True)
    """
    as_count(n_generated, "n_generated")
    looks = _looks(n_generated)

    def bounds(level: float) -> list[int]:
        return [irs_minimum_learned(n_train, n, diversity, level) for n in looks]

    classes = max(round(diversity * n_train), 1)
    low = alpha / len(looks)
    most, error = bounds(low), alpha
    if n_generated <= _EXACT_UP_TO:
        error = _error(classes, looks, most)
        high = alpha
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            tried = bounds(middle)
            found = _error(classes, looks, tried)
            if found <= alpha:
                low, most, error = middle, tried, found
            else:
                high = middle
    return RejectionPlan(tuple(looks), tuple(most), low, error)


def beside_real(
    plan: RejectionPlan, n_train: int, diversity: float, counts: NDArray[np.intp]
) -> tuple[RejectionPlan, float]:
    """A plan that asks no more of the generator than real images that it has not seen achieve.

    Features lead some images to the same training images again and again, real ones as well: they
    retrieve fewer distinct ones than uniform draws from all would, by a share that depends on the
    number of images. At each look the generator is held against as many of the real ones, less
    what chance may have added to them.

    Parameters
    ----------
    plan
        Of :func:`rejection_plan`, for the same numbers.
    n_train, diversity
        As there.
    counts : (r,) int
        How often each training image that real images retrieved was retrieved.

    Returns
    -------
    The plan, and the share of the training images that all the real images stand for.
    """
    n_real = int(counts.sum())
    of_all = irs_from_counts(len(counts), n_real, n_train, plan.level)
    most = []
    for n, before in zip(plan.looks, plan.most, strict=True):
        size = min(n, n_real)
        classes, _ = most_likely(rarefied(counts, size), size, n_train)
        share = min(classes / n_train, of_all.value) * of_all.low / of_all.value
        wanted = max(diversity * share, 1 / n_train)
        most.append(min(before, irs_minimum_learned(n_train, n, wanted, plan.level)))
    return replace(plan, most=tuple(most)), of_all.value


def _looks(n: int) -> list[int]:
    looks, next_one = [], float(_FIRST)
    while round(next_one) < n:
        looks.append(int(np.ceil(next_one)))
        next_one = max(next_one * _GROWTH, looks[-1] + 1)
    return [*[look for look in looks if look < n], n]


def _error(classes: int, looks: Sequence[int], most: Sequence[int]) -> float:
    """Probability that uniform draws from so many classes are rejected at any of the looks.

    The number of distinct classes is a Markov chain: a draw is new with probability 1 - k / s.
    """
    size = min(looks[-1], classes) + 2
    at: NDArray[np.float64] = np.zeros(size)
    at[0] = 1
    old = np.minimum(np.arange(size) / classes, 1)
    rejected, low, high = 0.0, 0, 1
    bounds = dict(zip(looks, most, strict=True))
    for n in range(1, looks[-1] + 1):
        high = min(high + 1, size)
        window = at[low:high]
        moved = window * (1 - old[low:high])
        window *= old[low:high]
        window[1:] += moved[:-1]
        if n in bounds:
            taken = at[: bounds[n] + 1]
            rejected += float(taken.sum())
            taken[:] = 0
            # What has no weight any more costs no time.
            live = np.flatnonzero(at > 1e-18)
            if not live.size:
                break
            low, high = int(live[0]), int(live[-1]) + 1
    return rejected

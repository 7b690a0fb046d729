"""Area under the ROC curve: how well a score tells clean from damaged images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from rl2qc.stats._checks import as_count
from rl2qc.stats._shares import share_bounds

__all__ = ["AucResult", "auc"]

# Rows of the table of comparisons held at once: 16 MB for 2,000 damaged images.
_BLOCK = 1024


@dataclass(frozen=True)
class AucResult:
    """AUC (1: every clean image scores above every damaged one; 0.5: chance) and its interval.

    Parameters
    ----------
    value, low, high : float
        NaN for an interval that was not asked for.
    n_clean, n_damaged : int
    n_resamples : int
    """

    value: float
    low: float
    high: float
    n_clean: int
    n_damaged: int
    n_resamples: int

    def __float__(self) -> float:
        return self.value


def auc(
    clean: ArrayLike,
    damaged: ArrayLike,
    *,
    paired: bool = False,
    n_resamples: int = 500,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> AucResult:
    r"""AUC of a score that is higher for clean images, with its bootstrap interval.

    .. math:: \frac{1}{nm} \sum_{i,j} [c_i > d_j] + \tfrac{1}{2} [c_i = d_j]

    The interval holds the central range of the AUC over resamples with replacement. (All
    resamples share one table of comparisons, so that a resample costs two products with it.)
    Near 0 and 1 resamples hardly vary, so it also holds

    - of unpaired sets Newcombe's interval: the areas :math:`\theta` with
      :math:`|AUC - \theta| \le z \sqrt{V(\theta)}`, V the variance of Hanley and McNeil at
      (n + m) / 2 images a set;
    - of pairs that of Clopper and Pearson for the number of independent comparisons that the
      resamples are worth;
    - where every comparison is won, or lost, that of Clopper and Pearson for k of k, k the smaller
      number of images (of pairs half of them). So many comparisons share no image, hence it holds
      whatever the scores are; nor would a narrower one do where a share of the smaller set lies
      beyond all of the other.

    Parameters
    ----------
    clean : array_like, shape (n,)
    damaged : array_like, shape (m,)
        Infinite scores are allowed.
    paired : bool
        Image i of both sets is one patch, clean and damaged: patches are drawn.
    n_resamples : int
        0 for no interval.
    level : float
    seed : int or numpy Generator

    Raises
    ------
    ValueError
        For an empty set, scores that are not numbers, pairs of different number, or options out
        of range.

    References
    ----------
    Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve", Radiology 1982; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
    chapter 13 (percentile interval); Newcombe, "Confidence intervals for an effect size measure
    based on the Mann-Whitney statistic. Part 2", Statistics in Medicine 2006, method 5; Clopper
    and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 1934.

    Examples
    --------
    >>> auc([3.0, 4.0], [1.0, 3.0], n_resamples=0).value
    0.875
    """
    c, d = _scores(clean, "clean"), _scores(damaged, "damaged")
    if paired and len(c) != len(d):
        raise ValueError(f"paired sets must have as many images, got {len(c)} and {len(d)}")
    as_count(n_resamples, "n_resamples", at_least=0)
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    rng = np.random.default_rng(seed)
    # How often each image is in the sample: first as it is, then resampled.
    of_clean = np.vstack([np.ones(len(c)), _counts(len(c), n_resamples, rng)])
    of_damaged = (
        of_clean if paired else np.vstack([np.ones(len(d)), _counts(len(d), n_resamples, rng)])
    )
    wins = np.zeros(of_damaged.shape)
    for start in range(0, len(c), _BLOCK):
        rows = c[start : start + _BLOCK, None]
        better = (rows > d) + 0.5 * (rows == d)
        wins += of_clean[:, start : start + _BLOCK] @ better
    values = (wins * of_damaged).sum(1) / (len(c) * len(d))
    value, low, high = float(values[0]), math.nan, math.nan
    if n_resamples:
        low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
        if paired or value in (0, 1):
            apart = max(len(c) // 2, 1) if paired else min(len(c), len(d))
            ends = share_bounds(value, float(np.var(values[1:])), level, apart, max(len(c) - 1, 1))
        else:
            ends = _newcombe(value, len(c), len(d), level)
        low, high = min(low, ends[0]), max(high, ends[1])
    return AucResult(value, float(low), float(high), len(c), len(d), n_resamples)


def _newcombe(value: float, n: int, m: int, level: float) -> tuple[float, float]:
    """The areas that are not too far from the one observed for their own standard error."""
    z, size = float(ndtri((1 + level) / 2)), (n + m) / 2

    def beyond(area: float) -> float:
        spread = 1 + (size - 1) * ((1 - area) / (2 - area) + area / (1 + area))
        return (value - area) ** 2 - z**2 * area * (1 - area) * spread / (n * m)

    # Negative at the value, positive at 0 and 1.
    return float(brentq(beyond, 0, value)), float(brentq(beyond, value, 1))


def _scores(values: ArrayLike, name: str) -> NDArray[np.float64]:
    scores = np.asarray(values, np.float64)
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any():
        raise ValueError(f"{name} must hold one number an image, got shape {scores.shape} or NaN")
    return scores


def _counts(n: int, n_resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64)

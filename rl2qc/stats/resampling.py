"""Intervals for any metric, by bootstrap or subsampling.

A metric here is any function of arrays (rows are images) that returns a float. Two facts shape
this module. Images of one slide or patient are not independent, so whole groups are drawn where
group ids are given. And most metrics of generated sets are biased by an amount that depends on
the number of images, and resamples shift that bias again: resampled values are therefore never
used as they are, only their deviations from their own mean. An interval covers *the expected
value of the metric at this number of images*; what that bias amounts to is the baseline's to
say (:mod:`rl2qc.stats.baseline`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.stats._shares import share_bounds
from rl2qc.stats._units import Array, Draws, Rows, Units, check_options, drawn_as, finite

__all__ = ["Interval", "Method", "bootstrap", "subsample"]

Method: TypeAlias = Literal["bootstrap", "subsample"]


@dataclass(frozen=True)
class Interval:
    """A value of a metric and its confidence interval.

    Parameters
    ----------
    value, low, high : float
        ``low <= value <= high``.
    level : float
        Coverage aimed at, such as 0.95.
    n_resamples : int
    method : {"bootstrap", "subsample"}
    by_group : bool
        Whether whole groups were drawn.
    """

    value: float
    low: float
    high: float
    level: float
    n_resamples: int
    method: Method
    by_group: bool = False

    def holding(self, low: float, high: float) -> Interval:
        """The smallest interval that holds this one and the bounds of another source.

        For a value with bounds of its own, such as those of the occupancy model of
        :mod:`rl2qc.metrics.irs`, whose assumption of independent images resampling does not share.

        Examples
        --------
        >>> interval = Interval(0.5, 0.4, 0.6, 0.95, 200, "subsample", by_group=True)
        >>> joined = interval.holding(0.3, 0.55)
        >>> joined.low, joined.high
        (0.3, 0.6)
        """
        return replace(self, low=min(self.low, low), high=max(self.high, high))


def bootstrap(
    metric: Callable[..., float],
    *samples: ArrayLike,
    groups: Sequence[ArrayLike | None] | None = None,
    n_resamples: int = 200,
    level: float = 0.95,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    value: float | None = None,
    seed: int | np.random.Generator = 0,
) -> Interval:
    r"""Bootstrap interval (drawing with replacement), for moment-based metrics.

    Not for neighbour-based metrics: a repeated image has a neighbour at distance 0 that the data
    do not have. Use :func:`subsample` there.

    With :math:`\theta^*` the resampled values the interval is
    :math:`[\theta - q_{1-a}, \theta - q_a]`, q being quantiles of
    :math:`\sqrt{u/(u-1)}\,(\theta^* - \overline{\theta^*})`, u the number of units (images or
    groups) of the smallest sample and a half of 1 - level.

    Parameters
    ----------
    metric : callable
        Called with one resampled array for each sample; returns a float.
    *samples : array_like, rows are images
        What to resample, each on its own. Leave what is to stay fixed to the closure of ``metric``.
    groups : sequence of (array_like or None), optional
        For each sample the slide or patient of each image, or ``None``.
    n_resamples : int
        At least 2; 200 steady the ends of a 95 % interval to about a tenth of its width.
    level : float
        Between 0 and 1.
    bounds : (float, float)
        Range of the metric, to which the ends are clipped. ``(0, 1)`` says that the metric is a
        share: the interval then also holds that of Clopper and Pearson at the number of units
        that the resamples are worth, since resamples of a share of 0 or 1 do not vary at all,
        and those near either hardly do.
    value : float, optional
        The value at the samples themselves, where it is known already, or was computed with more
        effort than the resamples are to take.
    seed : int or numpy Generator

    Raises
    ------
    ValueError
        For samples of fewer than two units, group ids that do not match, options out of range,
        or a metric that is not finite. Errors of ``metric`` pass through.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6 and 10; Davison and
    Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8 (groups); Clopper and
    Pearson, Biometrika 1934, at the effective sample size of Korn and Graubard, "Confidence
    intervals for proportions with small expected number of positive counts estimated from survey
    data", Survey Methodology 1998 (shares).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=100)
    >>> interval = bootstrap(np.mean, x)
    >>> interval.low < 0 < interval.high
    True
    """
    arrays, units = _prepare(samples, groups)
    check_options(n_resamples, level)
    value = finite(metric(*arrays) if value is None else value)

    def draw(unit: Units, rng: np.random.Generator) -> Rows:
        return rng.integers(unit.count, size=unit.count)

    smallest = min(u.count for u in units)
    scale = np.sqrt(smallest / (smallest - 1))
    deviations = scale * _deviations(metric, arrays, units, draw, n_resamples, seed)
    return _interval(value, deviations, level, bounds, "bootstrap", groups, units)


def subsample(
    metric: Callable[..., float],
    *samples: ArrayLike,
    fraction: float = 0.5,
    groups: Sequence[ArrayLike | None] | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    value: float | None = None,
    **draws: Unpack[Draws],
) -> Interval:
    r"""Subsampling interval (drawing without replacement), for neighbour-based metrics.

    A statistic of m of n units drawn without replacement has variance
    :math:`\sigma^2 (1/m - 1/n)` about that of all n, where an independent sample of n has
    :math:`\sigma^2 / n`. Deviations from the mean of the resamples are therefore multiplied by
    :math:`\sqrt{m / (n - m)}`: by 1 for halves. The interval is then made as in
    :func:`bootstrap`. The metric must mean the same at m as at n images, up to a bias (which is
    removed): a mean, a fraction or a distance does, a count does not.

    Parameters
    ----------
    metric : callable
        Called with one subsample of each sample; returns a float.
    *samples : array_like, rows are images
    fraction : float
        m / n, between 0 and 1; m is rounded down, but at least 1.
    groups, bounds, value, n_resamples, level, seed
        As in :func:`bootstrap`. Of grouped samples m and n count groups.

    Raises
    ------
    ValueError
        As :func:`bootstrap`.

    References
    ----------
    Politis, Romano and Wolf, "Subsampling", 1999; Wu, "On the asymptotic properties of the
    jackknife histogram", Annals of Statistics 1990.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=100)
    >>> interval = subsample(np.mean, x)
    >>> interval.low < 0 < interval.high
    True
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, got {fraction}")
    n_resamples, level, seed = drawn_as(draws)
    arrays, units = _prepare(samples, groups)
    check_options(n_resamples, level)
    value = finite(metric(*arrays) if value is None else value)

    def size(unit: Units) -> int:
        return max(1, int(fraction * unit.count))

    def draw(unit: Units, rng: np.random.Generator) -> Rows:
        return rng.permutation(unit.count)[: size(unit)]

    # Rounding makes the samples' factors differ a little: the largest is the cautious one.
    scale = np.sqrt(max(size(u) / (u.count - size(u)) for u in units))
    deviations = scale * _deviations(metric, arrays, units, draw, n_resamples, seed)
    return _interval(value, deviations, level, bounds, "subsample", groups, units)


def _prepare(
    samples: Sequence[ArrayLike], groups: Sequence[ArrayLike | None] | None
) -> tuple[list[Array], list[Units]]:
    if not samples:
        raise ValueError("there is no sample to resample")
    groups = [None] * len(samples) if groups is None else list(groups)
    if len(groups) != len(samples):
        raise ValueError(
            f"groups needs one entry (or None) a sample: {len(samples)}, got {len(groups)}"
        )
    arrays: list[Array] = [np.atleast_1d(sample) for sample in samples]
    units = [
        Units(array, group, f"sample {i}")
        for i, (array, group) in enumerate(zip(arrays, groups, strict=True))
    ]
    return arrays, units


def _deviations(
    metric: Callable[..., float],
    arrays: Sequence[Array],
    units: Sequence[Units],
    draw: Callable[[Units, np.random.Generator], Rows],
    n_resamples: int,
    seed: int | np.random.Generator,
) -> NDArray[np.float64]:
    """The metric of each resample less the mean over all of them."""
    rng = np.random.default_rng(seed)
    values = np.empty(n_resamples)
    for i in range(n_resamples):
        drawn = [a[u.rows(draw(u, rng))] for a, u in zip(arrays, units, strict=True)]
        values[i] = finite(metric(*drawn))
    deviations: NDArray[np.float64] = values - values.mean()
    return deviations


def _interval(
    value: float,
    deviations: NDArray[np.float64],
    level: float,
    bounds: tuple[float, float],
    method: Method,
    groups: Sequence[ArrayLike | None] | None,
    units: Sequence[Units],
) -> Interval:
    below, above = np.quantile(deviations, [(1 + level) / 2, (1 - level) / 2])
    # A mean can lie beyond a quantile of its own very skewed sample; the value stays inside.
    found = Interval(
        value,
        float(min(max(value - below, bounds[0]), value)),
        float(max(min(value - above, bounds[1]), value)),
        level,
        len(deviations),
        method,
        groups is not None and any(group is not None for group in groups),
    )
    if tuple(bounds) != (0, 1) or not 0 <= value <= 1:
        return found
    effective, degrees = min(u.effective for u in units), min(u.count for u in units) - 1
    return found.holding(*share_bounds(value, float(np.var(deviations)), level, effective, degrees))

"""Intervals, real-against-real nulls and paired differences, for any metric.

A metric here is any function of arrays (rows are images) that returns a float. Two facts shape
this module. Images of one slide or patient are not independent, so whole groups are drawn where
group ids are given. And most metrics of generated sets are biased by an amount that depends on
the number of images, and resamples shift that bias again: resampled values are therefore never
used as they are, only their deviations from their own mean. An interval covers *the expected
value of the metric at this number of images*; what that bias amounts to is the floor's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics._checks import as_count
from rl2qc.metrics._shares import share_bounds

__all__ = [
    "Difference",
    "Interval",
    "Null",
    "bootstrap",
    "null_distribution",
    "paired_difference",
    "subsample",
]

Method: TypeAlias = Literal["bootstrap", "subsample"]
_Array: TypeAlias = NDArray[Any]
_Rows: TypeAlias = NDArray[np.intp]


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
        `rl2qc.metrics.irs`, whose assumption of independent images resampling does not share.

        Examples
        --------
        >>> interval = Interval(0.5, 0.4, 0.6, 0.95, 200, "subsample", by_group=True)
        >>> joined = interval.holding(0.3, 0.55)
        >>> joined.low, joined.high
        (0.3, 0.6)
        """
        return replace(self, low=min(self.low, low), high=max(self.high, high))


@dataclass(frozen=True)
class Null:
    """Real against real at the same numbers of images, and where the generated set stands.

    Parameters
    ----------
    floor : float
        Median of the metric between disjoint parts of the real set.
    low, high : float
        Central range of those values that holds a share ``level`` of them.
    percentile : float
        Share of them, in percent, below ``observed`` (ties count half): about 50 for a set that
        cannot be told from real, 0 or 100 for one beyond all of them.
    observed : float
        Median of the metric between the same real parts and as many generated images.
    n_real, n_generated : int
        Images on the two sides (medians over the splits where groups make them vary).
    level : float
    n_resamples : int
    by_group : bool
    """

    floor: float
    low: float
    high: float
    percentile: float
    observed: float
    n_real: int
    n_generated: int
    level: float
    n_resamples: int
    by_group: bool = False


@dataclass(frozen=True)
class Difference:
    """Metric of one generated set minus that of another, against the same real images.

    Parameters
    ----------
    value, low, high : float
        ``value_a - value_b`` and its interval.
    value_a, value_b : float
    level : float
    n_resamples : int
    method : {"bootstrap", "subsample"}
    by_group : bool
    warnings : tuple of str
    """

    value: float
    low: float
    high: float
    value_a: float
    value_b: float
    level: float
    n_resamples: int
    method: Method
    by_group: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


class _Units:
    """The independent units of one sample: its rows, or its groups of rows."""

    def __init__(
        self, sample: _Array, groups: ArrayLike | None, name: str, at_least: int = 2
    ) -> None:
        self.groups: list[_Rows] | None = None
        self.count, self.effective = len(sample), float(len(sample))
        if groups is not None:
            labels = np.asarray(groups)
            if labels.shape != (len(sample),):
                raise ValueError(
                    f"groups of {name} must hold one id an image ({len(sample)}),"
                    f" got shape {labels.shape}"
                )
            missing = [v is None or v != v for v in labels] if labels.dtype.kind in "Of" else []
            if any(missing):
                raise ValueError(
                    f"groups of {name} lack the id of {sum(missing)} of {len(labels)} images,"
                    f" the first is image {missing.index(True)}"
                )
            try:
                _, member, sizes = np.unique(labels, return_inverse=True, return_counts=True)
            except TypeError:
                raise ValueError(f"groups of {name} must be ids of one type") from None
            self.groups = np.split(np.argsort(member, kind="stable"), np.cumsum(sizes)[:-1])
            self.count = len(self.groups)
            # Kish: groups of unequal size say no more than this number of equal ones.
            self.effective = float(sizes.sum() ** 2 / np.square(sizes).sum())
        if self.count < at_least:
            unit = "images" if groups is None else "groups"
            raise ValueError(
                f"{name} needs at least {at_least} {unit} to resample, got {self.count}"
            )

    def rows(self, units: _Rows) -> _Rows:
        return units if self.groups is None else np.concatenate([self.groups[u] for u in units])


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
    do not have. Use `subsample` there.

    With :math:`\theta^*` the resampled values the interval is
    :math:`[\theta - q_{1-a}, \theta - q_a]`, q being quantiles of
    :math:`\sqrt{u/(u-1)}\,(\theta^* - \overline{\theta^*})`, u the number of units (images or
    groups) of the smallest sample and a half of 1 - level.

    Parameters
    ----------
    metric : callable
        Called with one resampled array for each sample; returns a float.
    *samples : array_like, rows are images
        What to resample, each on its own. Leave what is to stay fixed to the closure of `metric`.
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
        or a metric that is not finite. Errors of `metric` pass through.

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
    _check(n_resamples, level)
    value = _finite(metric(*arrays) if value is None else value)

    def draw(unit: _Units, rng: np.random.Generator) -> _Rows:
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
    n_resamples: int = 200,
    level: float = 0.95,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    value: float | None = None,
    seed: int | np.random.Generator = 0,
) -> Interval:
    r"""Subsampling interval (drawing without replacement), for neighbour-based metrics.

    A statistic of m of n units drawn without replacement has variance
    :math:`\sigma^2 (1/m - 1/n)` about that of all n, where an independent sample of n has
    :math:`\sigma^2 / n`. Deviations from the mean of the resamples are therefore multiplied by
    :math:`\sqrt{m / (n - m)}`: by 1 for halves. The interval is then made as in `bootstrap`. The
    metric must mean the same at m as at n images, up to a bias (which is removed): a mean, a
    fraction or a distance does, a count does not.

    Parameters
    ----------
    metric : callable
        Called with one subsample of each sample; returns a float.
    *samples : array_like, rows are images
    fraction : float
        m / n, between 0 and 1; m is rounded down, but at least 1.
    groups, n_resamples, level, bounds, value, seed
        As in `bootstrap`. Of grouped samples m and n count groups.

    Raises
    ------
    ValueError
        As `bootstrap`.

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
    arrays, units = _prepare(samples, groups)
    _check(n_resamples, level)
    value = _finite(metric(*arrays) if value is None else value)

    def size(unit: _Units) -> int:
        return max(1, int(fraction * unit.count))

    def draw(unit: _Units, rng: np.random.Generator) -> _Rows:
        return rng.permutation(unit.count)[: size(unit)]

    # Rounding makes the samples' factors differ a little: the largest is the cautious one.
    scale = np.sqrt(max(size(u) / (u.count - size(u)) for u in units))
    deviations = scale * _deviations(metric, arrays, units, draw, n_resamples, seed)
    return _interval(value, deviations, level, bounds, "subsample", groups, units)


def null_distribution(
    metric: Callable[[_Array, _Array], float],
    real: ArrayLike,
    generated: ArrayLike,
    *,
    real_groups: ArrayLike | None = None,
    generated_groups: ArrayLike | None = None,
    n_resamples: int = 100,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> Null:
    """Real against real, and generated against the same real images, at the same sizes.

    Every resample puts b real images aside, b the number of generated images but at most half of
    the real ones, and compares the real images left (a) once with them and once with b generated
    images. So `Null.observed` may be of fewer images than the metric of the full sets is; it is
    the one to set against the floor, since most metrics depend on the number of images.

    Parameters
    ----------
    metric : callable
        ``metric(real, candidates)``, a float. A metric of candidates alone ignores the first.
    real, generated : array_like, rows are images
        At least 2 real images (or groups) and 1 generated one.
    real_groups : array_like, shape (n,), optional
        Slide or patient of each real image: a group is then never on both sides, so that the
        floor holds the differences between slides too. It needs at least 2 groups.
    generated_groups : array_like, shape (n,), optional
        As many whole groups as are needed are drawn, the last of them cut to size.
    n_resamples : int
        At least 1.
    level : float
        Share of the null between `Null.low` and `Null.high`.
    seed : int or numpy Generator

    Raises
    ------
    ValueError
        For sets too small to split, group ids that do not match, or a metric that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> real, shifted = rng.normal(size=(200, 1)), rng.normal(1, 1, size=(80, 1))
    >>> null = null_distribution(lambda a, b: abs(a.mean() - b.mean()), real, shifted)
    >>> null.percentile, null.n_real, null.n_generated
    (100.0, 120, 80)
    """
    x, y = np.atleast_1d(real), np.atleast_1d(generated)
    real_units = _Units(x, real_groups, "real")
    generated_units = _Units(y, generated_groups, "generated", at_least=1)
    _check(n_resamples, level, at_least=1)
    held_out = min(len(y), len(x) // 2)
    rng = np.random.default_rng(seed)
    null, observed, sizes = [], [], []
    for _ in range(n_resamples):
        aside, rest = _split(real_units, held_out, rng)
        drawn, _ = _split(generated_units, len(aside), rng, leave_some=False)
        null.append(_finite(metric(x[rest], x[aside])))
        observed.append(_finite(metric(x[rest], y[drawn])))
        sizes.append((len(rest), len(aside)))
    values, middle = np.array(null), float(np.median(observed))
    low, floor, high = np.quantile(values, [(1 - level) / 2, 0.5, (1 + level) / 2])
    below = np.mean(values < middle) + np.mean(values == middle) / 2
    n_real, n_generated = np.median(sizes, axis=0).astype(int)
    return Null(
        float(floor),
        float(low),
        float(high),
        float(100 * below),
        middle,
        int(n_real),
        int(n_generated),
        level,
        n_resamples,
        real_groups is not None,
    )


def paired_difference(
    metric: Callable[[_Array, _Array], float],
    real: ArrayLike,
    generated_a: ArrayLike,
    generated_b: ArrayLike,
    *,
    method: Method = "bootstrap",
    paired: bool = False,
    real_groups: ArrayLike | None = None,
    groups_a: ArrayLike | None = None,
    groups_b: ArrayLike | None = None,
    n_resamples: int = 200,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> Difference:
    """Interval of ``metric(real, a) - metric(real, b)``, both against the same real resample.

    Much of the noise of the real set cancels, so it is sharper than two intervals side by side.

    Parameters
    ----------
    metric : callable
        ``metric(real, generated)``, a float.
    real, generated_a, generated_b : array_like, rows are images
    method : {"bootstrap", "subsample"}
        See `bootstrap` and `subsample`.
    paired : bool
        Row i of both generated sets belongs together (one seed, scene or source image): the rows
        are drawn together, by ``groups_a`` where given.
    real_groups, groups_a, groups_b : array_like, shape (n,), optional
        Slide or patient of each image.
    n_resamples, level, seed
        As in `bootstrap`.

    Raises
    ------
    ValueError
        As `bootstrap`, or for paired sets of different sizes.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> real, near, far = (rng.normal(m, 1, size=(100, 1)) for m in (0, 1, 3))
    >>> def shift(a, b): return abs(a.mean() - b.mean())
    >>> paired_difference(shift, real, near, far).significant
    True
    """
    x, a, b = np.atleast_1d(real), np.atleast_1d(generated_a), np.atleast_1d(generated_b)
    if method not in ("bootstrap", "subsample"):
        raise ValueError(f'method must be "bootstrap" or "subsample", got {method!r}')
    if paired and len(a) != len(b):
        raise ValueError(f"paired sets must have as many images, got {len(a)} and {len(b)}")
    if paired and groups_b is not None:
        raise ValueError("paired sets share their groups: give groups_a only")
    value_a, value_b = _finite(metric(x, a)), _finite(metric(x, b))

    def apart(r: _Array, s: _Array, t: _Array) -> float:
        return metric(r, s) - metric(r, t)

    def together(r: _Array, rows: _Rows) -> float:
        return apart(r, a[rows], b[rows])

    interval = (bootstrap if method == "bootstrap" else subsample)(
        together if paired else apart,
        *((x, np.arange(len(a))) if paired else (x, a, b)),
        groups=(real_groups, groups_a) if paired else (real_groups, groups_a, groups_b),
        n_resamples=n_resamples,
        level=level,
        value=value_a - value_b,
        seed=seed,
    )
    warnings: tuple[str, ...] = ()
    if len(a) != len(b):
        warnings = (
            f"the sets hold {len(a)} and {len(b)} images: for a metric that depends on the number"
            " of images part of the difference is due to that",
        )
    return Difference(
        interval.value,
        interval.low,
        interval.high,
        value_a,
        value_b,
        level,
        n_resamples,
        method,
        interval.by_group,
        warnings,
    )


def _check(n_resamples: int, level: float, at_least: int = 2) -> None:
    as_count(n_resamples, "n_resamples", at_least=at_least)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")


def _finite(value: float) -> float:
    if not np.isfinite(value):
        raise ValueError(f"the metric must be finite, got {value}")
    return float(value)


def _prepare(
    samples: Sequence[ArrayLike], groups: Sequence[ArrayLike | None] | None
) -> tuple[list[_Array], list[_Units]]:
    if not samples:
        raise ValueError("there is no sample to resample")
    groups = [None] * len(samples) if groups is None else list(groups)
    if len(groups) != len(samples):
        raise ValueError(
            f"groups needs one entry (or None) a sample: {len(samples)}, got {len(groups)}"
        )
    arrays: list[_Array] = [np.atleast_1d(sample) for sample in samples]
    units = [
        _Units(array, group, f"sample {i}")
        for i, (array, group) in enumerate(zip(arrays, groups, strict=True))
    ]
    return arrays, units


def _deviations(
    metric: Callable[..., float],
    arrays: Sequence[_Array],
    units: Sequence[_Units],
    draw: Callable[[_Units, np.random.Generator], _Rows],
    n_resamples: int,
    seed: int | np.random.Generator,
) -> NDArray[np.float64]:
    """The metric of each resample less the mean over all of them."""
    rng = np.random.default_rng(seed)
    values = np.empty(n_resamples)
    for i in range(n_resamples):
        drawn = [a[u.rows(draw(u, rng))] for a, u in zip(arrays, units, strict=True)]
        values[i] = _finite(metric(*drawn))
    deviations: NDArray[np.float64] = values - values.mean()
    return deviations


def _interval(
    value: float,
    deviations: NDArray[np.float64],
    level: float,
    bounds: tuple[float, float],
    method: Method,
    groups: Sequence[ArrayLike | None] | None,
    units: Sequence[_Units],
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


def _split(
    units: _Units, size: int, rng: np.random.Generator, *, leave_some: bool = True
) -> tuple[_Rows, _Rows]:
    """Rows of random units, ``size`` of them where they suffice, and those of all other units."""
    order = rng.permutation(units.count)
    if units.groups is None:
        return order[:size], order[size:]
    reach = np.cumsum([len(units.groups[u]) for u in order])
    taken = int(np.searchsorted(reach, size)) + 1
    taken = min(taken, units.count - 1 if leave_some else units.count)
    first, rest = units.rows(order[:taken]), order[taken:]
    return (
        rng.permutation(first)[:size],
        units.rows(rest) if len(rest) else np.empty(0, dtype=np.intp),
    )

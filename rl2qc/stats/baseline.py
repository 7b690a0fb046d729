"""Baselines: a metric of real against real images, and where the generated set stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rl2qc.stats._units import Array, Units, check_options, finite, split

__all__ = ["Baseline", "real_baseline"]


@dataclass(frozen=True)
class Baseline:
    """Real against real at the same numbers of images, and where the generated set stands.

    Parameters
    ----------
    value : float
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

    value: float
    low: float
    high: float
    percentile: float
    observed: float
    n_real: int
    n_generated: int
    level: float
    n_resamples: int
    by_group: bool = False


def real_baseline(
    metric: Callable[[Array, Array], float],
    real: ArrayLike,
    generated: ArrayLike,
    *,
    real_groups: ArrayLike | None = None,
    generated_groups: ArrayLike | None = None,
    n_resamples: int = 100,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> Baseline:
    """Real against real, and generated against the same real images, at the same sizes.

    Every resample puts b real images aside, b the number of generated images but at most half of
    the real ones, and compares the real images left (a) once with them and once with b generated
    images. So :attr:`Baseline.observed` may be of fewer images than the metric of the full sets
    is; it is the one to set against the baseline, since most metrics depend on the number of
    images.

    Parameters
    ----------
    metric : callable
        ``metric(real, candidates)``, a float. A metric of candidates alone ignores the first.
    real, generated : array_like, rows are images
        At least 2 real images (or groups) and 1 generated one.
    real_groups : array_like, shape (n,), optional
        Slide or patient of each real image: a group is then never on both sides, so that the
        baseline holds the differences between slides too. It needs at least 2 groups.
    generated_groups : array_like, shape (n,), optional
        As many whole groups as are needed are drawn, the last of them cut to size.
    n_resamples : int
        At least 1.
    level : float
        Share of the values between ``low`` and ``high``.
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
    >>> found = real_baseline(lambda a, b: abs(a.mean() - b.mean()), real, shifted)
    >>> found.percentile, found.n_real, found.n_generated
    (100.0, 120, 80)
    """
    x, y = np.atleast_1d(real), np.atleast_1d(generated)
    real_units = Units(x, real_groups, "real")
    generated_units = Units(y, generated_groups, "generated", at_least=1)
    check_options(n_resamples, level, at_least=1)
    n_aside = min(len(y), len(x) // 2)
    rng = np.random.default_rng(seed)
    between, observed, sizes = [], [], []
    for _ in range(n_resamples):
        aside, rest = split(real_units, n_aside, rng)
        drawn, _ = split(generated_units, len(aside), rng, leave_some=False)
        between.append(finite(metric(x[rest], x[aside])))
        observed.append(finite(metric(x[rest], y[drawn])))
        sizes.append((len(rest), len(aside)))
    values, middle = np.array(between), float(np.median(observed))
    low, median, high = np.quantile(values, [(1 - level) / 2, 0.5, (1 + level) / 2])
    below = np.mean(values < middle) + np.mean(values == middle) / 2
    n_real, n_generated = np.median(sizes, axis=0).astype(int)
    return Baseline(
        float(median),
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

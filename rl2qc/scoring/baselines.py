"""What every score is compared with: real images scored against real ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.scoring.spec import METRICS, Value
from rl2qc.stats.baseline import Baseline, real_baseline

if TYPE_CHECKING:
    from rl2qc.scoring.rows import Resampled, Stacks

__all__ = [
    "BaselineRule",
    "Baselines",
    "Found",
    "found_among",
    "of_real",
    "share_of",
    "splits_of_real",
]


@dataclass(frozen=True, eq=False)
class Found:
    """A baseline, the values behind it (none where it follows from a law), and how it was made."""

    baseline: Baseline
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    note: str = ""


BaselineRule: TypeAlias = "Callable[[Resampled, Value, Baselines], Found | None]"
"""``rule(metric, value, baselines)``: the baseline of a metric and where ``value`` stands; None
where there is none without resamples. ``ValueError`` says why it cannot be made."""


class Baselines:
    """The baselines of one generated set; parts of the real set are compared once a metric.

    Parameters
    ----------
    stacks
        The real set and the generated one.

    Attributes
    ----------
    sets
        These sets, whole.
    """

    def __init__(self, stacks: Stacks) -> None:
        self._stacks, self.sets = stacks, stacks.sets
        self._splits: dict[str, Found] = {}

    def find(self, metric: Resampled, value: Value) -> Found | None:
        """The baseline of a metric; None for one of the real set alone, or without resamples."""
        spec = metric.spec
        if spec.of == "real":
            return None
        return (spec.baseline or splits_of_real)(metric, value, self)

    def of(self, name: str) -> Found:
        """Parts of the real set against each other, by the metric of that name.

        Raises
        ------
        ValueError
            For sets too small to be split.
        """
        if name not in self._splits:
            self._splits[name] = _split(self._stacks.of(METRICS.get(name)))
        return self._splits[name]


def splits_of_real(metric: Resampled, value: Value, baselines: Baselines) -> Found | None:
    """Disjoint parts of the real set against each other."""
    return baselines.of(metric.spec.name) if metric.n_resamples else None


def _split(metric: Resampled) -> Found:
    seen: list[float] = []

    def recorded(real: NDArray[np.intp], candidates: NDArray[np.intp]) -> float:
        seen.append(metric.metric(real, candidates))
        return seen[-1]

    baseline = real_baseline(
        recorded,
        *metric.rows,
        real_groups=metric.groups[0],
        generated_groups=metric.groups[1],
        n_resamples=metric.n_resamples,
        level=metric.settings.level,
        seed=metric.settings.seed,
    )
    # Real-against-real and real-against-generated values take turns.
    return Found(baseline, np.array(seen[::2]))


@dataclass(frozen=True)
class share_of:
    """The baseline of another metric over its values: 1 by definition, its range and place."""

    other: str

    def __call__(self, metric: Resampled, value: Value, baselines: Baselines) -> Found | None:
        if not metric.n_resamples:
            return None
        found, level = baselines.of(self.other), metric.settings.level
        values = found.baseline.value / np.maximum(found.values, np.finfo(float).tiny)
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        known = found.baseline
        baseline = Baseline(
            value=1.0,
            low=float(low),
            high=float(high),
            percentile=100 - known.percentile,
            observed=value.value,
            n_real=known.n_real,
            n_generated=known.n_generated,
            level=known.level,
            n_resamples=known.n_resamples,
            by_group=known.by_group,
        )
        return Found(baseline, values)


def of_real(metric: Resampled, value: Value, baselines: Baselines) -> Found | None:
    """The value of the real set itself, both values varying by their standard errors.

    For a metric of one set that does not depend on the number of images.
    """
    real, generated = metric.sets
    spec, level = metric.spec, metric.settings.level
    own = spec.compute(real, real, metric.settings)
    both = math.hypot(value.error, own.error)
    distance = value.value - own.value
    if both:
        percentile = 100 * NormalDist().cdf(distance / both)
    else:
        percentile = 50.0 + 50 * float(np.sign(distance))
    reach = NormalDist().inv_cdf((1 + level) / 2) * both
    baseline = Baseline(
        value=own.value,
        low=max(spec.bounds[0], own.value - reach),
        high=min(spec.bounds[1], own.value + reach),
        percentile=percentile,
        observed=value.value,
        n_real=len(real),
        n_generated=len(generated),
        level=level,
        n_resamples=0,
        by_group=real.groups is not None,
    )
    return Found(baseline, note=f"the baseline is the value of the real set: {own.note}")


def found_among(
    values: NDArray[np.float64],
    observed: float,
    *,
    sizes: tuple[int, int],
    level: float,
    by_group: bool,
) -> Found:
    """A baseline of values that were drawn, and where ``observed`` stands among them.

    Parameters
    ----------
    values : (n,) float64
    observed
        The value of the generated set.
    sizes
        Real and generated images behind each value.
    level
        Share of the values between the ends.
    by_group
        Whether slides or patients were drawn whole.
    """
    tail = (1 - level) / 2
    low, median, high = (float(q) for q in np.quantile(values, [tail, 0.5, 1 - tail]))
    below = 100 * np.mean((values < observed) + 0.5 * (values == observed))
    baseline = Baseline(
        value=median,
        low=low,
        high=high,
        percentile=float(below),
        observed=observed,
        n_real=sizes[0],
        n_generated=sizes[1],
        level=level,
        n_resamples=len(values),
        by_group=by_group,
    )
    return Found(baseline, values)

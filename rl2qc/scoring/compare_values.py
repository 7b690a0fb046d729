"""Values of several generated sets, their intervals, and the differences between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from threadpoolctl import threadpool_limits

from rl2qc.core.progress import Progress, track
from rl2qc.scoring.intervals import interval_of, narrowing
from rl2qc.scoring.measure import Measured
from rl2qc.scoring.other_scores import OtherScore, Pairs
from rl2qc.scoring.rows import Resampled, Stacks
from rl2qc.scoring.settings import CompareSettings
from rl2qc.scoring.spec import MetricSpec, Value
from rl2qc.scoring.values import full_values
from rl2qc.stats.difference import Difference, paired_difference

__all__ = ["Compared", "compared_values", "listed", "pair_differences", "value_intervals"]


@dataclass(frozen=True)
class Compared:
    """What is compared: metrics that have a value, with the sets that each was computed on."""

    metrics: list[Resampled]
    values: dict[str, tuple[Value, ...]]
    warnings: list[str]


def compared_values(
    measured: Measured,
    titles: Sequence[str],
    specs: Sequence[MetricSpec],
    settings: CompareSettings,
) -> Compared:
    """The metrics of every generated set: those that depend on it at one number of images."""
    sets = [measured.sets["real"], *(measured.sets[title] for title in titles)]
    sizes = {title: len(measured.sets[title]) for title in titles}
    parts, warnings = [(list(specs), sets)], []
    if (smallest := min(sizes.values())) < max(sizes.values()):
        equal = [s.take(s.drawn(smallest, settings.seed)) for s in sets[1:]]
        free = [spec for spec in specs if not spec.depends_on_n]
        bound = [spec for spec in specs if spec.depends_on_n]
        parts = [(free, sets), (bound, [sets[0], *equal])]
        warnings.append(
            f"the sets differ in size ({listed(sizes)}): metrics that depend on the number of "
            f"images are of {smallest} images of each, drawn at random"
        )
    values: dict[str, tuple[Value, ...]] = {}
    metrics: dict[str, Resampled] = {}
    for some, of_sets in parts:
        stacks = Stacks(of_sets, settings)
        these = [stacks.of(spec) for spec in some]
        by_set = [full_values(these, i) for i in range(1, len(of_sets))]
        values |= {spec.name: tuple(found[spec.name] for found in by_set) for spec in some}
        metrics |= {metric.spec.name: metric for metric in these}
    defined = []
    for spec in specs:
        if all(math.isnan(v.value) for v in values[spec.name]):
            # Nobody misses what was not asked for.
            if settings.metrics is not None:
                warnings.append(f"{spec.name}: {values[spec.name][0].note}")
        else:
            defined.append(metrics[spec.name])
    return Compared(defined, values, warnings)


def pair_differences(
    found: Compared,
    titles: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    settings: CompareSettings,
    progress: bool | Progress,
) -> tuple[dict[str, Pairs], list[str]]:
    """One generator minus another for each of the pairs by metric, and why one is missing."""
    differences: dict[str, Pairs] = {}
    notes: list[str] = []
    # As in score(): threads would wait for each other.
    with threadpool_limits(1), track(progress, "resampling", len(found.metrics)) as step:
        for metric in found.metrics:
            spec = metric.spec
            differences[spec.name] = {}
            for i, j in pairs if settings.n_resamples and spec.resample else ():
                a, b = found.values[spec.name][i], found.values[spec.name][j]
                if math.isnan(a.value) or math.isnan(b.value):
                    continue
                try:
                    difference = _difference(metric, (i, j), (a, b))
                except ValueError as error:
                    notes.append(
                        f"{spec.name}: no difference of {titles[i]} from {titles[j]}: {error}"
                    )
                else:
                    differences[spec.name][i, j] = difference
            step(1)
    return differences, notes


def value_intervals(
    found: Compared, titles: Sequence[str], also: Mapping[str, OtherScore]
) -> dict[str, tuple[tuple[float, float], ...]]:
    """Low and high of each generator's value, by metric."""
    none = (math.nan, math.nan)
    known: dict[str, tuple[tuple[float, float], ...]] = {
        name: (none,) * len(titles) for name in also
    }
    with threadpool_limits(1):
        for metric in found.metrics:
            values = found.values[metric.spec.name]
            known[metric.spec.name] = tuple(
                _interval(metric, i + 1, value) for i, value in enumerate(values)
            )
    return known


def _interval(metric: Resampled, which: int, value: Value) -> tuple[float, float]:
    """Low and high of one generator's value, as in a card of its own."""
    pair = replace(
        metric,
        sets=(metric.sets[0], metric.sets[which]),
        rows=(metric.rows[0], metric.rows[which]),
        groups=(metric.groups[0], metric.groups[which]),
    )
    low, high = value.low, value.high
    if math.isnan(value.value):
        return low, high
    try:
        interval = interval_of(pair, value)
    except ValueError:
        return low, high
    return (low, high) if interval is None else (interval.low, interval.high)


def _difference(
    metric: Resampled, pair: tuple[int, int], values: tuple[Value, Value]
) -> Difference:
    spec, settings = metric.spec, metric.settings
    assert isinstance(settings, CompareSettings) and spec.resample is not None
    first, second = 1 + pair[0], 1 + pair[1]
    groups = [metric.groups[0], metric.groups[first]]
    difference = paired_difference(
        metric.metric,
        metric.rows[0],
        (metric.rows[first], metric.rows[second]),
        method=spec.resample,
        paired=settings.paired,
        groups=groups if settings.paired else [*groups, metric.groups[second]],
        bounds=spec.resampled_bounds,
        n_resamples=metric.n_resamples,
        level=settings.level,
        seed=settings.seed,
    )
    a, b = values
    sizes = [0] * len(metric.sets)
    sizes[0], sizes[first], sizes[second] = a.n_real or 0, a.n_generated or 0, b.n_generated or 0
    narrowed = narrowing(sizes, metric)
    return _of_whole_sets(difference, a.value, b.value, narrowed, spec.bounds)


def _of_whole_sets(
    difference: Difference,
    value_a: float,
    value_b: float,
    narrowed: float,
    bounds: tuple[float, float],
) -> Difference:
    """The interval around the difference of the full values, where resamples make do with less."""
    value, furthest = value_a - value_b, bounds[1] - bounds[0]
    return replace(
        difference,
        value=value,
        low=max(value + narrowed * (difference.low - difference.value), -furthest),
        high=min(value + narrowed * (difference.high - difference.value), furthest),
        value_a=value_a,
        value_b=value_b,
        warnings=(),
    )


def listed(sizes: Mapping[str, int]) -> str:
    """Titles with their numbers of images."""
    return ", ".join(f"{title} {n}" for title, n in sizes.items())

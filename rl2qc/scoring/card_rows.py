"""The rows of a card: each metric with its interval and its baseline, not judged yet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from rl2qc.core.progress import Progress, track
from rl2qc.scoring.baselines import Baselines, Found
from rl2qc.scoring.intervals import interval_of
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.rows import Resampled
from rl2qc.scoring.spec import Value
from rl2qc.scoring.values import full_values
from rl2qc.stats.baseline import Baseline
from rl2qc.stats.resampling import Interval

__all__ = ["CardRows", "card_rows"]


@dataclass(frozen=True)
class CardRows:
    """Every metric by name, the values behind its baseline, and why some are not to be judged."""

    rows: Mapping[str, MetricResult]
    baselines: Mapping[str, NDArray[np.float64]]
    unjudged: Mapping[str, str]


def card_rows(
    metrics: Sequence[Resampled], baselines: Baselines, progress: bool | Progress = False
) -> CardRows:
    """Every metric with value, interval and baseline.

    Parameters
    ----------
    metrics
        Of the sets that ``baselines`` are of.
    baselines
    progress
        As in :func:`~rl2qc.scoring.score.score`.
    """
    values = full_values([m for m in metrics if not (m.n_resamples and m.spec.from_baselines)])
    rows, of_real, unjudged = {}, {}, {}
    # Thousands of small products: threads would wait for each other longer than they work.
    with threadpool_limits(1), track(progress, "resampling", len(metrics)) as step:
        for metric in metrics:
            name = metric.spec.name
            value = values[name] if name in values else _of_baselines(metric, baselines)
            rows[name], found = _row(metric, value, baselines)
            if value.unjudged:
                unjudged[name] = value.unjudged
            if found is not None and len(found.values):
                of_real[name] = found.values
            step(1)
    return CardRows(rows, of_real, unjudged)


def _basis(metric: Resampled) -> str:
    spec, features = metric.spec, metric.sets[0].extractor
    if not spec.published or not features:
        return ""
    # Published scores are of other weights and another resizing than torchvision's Inception.
    return f"on features {features}: not {spec.published}"


def _of_baselines(metric: Resampled, baselines: Baselines) -> Value:
    assert metric.spec.from_baselines is not None
    try:
        return metric.spec.from_baselines(metric, baselines)
    except ValueError as error:
        return Value(math.nan, str(error))


def _row(
    metric: Resampled, value: Value, baselines: Baselines
) -> tuple[MetricResult, Found | None]:
    """One metric with its interval and its baseline."""
    row = MetricResult(
        value.value,
        metric.spec.higher_is_better,
        metric.spec.meaning,
        low=value.low,
        high=value.high,
        std=value.std,
        n_real=value.n_real or 0,
        n_generated=value.n_generated or 0,
        note=value.note,
        method=value.method,
        basis=_basis(metric),
        paper=metric.spec.paper,
    )
    if math.isnan(value.value):
        return row, None
    notes, found = [value.note], None
    try:
        row = _with_interval(row, interval_of(metric, value))
    except ValueError as error:
        notes.append(f"no interval: {error}")
    try:
        found = baselines.find(metric, value)
    except ValueError as error:
        notes.append(f"no baseline: {error}")
    if found is not None:
        row = _beside(row, found.baseline)
        notes.append(found.note)
    return replace(row, note="; ".join(filter(None, notes))), found


def _with_interval(row: MetricResult, found: Interval | None) -> MetricResult:
    if found is None:
        return row
    return replace(
        row,
        low=found.low,
        high=found.high,
        method=found.method + " by slide" * found.by_group,
        n_resamples=found.n_resamples,
    )


def _beside(row: MetricResult, found: Baseline) -> MetricResult:
    return replace(
        row,
        baseline=found.value,
        baseline_low=found.low,
        baseline_high=found.high,
        observed=found.observed,
        percentile=found.percentile,
        baseline_n_real=found.n_real,
        baseline_n_generated=found.n_generated,
    )

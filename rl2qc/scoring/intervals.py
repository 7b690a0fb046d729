"""The interval of every score, narrowed to all images where some were resampled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.matrices import Rows
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.rows import Resampled
from rl2qc.scoring.spec import Value
from rl2qc.stats.resampling import Interval, bootstrap, subsample

__all__ = ["interval_of", "narrowing"]


def interval_of(metric: Resampled, value: Value) -> Interval | None:
    """Of the resampled images, narrowed to all that the value was computed on.

    None where nothing is resampled, or the value has an interval of its own that will do.

    Raises
    ------
    ValueError
        For sets too small to be resampled, or resamples for which the metric is not defined.
    """
    spec, settings, sizes = (
        metric.spec,
        metric.settings,
        (value.n_real or 0, value.n_generated or 0),
    )
    by_group = any(s.groups is not None for s in metric.sets)
    if spec.resample is None or not settings.n_resamples:
        return None
    if value.method and not (value.of_independent and by_group):
        return None
    # A set that the metric does not look at adds nothing, and its size says nothing.
    looked_at = [i for i, n in enumerate(sizes) if n]

    def of_drawn(*drawn: Rows) -> float:
        real, generated = (
            drawn[looked_at.index(i)] if i in looked_at else rows
            for i, rows in enumerate(metric.rows)
        )
        return metric.metric(real, generated)

    resample = bootstrap if spec.resample == "bootstrap" else subsample
    found = resample(
        of_drawn,
        *(metric.rows[i] for i in looked_at),
        groups=[metric.groups[i] for i in looked_at],
        n_resamples=metric.n_resamples,
        level=settings.level,
        bounds=spec.resampled_bounds,
        value=value.value,
        seed=settings.seed,
    )
    narrowed = narrowing(sizes, metric)
    low, high = (
        # How far an end that was cut off would reach is not known.
        end if end == bound else value.value + narrowed * (end - value.value)
        for end, bound in zip((found.low, found.high), spec.bounds, strict=True)
    )
    low, high = max(low, spec.bounds[0]), min(high, spec.bounds[1])
    found = replace(found, low=low, high=high)
    return found.holding(value.low, value.high) if value.method else found


def narrowing(sizes: Sequence[int], metric: Resampled) -> float:
    """How much narrower an interval of whole sets is than one of the rows that were resampled.

    Parameters
    ----------
    sizes
        Images of each set behind the value; 0 where the metric does not look at it.
    metric
        With its sets.
    """
    shares = [
        _share_resampled(n, len(rows), groups, s)
        for n, rows, groups, s in zip(sizes, metric.rows, metric.groups, metric.sets, strict=True)
        if n
    ]
    # The set that is resampled whole keeps its part of the error: the cautious factor.
    return math.sqrt(max(shares, default=1.0))


def _share_resampled(
    n: int, n_rows: int, groups: NDArray[np.str_] | None, image_set: ImageSet
) -> float:
    """Of the units behind a value, images or slides, the share that resamples draw from."""
    if n <= n_rows:
        return 1.0
    if groups is None or image_set.groups is None:
        return n_rows / n
    return len(np.unique(groups)) / len(np.unique(image_set.groups))

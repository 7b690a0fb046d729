"""Score a generated set against a real one: metrics, intervals, baselines, verdicts."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from rl2qc.core.arrays import read_array
from rl2qc.core.progress import Progress, track
from rl2qc.core.renamed import old_keyword
from rl2qc.core.text import one_line
from rl2qc.errors import UsageError
from rl2qc.images.sources.base import Patches
from rl2qc.model.quality import DEFAULT_MODEL, QualityModel
from rl2qc.scoring.baselines import Baselines, Found
from rl2qc.scoring.control import (
    controls,
    encoding_words,
    unjudged_by_encoding,
    with_controls,
)
from rl2qc.scoring.copies import copies, duplicates, paired_with
from rl2qc.scoring.evidence import evidence_of
from rl2qc.scoring.headline import Finding, headline
from rl2qc.scoring.intervals import interval_of
from rl2qc.scoring.judging import Case
from rl2qc.scoring.judging import judged as judged_rows
from rl2qc.scoring.measure import Measured, measure_sets
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.rows import Resampled, Stacks
from rl2qc.scoring.sample_size import curves, size_warnings
from rl2qc.scoring.scorecard import Scorecard
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import Value, chosen_metrics
from rl2qc.scoring.values import full_values
from rl2qc.scoring.verdict import MANY_COPIES
from rl2qc.stats.baseline import Baseline
from rl2qc.stats.resampling import Interval

__all__ = ["score"]


def score(
    generated: Patches,
    real: Patches,
    model: str | Path | QualityModel = DEFAULT_MODEL,
    settings: ScoreSettings | None = None,
    *,
    unseen: Patches | None = None,
    probabilities: ArrayLike | str | Path | Mapping[str, Any] | None = None,
    progress: bool | Progress = False,
    **changes: Any,
) -> Scorecard:
    """Score generated images against real ones.

    Both sets are taken at one size: the model's, or the smaller one's where a set is smaller
    (with a warning: likelihoods are calibrated for the model's size only). Values are those of
    the pure functions in :mod:`rl2qc.metrics`; intervals and baselines come from resampling at
    most 1,000 images of each set (the intervals are then narrowed to the number of all).

    Parameters
    ----------
    generated, real
        Anything that :func:`~rl2qc.images.sources.base.as_source` reads.
    model
        Name of a shipped model, a model file, or a model.
    settings
        Which metrics, and how.
    unseen
        Real images that the generator has not seen, ``real`` being those that it was trained on:
        for the adjusted IRS and for what generated images have in common with training images
        (``nearer_train``). Without them the real set is halved where such images are needed.
    probabilities : array_like, path or mapping, optional
        A classifier's posteriors (n, classes) of the generated images, or a ``.npy`` file of
        them, for the Inception score; a mapping gives those of ``"generated"`` and ``"real"``.
    progress
        Show bars on the standard error, or call a function with (done, total, what).
    **changes
        Single settings: ``k=5``.

    Raises
    ------
    UsageError
        Fewer than two images, k not below the size of a set, images of another resolution than
        the model's, or options that do not fit.
    ImageError
        Files that are no images or too small.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = rng.integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)
    >>> card = score(images[:12], images[12:], metrics=["swd"], n_resamples=0)
    >>> 0 < card["swd"] < 1
    True
    """
    started = time.monotonic()
    if "held_out" in changes:
        unseen = old_keyword("held_out", "unseen", changes)
    given = {"generated": probabilities, "real": changes.pop("real_probabilities", None)}
    given = dict(probabilities) if isinstance(probabilities, Mapping) else given
    settings = ScoreSettings.resolve(settings, changes)
    specs = chosen_metrics(settings.metrics, unseen=unseen is not None)
    measured = measure_sets(
        {"generated": generated, "real": real},
        model,
        specs,
        settings,
        unseen=unseen,
        probabilities={t: _load_array(t, p) for t, p in given.items() if p is not None},
        progress=progress,
    )
    generated_set, reference = measured.sets["generated"], measured.sets["real"]
    copied = copies(generated_set, reference)
    stacks = Stacks((reference, generated_set), settings)
    metrics = [stacks.of(spec) for spec in specs]
    found = _rows(metrics, Baselines(stacks), progress)
    smallest = min(len(generated_set), len(reference))
    twice = duplicates(generated_set)
    # Copies have the names of what they copy: they are no pairs because of that.
    many = len(copied) > MANY_COPIES * smallest
    partner = paired_with(generated_set, reference, asked=settings.paired, found=not many)
    worth = controls(specs, measured.control, settings)
    rows = judged_rows(
        specs,
        with_controls(found.rows, worth),
        {**unjudged_by_encoding(specs, measured, worth), **found.unjudged},
        Case(smallest, len(copied), partner is not None),
    )
    finding = Finding(
        smallest,
        twice,
        duplicates(reference),
        len(copied),
        partner is not None,
        encoding_words(measured, worth),
        reference.n_groups,
    )
    with threadpool_limits(1):
        against_n = curves(metrics)
    defined = [spec for spec in specs if not math.isnan(rows[spec.name].value)]
    few = size_warnings(defined, {"generated": generated_set, "real": reference})
    made = {
        **_counted(measured, finding),
        "resampled_images_at_most": stacks.most,
        **measured.provenance,
        "seconds": round(time.monotonic() - started, 1),
    }
    return Scorecard(
        rows,
        made,
        (*measured.warnings, *copied.warnings, *twice.warnings(), *few),
        against_n,
        evidence_of(stacks, found.baselines),
        headline(rows, finding),
    )


def _counted(measured: Measured, finding: Finding) -> dict[str, Any]:
    """The numbers of images, for the record."""
    real = measured.sets["real"]
    return {
        "n_generated": len(measured.sets["generated"]),
        "n_real": len(real),
        "n_distinct": finding.twice.distinct,
        "n_copies": finding.n_copies,
        "paired": finding.paired,
        "n_unseen": 0 if real.unseen is None else len(real.unseen),
        "groups": {t: measured.sets[t].n_groups for t in ("generated", "real")},
    }


@dataclass(frozen=True)
class _Rows:
    """Every metric by name, the values behind its baseline, and why some are not to be judged."""

    rows: Mapping[str, MetricResult]
    baselines: Mapping[str, NDArray[np.float64]]
    unjudged: Mapping[str, str]


def _rows(metrics: Sequence[Resampled], baselines: Baselines, progress: bool | Progress) -> _Rows:
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
    return _Rows(rows, of_real, unjudged)


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


def _load_array(title: str, given: ArrayLike | str | Path) -> ArrayLike:
    """Probabilities as they are, or of a file."""
    if not isinstance(given, str | Path):
        return given
    option = {"generated": "--probabilities", "real": "--real-probabilities"}.get(title, title)
    if not Path(given).is_file():
        raise UsageError(f"no such file: {option} {given}")
    try:
        return read_array(given)
    except ValueError as error:
        raise UsageError(f"{option} {given} is no .npy array: {one_line(error)}") from None

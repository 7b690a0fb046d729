"""Score a generated set against a real one: every metric, its interval, its floor, its verdict."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from rl2qc.core.progress import progress_bar
from rl2qc.core.provenance import versions
from rl2qc.images.sources.base import Patches
from rl2qc.model.quality import QualityModel
from rl2qc.scoring.baselines import Floors, against_null, beside, r_fid_of_floors
from rl2qc.scoring.copies import about_copies, about_held_out, copies
from rl2qc.scoring.evidence import Evidence
from rl2qc.scoring.image_sets import (
    HELD_OUT,
    ImageSet,
    about_likelihoods,
    at_one_size,
    check_size,
    measure_sets,
)
from rl2qc.scoring.intervals import interval_of
from rl2qc.scoring.rows import RESAMPLED_AT_MOST, Stack, feature_stack, pixel_stack
from rl2qc.scoring.sample_size import about_sizes, curves
from rl2qc.scoring.scorecard import Metric, Scorecard, verdict
from rl2qc.scoring.settings import ScoreSettings, kinds
from rl2qc.scoring.spec import CATALOGUE, chosen_metrics
from rl2qc.scoring.values import Value, full_values

__all__ = ["score"]

_NEAREST = 4


def score(
    generated: Patches,
    real: Patches,
    model: QualityModel,
    settings: ScoreSettings | None = None,
    *,
    probabilities: ArrayLike | None = None,
    real_probabilities: ArrayLike | None = None,
    held_out: Patches | None = None,
    progress: bool = False,
) -> Scorecard:
    """Score generated images against real ones on a model's features.

    Both sets are taken at one size: the model's, or the smaller one's where a set is smaller
    (with a warning: likelihoods are calibrated for the model's size only). Values are those of
    the pure functions in `rl2qc.metrics`; intervals and floors come from resampling at most 1,000
    images of each set (the intervals are then narrowed to the number of all). ``r_fid`` is FID's
    floor over FID at the floor's numbers of images.

    Parameters
    ----------
    generated, real
        Anything that :func:`~rl2qc.images.sources.base.as_source` reads.
    model
    settings
        Which metrics, and how; `ScoreSettings()` where left out.
    probabilities, real_probabilities : array_like, shape (n, classes), optional
        A classifier's posteriors, for the Inception score.
    held_out
        Real images that the generator has not seen, ``real`` being those that it was trained on:
        for the adjusted IRS and for what generated images have in common with training images
        (``nearer_train``). Without them the real set is halved where such images are needed.
    progress
        Show bars on stderr.

    Raises
    ------
    UsageError
        Fewer than two images, k not below the size of a set, images of another resolution than
        the model's, or options that do not fit.
    ImageError
        Files that are no images or too small.
    """
    started = time.monotonic()
    settings = ScoreSettings() if settings is None else settings
    inputs = {"generated": generated, "real": real}
    if held_out is not None:
        inputs[HELD_OUT] = held_out
    sources, warnings = at_one_size(inputs, model, settings)
    for title in ("generated", "real"):
        check_size(title, sources[title], settings)
    given = {"generated": probabilities, "real": real_probabilities}
    sets, extractor = measure_sets(
        sources,
        model,
        settings,
        probabilities={t: p for t, p in given.items() if p is not None},
        progress=progress,
    )
    pair, aside = (sets["real"], sets["generated"]), sets.get(HELD_OUT)
    names = _names(settings, aside)
    stack = feature_stack(pair, settings, aside)
    stacks = dict.fromkeys(names, stack)
    pixels = None
    if "pixels" in kinds(settings):
        of_pixels, samples = pixel_stack(pair, settings)
        stacks |= {name: of_pixels for name in names if CATALOGUE[name].kind == "pixels"}
        pixels = (samples[0], samples[1])
    # The floor of FID gives its ratio at no cost, and without a second answer.
    alone = [name for name in names if name != "r_fid" or not settings.n_resamples]
    values = full_values(tuple(alone), *pair, settings, pixels, aside)
    copied = copies(pair[1], pair[0])

    metrics, nulls = {}, {}
    floors = Floors(settings, pair, aside)
    # Thousands of small products: threads would wait for each other longer than they work.
    with threadpool_limits(1):
        for name in progress_bar(progress, "resampling", names):
            value = values[name] if name in values else r_fid_of_floors(floors, stack, settings)
            row, null_values = _row(name, value, stacks[name], floors, pair, settings)
            said = verdict(name, row, min(map(len, pair)), len(copied[0]))
            metrics[name] = replace(row, verdict=said)
            if len(null_values):
                nulls[name] = null_values
        against_n = curves(names, pair, stack, settings)
    run = {
        "n_generated": len(sets["generated"]),
        "n_real": len(sets["real"]),
        "n_held_out": 0 if aside is None else len(aside),
        "k": settings.k,
        "prdc_k": settings.prdc_k,
        "prdc_convention": settings.prdc_convention,
        "distance": settings.distance,
        "alpha": settings.alpha,
        "seed": settings.seed,
        "level": settings.level,
        "n_resamples": settings.n_resamples,
        "resampled_images_at_most": RESAMPLED_AT_MOST,
        "groups": {
            title: None if s.groups is None else len(set(s.groups.tolist()))
            for title, s in (("generated", pair[1]), ("real", pair[0]))
        },
        "patch_size": sources["real"].size,
        "mpp": settings.mpp,
        "features": extractor.name,
        "features_identity": extractor.identity,
        "dtype": "float32 features, float64 metrics",
        "checkpoint": model.name,
        "checkpoint_sha256": model.sha256,
        "device": str(model.device),
        "versions": versions(),
    }
    warnings += about_likelihoods(names, pair[0])
    warnings += about_copies(pair[1], pair[0], copied) + about_held_out(pair[0], aside)
    defined = [name for name, metric in metrics.items() if not math.isnan(metric.value)]
    warnings += about_sizes(defined, {"generated": pair[1], "real": pair[0]})
    return Scorecard(
        metrics,
        {**run, "seconds": round(time.monotonic() - started, 1)},
        tuple(warnings),
        against_n,
        _evidence(pair, stack, nulls, settings),
    )


def _names(settings: ScoreSettings, held_out: ImageSet | None) -> tuple[str, ...]:
    """The metrics to compute: by default also the one that held-out images make possible."""
    names = chosen_metrics(settings.metrics)
    if settings.metrics is None and held_out is not None:
        return chosen_metrics([*names, "nearer_train"])
    return names


def _row(
    name: str,
    value: Value,
    stack: Stack,
    floors: Floors,
    pair: tuple[ImageSet, ImageSet],
    settings: ScoreSettings,
) -> tuple[Metric, NDArray[np.float64]]:
    """One metric with its interval and its floor, and the values behind the floor."""
    spec = CATALOGUE[name]
    row = Metric(
        value.value,
        spec.higher_is_better,
        spec.meaning,
        low=value.low,
        high=value.high,
        std=value.std,
        n_real=value.n_real,
        n_generated=value.n_generated,
        note=value.note,
        method=value.method,
    )
    nulls = np.empty(0)
    if value.null is not None:
        return beside(row, value.null), nulls
    if math.isnan(value.value) or not settings.n_resamples or name not in stack.metrics:
        return row, nulls
    problems = []
    # The occupancy model takes all images for independent, which those of a slide are not.
    if not value.method or (value.method == "occupancy" and _grouped(pair)):
        try:
            found = interval_of(name, value, stack, pair, settings)
            row = replace(
                row,
                low=found.low,
                high=found.high,
                method=found.method + " by slide" * found.by_group,
                n_resamples=found.n_resamples,
            )
        except ValueError as error:
            problems.append(f"no interval: {error}")
    if spec.above:  # rows of the real set alone have nothing to be compared with
        try:
            row, nulls = against_null(name, row, stack, floors, settings)
        except ValueError as error:
            problems.append(f"no floor: {error}")
    return replace(row, note="; ".join(filter(None, (row.note, *problems)))), nulls


def _grouped(pair: tuple[ImageSet, ImageSet]) -> bool:
    return any(s.groups is not None for s in pair)


def _evidence(
    pair: tuple[ImageSet, ImageSet],
    stack: Stack,
    nulls: dict[str, NDArray[np.float64]],
    settings: ScoreSettings,
) -> Evidence:
    titles = ("real", "generated")
    spacing, nearest, distances = {}, np.empty((0, 0), dtype=np.intp), np.empty((0, 0))
    if stack.features is not None:
        size = min(len(rows) for rows in stack.rows)
        rng = np.random.default_rng(settings.seed)
        for title, rows in zip(titles, stack.rows, strict=True):
            if size > settings.k:
                drawn = rng.permutation(rows)[:size]
                spacing[title] = stack.features.spacing(drawn).ravel()
        real, generated = stack.rows
        at, distances = stack.features.nearest(generated, real, min(_NEAREST, len(real)))
        nearest = stack.images[0][at]
    return Evidence(
        sources={t: s.source for t, s in zip(titles, pair, strict=True)},
        log_likelihood={
            t: s.log_likelihood
            for t, s in zip(titles, pair, strict=True)
            if s.log_likelihood is not None
        },
        keep={t: s.keep for t, s in zip(titles, pair, strict=True) if s.keep is not None},
        nulls=nulls,
        spacing=spacing,
        generated=stack.images[1],
        nearest=nearest,
        nearest_distance=distances,
    )

"""Score a generated set against a real one: every metric, its interval, its floor, its verdict."""

from __future__ import annotations

import importlib.metadata
import math
import platform
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from rl2qc.images.sources import Patches

# Its warning: the ratio here is that of floors which are known already.
from rl2qc.metrics.frechet import _rank_warnings
from rl2qc.metrics.resampling import Interval, Null, bootstrap, null_distribution, subsample
from rl2qc.model.quality import QualityModel
from rl2qc.reports.catalogue import CATALOGUE, chosen_metrics
from rl2qc.reports.copies import about_copies, about_held_out, authenticity_null, copies
from rl2qc.reports.evidence import Evidence
from rl2qc.reports.image_sets import (
    HELD_OUT,
    RESAMPLED_AT_MOST,
    ImageSet,
    ScoreSettings,
    Stack,
    at_one_size,
    check_size,
    feature_stack,
    kinds,
    measure_sets,
    pixel_stack,
)
from rl2qc.reports.sample_size import about_sizes, curves
from rl2qc.reports.scorecard import Metric, Scorecard, verdict
from rl2qc.reports.values import Value, full_values

__all__ = ["resamples_of", "score", "versions"]

# Most resamples of the metrics that cost most: enough to fix the ends of an interval roughly.
_PIXEL_RESAMPLES, _FID_RESAMPLES = 60, 100
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
        Anything that :func:`~rl2qc.images.sources.as_source` reads.
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
    floors = _Floors(settings, pair, aside)
    # Thousands of small products: threads would wait for each other longer than they work.
    with threadpool_limits(1):
        for name in tqdm(names, desc="resampling", disable=not progress, leave=False):
            value = values[name] if name in values else _r_fid(floors, stack, settings)
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
    warnings += _about_likelihoods(metrics)
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


def resamples_of(name: str, settings: ScoreSettings) -> int:
    """How many resamples a metric gets."""
    if CATALOGUE[name].kind == "pixels":
        return min(settings.n_resamples, _PIXEL_RESAMPLES)
    if name in ("fid", "r_fid"):
        return min(settings.n_resamples, _FID_RESAMPLES)
    return settings.n_resamples


def versions() -> dict[str, str]:
    """Of Python and the packages that numbers depend on."""
    packages = ("rl2qc", "torch", "torchvision", "numpy", "scipy")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def _row(
    name: str,
    value: Value,
    stack: Stack,
    floors: _Floors,
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
        return _beside(row, value.null), nulls
    if math.isnan(value.value) or not settings.n_resamples or name not in stack.metrics:
        return row, nulls
    problems = []
    # The occupancy model takes all images for independent, which those of a slide are not.
    if not value.method or (value.method == "occupancy" and _grouped(pair)):
        try:
            found = _interval(name, value, stack, pair, settings)
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
            row, nulls = _against_null(name, row, stack, floors, settings)
        except ValueError as error:
            problems.append(f"no floor: {error}")
    return replace(row, note="; ".join(filter(None, (row.note, *problems)))), nulls


def _grouped(pair: tuple[ImageSet, ImageSet]) -> bool:
    return any(s.groups is not None for s in pair)


def _r_fid(floors: _Floors, stack: Stack, settings: ScoreSettings) -> Value:
    """The floor of FID over FID at the numbers of images that the floor has."""
    try:
        null, _ = floors("fid", stack)
    except ValueError as error:
        return Value(math.nan, note=str(error))
    if not null.observed:
        return Value(math.nan, note="undefined: the generated images equal the real ones")
    assert stack.features is not None
    smallest, dimension = min(null.n_real, null.n_generated), stack.features.features.shape[1]
    note = f"median of {resamples_of('fid', settings)} splits"
    return Value(
        null.floor / null.observed,
        null.n_real,
        null.n_generated,
        "; ".join((note, *_rank_warnings(smallest, dimension))),
    )


def _interval(
    name: str, value: Value, stack: Stack, pair: tuple[ImageSet, ImageSet], settings: ScoreSettings
) -> Interval:
    """Of the resampled images, narrowed to all that the value was computed on."""
    spec = CATALOGUE[name]
    resample = bootstrap if spec.method == "bootstrap" else subsample
    found = resample(
        stack.metrics[name],
        *stack.rows,
        groups=stack.groups,
        n_resamples=resamples_of(name, settings),
        level=settings.level,
        bounds=spec.bounds,
        value=value.value,
        seed=settings.seed,
    )
    shares = [
        _share_resampled(n, len(rows), groups, s)
        for n, rows, groups, s in zip(
            (value.n_real, value.n_generated), stack.rows, stack.groups, pair, strict=True
        )
        if n  # else the metric does not look at this set
    ]
    # Of two sets the one that is resampled whole keeps its part of the error: the cautious factor.
    narrowed = math.sqrt(max(shares, default=1.0))
    low, high = (
        # How far an end that was cut off would reach is not known.
        end if end == bound else value.value + narrowed * (end - value.value)
        for end, bound in zip((found.low, found.high), spec.bounds, strict=True)
    )
    found = replace(found, low=low, high=high)
    return found.holding(value.low, value.high) if value.method else found


def _share_resampled(
    n: int, n_rows: int, groups: NDArray[np.str_] | None, image_set: ImageSet
) -> float:
    """Of the units behind a value, images or slides, the share that resamples draw from."""
    if n <= n_rows:
        return 1.0
    if groups is None or image_set.groups is None:
        return n_rows / n
    return len(np.unique(groups)) / len(np.unique(image_set.groups))


def _against_null(
    name: str, row: Metric, stack: Stack, floors: _Floors, settings: ScoreSettings
) -> tuple[Metric, NDArray[np.float64]]:
    """A row with its floor and its place among real-against-real values, and those values."""
    if name == "authenticity":
        null, values = floors.of_authenticity(row.value)
    else:
        null, values = floors("fid" if name == "r_fid" else name, stack)
    if name == "r_fid":
        # The floor of FID over each of its real-against-real values: 1 by definition.
        values = null.floor / np.maximum(values, np.finfo(float).tiny)
        low, high = np.quantile(values, [(1 - settings.level) / 2, (1 + settings.level) / 2])
        null = replace(
            null,
            floor=1.0,
            low=float(low),
            high=float(high),
            observed=row.value,
            percentile=100 - null.percentile,
        )
    return _beside(row, null), values


def _beside(row: Metric, null: Null) -> Metric:
    return replace(
        row,
        floor=null.floor,
        floor_low=null.low,
        floor_high=null.high,
        observed=null.observed,
        null_percentile=null.percentile,
        null_n_real=null.n_real,
        null_n_generated=null.n_generated,
    )


class _Floors:
    """Real-against-real nulls and the values behind them; FID's serves its ratio as well."""

    def __init__(
        self, settings: ScoreSettings, pair: tuple[ImageSet, ImageSet], held_out: ImageSet | None
    ) -> None:
        self._settings, self._pair, self._held_out = settings, pair, held_out
        self._known: dict[str, tuple[Null, NDArray[np.float64]]] = {}

    def __call__(self, name: str, stack: Stack) -> tuple[Null, NDArray[np.float64]]:
        if name not in self._known:
            self._known[name] = self._make(name, stack)
        return self._known[name]

    def of_authenticity(self, observed: float) -> tuple[Null, NDArray[np.float64]]:
        """Of whole sets: a half would lack half of the originals of copies."""
        return authenticity_null(*self._pair, self._held_out, observed, self._settings)

    def _make(self, name: str, stack: Stack) -> tuple[Null, NDArray[np.float64]]:
        if name == "nearer_train":
            return self._shuffled(stack)
        seen: list[float] = []

        def metric(real: NDArray[np.intp], candidates: NDArray[np.intp]) -> float:
            seen.append(stack.metrics[name](real, candidates))
            return seen[-1]

        null = null_distribution(
            metric,
            *stack.rows,
            real_groups=stack.groups[0],
            generated_groups=stack.groups[1],
            n_resamples=resamples_of(name, self._settings),
            level=self._settings.level,
            seed=self._settings.seed,
        )
        # Real-against-real and real-against-generated values take turns.
        return null, np.array(seen[::2])

    def _shuffled(self, stack: Stack) -> tuple[Null, NDArray[np.float64]]:
        """Halves of the real set would hide half of the copies: held-out images serve instead."""
        assert stack.features is not None
        n, level = resamples_of("nearer_train", self._settings), self._settings.level
        real, generated = stack.rows
        values = stack.features.nearer_train_null(real, generated, n)
        observed = stack.features.nearer_train(real, generated)
        below = np.mean((values < observed) + 0.5 * (values == observed))
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        null = Null(
            floor=float(np.median(values)),
            low=float(low),
            high=float(high),
            percentile=100 * float(below),
            observed=observed,
            n_real=len(real),
            n_generated=len(generated),
            level=level,
            n_resamples=n,
            by_group=stack.groups[0] is not None,
        )
        return null, values


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


def _about_likelihoods(metrics: Mapping[str, Metric]) -> list[str]:
    kept = metrics.get("kept_fraction_real")
    if kept is None or kept.value >= 0.5:
        return []
    return [
        f"the filter keeps {kept.value:.0%} of the real images: they are unlike this model's "
        "reference, so train a model on your own clean patches (rl2qc train) before trusting "
        "likelihoods"
    ]

"""The value of every metric from the pure functions, on whole sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.authenticity import authenticity
from rl2qc.metrics.frechet import fid, r_fid
from rl2qc.metrics.inception import inception_score
from rl2qc.metrics.irs import irs, irs_expected
from rl2qc.metrics.kernel import kid
from rl2qc.metrics.matrices import halves
from rl2qc.metrics.ms_ssim import MsSsimResult, msssim_diversity
from rl2qc.metrics.prdc import prdc
from rl2qc.metrics.rl2 import rl2
from rl2qc.metrics.sliced import swd
from rl2qc.metrics.wad_div import wad_div
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.pixels import PATCHES, PROJECTIONS
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.stats.baseline import Null

__all__ = ["Value", "full_values"]

_NAN = math.nan
_SSIM_PAIRS = 200


@dataclass(frozen=True)
class Value:
    """A metric of whole sets; an interval and a floor only where it has ones of its own.

    ``std`` is the deviation of the parts that the value is the mean of, such as KID's subsets.
    """

    value: float
    n_real: int = 0
    n_generated: int = 0
    note: str = ""
    low: float = _NAN
    high: float = _NAN
    method: str = ""
    std: float = _NAN
    null: Null | None = None


_Pixels: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def full_values(
    names: tuple[str, ...],
    real: ImageSet,
    generated: ImageSet,
    settings: ScoreSettings,
    pixels: _Pixels | None = None,
    held_out: ImageSet | None = None,
) -> dict[str, Value]:
    """Values of the metrics called ``names``; what is not defined is NaN, its note says why."""
    families: Mapping[tuple[str, ...], Callable[[], dict[str, Value]]] = {
        ("rl2",): lambda: _rl2(real, generated),
        ("wad_div_zero", "wad_div_exponential"): lambda: _wad_div(generated, settings),
        ("wad_div_empirical", "wad_div_normalized", "wad_div_ratio"): (
            lambda: _wad_div_empirical(real, generated, settings)
        ),
        ("irs_alpha", "irs_inf"): lambda: _irs(real, generated, settings),
        ("irs_adjusted",): lambda: _irs_adjusted(real, generated, settings, held_out),
        ("fid",): lambda: _fid(real, generated),
        ("r_fid",): lambda: _r_fid(real, generated, settings),
        ("kid",): lambda: _kid(real, generated, settings),
        ("swd",): lambda: _swd(pixels, settings),
        ("ms_ssim",): lambda: _ms_ssim(real, generated, pixels, settings),
        ("inception_score",): lambda: _inception_score(generated, settings),
        ("precision", "recall", "density", "coverage"): lambda: _prdc(real, generated, settings),
        ("authenticity", "nearer_train"): (
            lambda: _authenticity(real, generated, settings, held_out)
        ),
        tuple(_LIKELIHOODS): lambda: _likelihoods(real, generated),
    }
    values: dict[str, Value] = {}
    for family, compute in families.items():
        if wanted := [name for name in family if name in names]:
            try:
                found = compute()
            except ValueError as error:
                found = {name: Value(_NAN, note=str(error)) for name in wanted}
            values |= {name: found[name] for name in wanted}
    return values


def _features(image_set: ImageSet) -> NDArray[np.float32]:
    assert image_set.features is not None
    return image_set.features


def _rl2(real: ImageSet, generated: ImageSet) -> dict[str, Value]:
    assert real.latents is not None and generated.latents is not None
    value = rl2(real.latents, generated.latents).value
    return {"rl2": Value(value, len(real), len(generated))}


def _wad_div(generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    x, n, by = _features(generated), len(generated), settings.distance
    return {
        "wad_div_zero": Value(wad_div(x, "zero", settings.k, metric=by).value, 0, n),
        "wad_div_exponential": Value(wad_div(x, "exponential", settings.k, metric=by).value, 0, n),
    }


def _wad_div_empirical(
    real: ImageSet, generated: ImageSet, settings: ScoreSettings
) -> dict[str, Value]:
    x, y = _features(real), _features(generated)
    result = wad_div(y, x, settings.k, metric=settings.distance, seed=settings.seed)
    n = (result.n_reference, result.n)
    note = f"both sets at {result.n} images, {settings.k} neighbours"
    undefined = "undefined: the real set has no spread"

    def defined(value: float | None) -> Value:
        return Value(_NAN, *n, undefined) if value is None else Value(value, *n)

    return {
        "wad_div_empirical": Value(result.value, *n, note),
        "wad_div_normalized": defined(result.normalized),
        "wad_div_ratio": defined(result.ratio),
    }


def _irs(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    n = (len(real), len(generated))
    tail = (1 - settings.level) / 2
    x, y = _features(real), _features(generated)
    result = irs(x, y, metric=settings.distance, alpha=tail)
    # The expected share rises with the number of images drawn from: bounds map to bounds.
    low, high = (
        irs_expected(result.n_train, result.n, share, tail).mean / result.n_train
        for share in (result.low, result.high)
    )
    saturated = "saturated: too few generated images to bound it from above; " * result.saturated
    duplicates = f", {result.n_duplicates} duplicates left out" * (result.n_duplicates > 0)
    return {
        "irs_alpha": Value(
            result.irs_alpha,
            *n,
            f"{result.retrieved} of {result.n_train} real images retrieved{duplicates}",
            min(low, result.irs_alpha),
            max(high, result.irs_alpha),
            "occupancy",
        ),
        "irs_inf": Value(
            result.value,
            *n,
            f"{saturated}bounds of the occupancy model",
            result.low,
            result.high,
            "occupancy",
        ),
    }


def _irs_adjusted(
    real: ImageSet, generated: ImageSet, settings: ScoreSettings, held_out: ImageSet | None
) -> dict[str, Value]:
    x = _features(real)
    if held_out is None:
        kept, aside = halves(np.arange(len(real)), real.groups, settings.seed)
        train, new = x[kept], x[aside]
    else:
        train, new = x, _features(held_out)
    result = irs(train, _features(generated), new, metric=settings.distance)
    assert result.adjusted is not None
    note = f"{len(train)} real images as training set, {len(new)} held out"
    if result.adjusted_saturated:
        note = f"saturated: too few images to bound it; {note}"
    return {"irs_adjusted": Value(result.adjusted, len(real), len(generated), note)}


def _fid(real: ImageSet, generated: ImageSet) -> dict[str, Value]:
    result = fid(_features(real), _features(generated))
    return {"fid": Value(result.value, len(real), len(generated), "; ".join(result.warnings))}


def _r_fid(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    result = r_fid(
        _features(real),
        _features(generated),
        real_groups=real.groups,
        generated_groups=generated.groups,
        seed=settings.seed,
    )
    if not math.isfinite(result.value):
        raise ValueError("undefined: the generated images equal the real ones")
    note = "; ".join((f"median of {result.n_splits} splits", *result.warnings))
    return {"r_fid": Value(result.value, result.n_real, result.n_generated, note)}


def _kid(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    result = kid(_features(real), _features(generated), seed=settings.seed)
    note = (
        f"mean over {result.n_subsets} subsets of {result.subset_size} images, standard "
        f"deviation {result.std:.3g}; over all pairs {result.unbiased:.4g}"
    )
    return {"kid": Value(result.value, len(real), len(generated), note, std=result.std)}


def _swd(pixels: _Pixels | None, settings: ScoreSettings) -> dict[str, Value]:
    assert pixels is not None
    result = swd(*pixels, n_projections=PROJECTIONS, patches_per_image=PATCHES, seed=settings.seed)
    note = (
        f"{PROJECTIONS} projections of {PATCHES} patches an image at {len(result.level_sizes)} "
        "levels, the literature prints it times 1,000; each set is standardised by itself, as "
        "published, so a shift of colour, brightness or contrast that all images share is not seen"
    )
    return {"swd": Value(result.value, result.n_real, result.n_generated, note)}


def _ms_ssim(
    real: ImageSet, generated: ImageSet, pixels: _Pixels | None, settings: ScoreSettings
) -> dict[str, Value]:
    """With the real set's own value as floor: a mean over pairs does not depend on their number."""
    assert pixels is not None
    of_real, found = (
        msssim_diversity(images, n_pairs=_SSIM_PAIRS, seed=settings.seed) for images in pixels
    )

    def error(result: MsSsimResult, image_set: ImageSet) -> float:
        # Pairs that share an image, or a slide, are not independent: units / 2 are counted on.
        groups = image_set.groups
        units = result.n if groups is None else len(np.unique(groups))
        return result.std / math.sqrt(min(result.n_pairs, max(units // 2, 1)))

    of_both = math.hypot(error(found, generated), error(of_real, real))
    distance = found.value - of_real.value
    if of_both:
        percentile = 100 * NormalDist().cdf(distance / of_both)
    else:
        percentile = 50.0 + 50 * np.sign(distance)
    z = NormalDist().inv_cdf((1 + settings.level) / 2)

    def reach(value: float, deviation: float) -> tuple[float, float]:
        return max(0.0, value - z * deviation), min(1.0, value + z * deviation)

    low, high = reach(of_real.value, of_both)
    null = Null(
        floor=of_real.value,
        low=low,
        high=high,
        percentile=float(percentile),
        observed=found.value,
        n_real=of_real.n,
        n_generated=found.n,
        level=settings.level,
        n_resamples=0,
        by_group=real.groups is not None,
    )
    note = (
        f"{found.n_pairs} pairs; the floor is the value of {of_real.n_pairs} pairs of real images"
    )
    return {
        "ms_ssim": Value(
            found.value,
            0,
            found.n,
            "; ".join((note, *found.warnings)),
            *reach(found.value, error(found, generated)),
            "normal",
            found.std,
            null,
        )
    }


def _inception_score(generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    if generated.probabilities is None:
        raise ValueError(
            "needs a classifier's probabilities: rl2qc score --probabilities FILE.npy, or "
            "--features inception"
        )
    result = inception_score(generated.probabilities, seed=settings.seed)
    note = "; ".join((f"{len(result.per_split)} splits", *result.warnings))
    std = float(np.std(result.per_split))
    return {"inception_score": Value(result.value, 0, result.n, note, std=std)}


def _prdc(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    result = prdc(
        _features(real),
        _features(generated),
        settings.prdc_k,
        convention=settings.prdc_convention,
    )
    n = (result.n_real, result.n_generated)
    return {
        "precision": Value(
            result.precision, *n, f"{result.k} neighbours, convention {result.convention}"
        ),
        "recall": Value(result.recall, *n),
        "density": Value(result.density, *n),
        "coverage": Value(result.coverage, *n),
    }


def _authenticity(
    real: ImageSet, generated: ImageSet, settings: ScoreSettings, held_out: ImageSet | None
) -> dict[str, Value]:
    n = (len(real), len(generated))
    result = authenticity(
        _features(real),
        _features(generated),
        None if held_out is None else _features(held_out),
        metric=settings.distance,
        rng=np.random.default_rng(settings.seed),
    )
    if result.nearer_train is None:
        note = "the real set taken as the training set; the floor is what new real images score"
        missing = "needs real images that the generator has not seen: rl2qc score --held-out"
        return {
            "authenticity": Value(result.value, *n, note),
            "nearer_train": Value(_NAN, *n, missing),
        }
    if result.n_held_out < len(real):
        note = (
            f"of the {len(real)} real images {result.n_held_out} are looked at, as many as are "
            "held out: copies of others show in authenticity"
        )
    else:
        note = f"{len(real)} images of either"
    return {
        "authenticity": Value(
            result.value,
            *n,
            f"{result.n_held_out} held-out images score {result.held_out_value:.4g}",
        ),
        "nearer_train": Value(
            result.nearer_train,
            *n,
            f"0.5 where nothing is memorised, floor from shuffling both; {note}",
        ),
    }


_LIKELIHOODS = [
    f"{name}_{title}"
    for name in ("mean_log_likelihood", "median_log_likelihood", "kept_fraction")
    for title in ("real", "generated")
]


def _likelihoods(real: ImageSet, generated: ImageSet) -> dict[str, Value]:
    values = {}
    for title, judged in (("real", real), ("generated", generated)):
        assert judged.log_likelihood is not None and judged.keep is not None
        n = (len(real), 0) if title == "real" else (0, len(generated))
        for name, value in (
            ("mean_log_likelihood", np.mean(judged.log_likelihood)),
            ("median_log_likelihood", np.median(judged.log_likelihood)),
            ("kept_fraction", np.mean(judged.keep)),
        ):
            values[f"{name}_{title}"] = Value(float(value), *n)
    return values

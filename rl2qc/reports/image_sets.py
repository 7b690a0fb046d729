"""One image set with all that its metrics need, and several of them stacked for resampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.errors import UsageError
from rl2qc.images.sources import Patches, PatchSource, as_source
from rl2qc.metrics.inception import inception_score
from rl2qc.metrics.neighbors import Metric
from rl2qc.metrics.prdc import Convention
from rl2qc.metrics.rl2 import rl2
from rl2qc.model.backbone import POOLED
from rl2qc.model.extractors import (
    EXTRACTORS,
    Extractor,
    InceptionFeatures,
    ModelStatistics,
    PrecomputedFeatures,
    get_extractor,
    load_precomputed,
)
from rl2qc.model.feature_cache import FeatureCache
from rl2qc.model.holdout import match_slides, slide_ids
from rl2qc.model.quality import QualityModel
from rl2qc.model.scale import check_scale
from rl2qc.reports.catalogue import CATALOGUE, chosen_metrics
from rl2qc.reports.pixels import SwdRows, read_sample
from rl2qc.reports.row_metrics import RowMetrics

__all__ = [
    "HELD_OUT",
    "ImageSet",
    "RowMetric",
    "ScoreSettings",
    "Stack",
    "at_one_size",
    "check_size",
    "drawn",
    "feature_stack",
    "kinds",
    "measure_sets",
    "pixel_stack",
]

_Rows: TypeAlias = NDArray[np.intp]
RowMetric: TypeAlias = Callable[[_Rows, _Rows], float]
"""A metric of (real, generated) row numbers of a stack."""

# Title of the real images that the generator has not seen.
HELD_OUT = "held-out"
# Images of a set that resamples draw from: their distance matrix is held in memory.
RESAMPLED_AT_MOST = 1000


@dataclass(frozen=True)
class ScoreSettings:
    """How to score.

    Parameters
    ----------
    metrics : sequence of str, optional
        Names in `rl2qc.reports.catalogue.CATALOGUE`; None for all but the optional ones.
    k : int
        Neighbours of WAD-Div.
    prdc_k : int
        Neighbours of precision, recall, density and coverage.
    prdc_convention : {"prdc", "kynkaanniemi"}
        Whether an image on the edge of a ball lies in it (`rl2qc.metrics.prdc.prdc`).
    distance : {"euclidean", "cosine"}
        Between neighbours in WAD-Div, IRS and authenticity; precision, recall, density and
        coverage are defined by the Euclidean one.
    alpha : float
        False-positive rate at which the filter keeps an image: p-value above alpha.
    features : str, path or Extractor
        For the metrics of features: name or file of an extractor, or one of your own
        (`rl2qc.model.extractors.get_extractor`), or a folder of features that were computed
        elsewhere (`rl2qc.model.extractors.load_precomputed`). RL2 and likelihoods are always the
        model's own.
    cache : bool
        Keep features between runs (`rl2qc.model.feature_cache.FeatureCache`).
    group_pattern : str, optional
        Regular expression whose first group is the slide or patient, in the file name or else in
        the path below the folder that a set's files share (`rl2qc.model.holdout.slide_ids`):
        whole groups are then resampled. Generated images that it does not match stand by
        themselves.
    mpp : float, optional
        Microns per pixel of the images, to be held against the model's; None for not known.
    any_mpp : bool
        Only warn where they are far apart.
    n_resamples : int
        Resamples of intervals and of the real-against-real null; 0 for values alone.
    level : float
        Coverage of the intervals.
    seed : int
        Of every random draw.

    Raises
    ------
    UsageError
        For options out of range.
    """

    metrics: Sequence[str] | None = None
    k: int = 3
    prdc_k: int = 5
    prdc_convention: Convention = "prdc"
    distance: Metric = "euclidean"
    alpha: float = 0.05
    features: str | Path | Extractor = "rl2"
    cache: bool = True
    group_pattern: str | None = None
    mpp: float | None = None
    any_mpp: bool = False
    n_resamples: int = 200
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("alpha", "level"):
            if not 0 < getattr(self, name) < 1:
                raise UsageError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        for name in ("k", "prdc_k"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name, kind in (("distance", Metric), ("prdc_convention", Convention)):
            if getattr(self, name) not in get_args(kind):
                known = " or ".join(get_args(kind))
                raise UsageError(f"{name} must be {known}, got {getattr(self, name)!r}")
        if self.n_resamples < 0 or self.n_resamples == 1:
            raise UsageError(f"n_resamples must be 0 or at least 2, got {self.n_resamples}")
        if self.seed < 0:
            raise UsageError(f"seed must not be negative, got {self.seed}")
        chosen_metrics(self.metrics)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One set of images, measured; what no chosen metric asks for is None.

    Attributes
    ----------
    source
    features : (n, d) float32
        Of the extractor.
    latents : (n, 512) float32
    log_likelihood : (n,) float64
    keep : (n,) bool
    probabilities : (n, classes) float64
    groups : (n,) str
    """

    source: PatchSource
    features: NDArray[np.float32] | None = None
    latents: NDArray[np.float32] | None = None
    log_likelihood: NDArray[np.float64] | None = None
    keep: NDArray[np.bool_] | None = None
    probabilities: NDArray[np.float64] | None = None
    groups: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: _Rows) -> ImageSet:
        """The images at ``rows``, in that order."""
        measured = {
            name: None if (values := getattr(self, name)) is None else values[rows]
            for name in (field.name for field in fields(self))
            if name != "source"
        }
        return ImageSet(self.source.take(rows), **measured)


@dataclass(frozen=True, eq=False)
class Stack:
    """Rows of several sets, numbered through, and metrics of row numbers.

    Attributes
    ----------
    rows
        Row numbers of each set, the real one first.
    images
        Which image of its set each row is.
    groups
        Slide of each row by set, or None.
    metrics
        By name.
    """

    rows: tuple[_Rows, ...]
    images: tuple[_Rows, ...]
    groups: tuple[NDArray[np.str_] | None, ...]
    metrics: Mapping[str, RowMetric]
    features: RowMetrics | None = None


def kinds(settings: ScoreSettings) -> set[str]:
    """What the chosen metrics are computed from."""
    return {CATALOGUE[name].kind for name in chosen_metrics(settings.metrics)}


def at_one_size(
    sets: Mapping[str, Patches], model: QualityModel, settings: ScoreSettings
) -> tuple[dict[str, PatchSource], list[str]]:
    """All sets at the model's patch size, or the smallest one's where it is below, and warnings.

    Raises
    ------
    UsageError
        For images of another resolution than the model's.
    """
    scale = check_scale(model.mpp, settings.mpp, any_mpp=settings.any_mpp)
    warnings = [] if scale is None else [scale]
    sources = {title: as_source(patches) for title, patches in sets.items()}
    size = min(model.patch_size, *(s.size for s in sources.values()))
    if size < model.patch_size:
        warnings.append(
            f"images are {size} px, the model's patches {model.patch_size} px: distances hold, "
            f"likelihoods and kept shares are not calibrated at {size} px (rl2qc train on real "
            "images of this size calibrates them)"
        )
    return {t: as_source(s, size) for t, s in sources.items()}, warnings


def check_size(title: str, source: PatchSource, settings: ScoreSettings) -> None:
    """UsageError for a set that is too small to be scored."""
    if len(source) < 2:
        raise UsageError(f"the {title} set holds one image: at least two are needed")
    wanted = chosen_metrics(settings.metrics)
    if settings.k >= len(source) and any(name.startswith("wad_div") for name in wanted):
        raise UsageError(
            f"k = {settings.k} needs more than {settings.k} images, the {title} set holds "
            f"{len(source)}: give more images or a smaller k"
        )


def measure_sets(
    sources: Mapping[str, PatchSource],
    model: QualityModel,
    settings: ScoreSettings,
    *,
    probabilities: Mapping[str, ArrayLike] | None = None,
    progress: bool = False,
) -> tuple[dict[str, ImageSet], Extractor]:
    """Features, latents, likelihoods and groups of every set, as the metrics ask for.

    Parameters
    ----------
    sources
        By title; ``real`` is the set whose groups must be known where a pattern is given, and
        `HELD_OUT` one that needs none.
    probabilities
        Class posteriors by title.

    Raises
    ------
    UsageError
        For a pattern that does not match, or probabilities or features that are not one row an
        image.
    """
    extractors = _extractors(settings.features, model, list(sources))
    # What the model's features, latents and scores all follow from.
    statistics = ModelStatistics(model)
    asked, cache = kinds(settings), FeatureCache()

    def features(by: Extractor, source: PatchSource) -> NDArray[np.float32]:
        if settings.cache and not isinstance(by, PrecomputedFeatures):
            return cache.features(by, source, progress=progress)
        return by.extract(source, progress=progress)

    sets = {}
    for title, source in sources.items():
        own = latents = judged = chosen = None
        if asked & {"latents", "likelihood"} or settings.features in ("rl2", "latents"):
            of_stages = features(statistics, source)
            own = of_stages[:, POOLED].copy()
            latents, judged = model.latents_of_features(own), model.judge(of_stages)
        if settings.features in ("rl2", "latents"):
            chosen = own if settings.features == "rl2" else latents
        elif asked & {"features", "probabilities"}:
            chosen = features(extractors[title], source)
        if settings.distance == "cosine" and chosen is not None:
            _check_cosine(source, chosen)
        sets[title] = ImageSet(
            source,
            chosen,
            latents,
            None if judged is None else judged["log_likelihood"],
            None if judged is None else judged["p_value"] > settings.alpha,
            _probabilities(
                title, source, (probabilities or {}).get(title), extractors[title], chosen
            ),
            _groups(title, source, settings.group_pattern),
        )
    return sets, extractors["real"]


def _extractors(
    features: str | Path | Extractor, model: QualityModel, titles: Sequence[str]
) -> Mapping[str, Extractor]:
    """The extractor of each set; features computed elsewhere are of one set only."""
    if isinstance(features, str | Path) and _is_folder(features):
        return load_precomputed(features, titles)
    return dict.fromkeys(titles, get_extractor(features, model))


def _is_folder(features: str | Path) -> bool:
    # A known name comes first, whatever folders there are; "" would be the current one.
    return str(features) not in ("", *EXTRACTORS) and Path(features).is_dir()


def feature_stack(
    sets: Sequence[ImageSet], settings: ScoreSettings, held_out: ImageSet | None = None
) -> Stack:
    """Features, latents and likelihoods of at most 1,000 images of each set.

    ``held_out`` serves the metrics that need real images beside the real set; its rows, which are
    never resampled, are none of the stack's.
    """
    n_scored = len(sets)
    sets = [*sets, *([] if held_out is None else [held_out])]
    images = [_at_most(len(s), RESAMPLED_AT_MOST, settings.seed) for s in sets]
    rows = _numbered(images)
    groups = [None if s.groups is None else s.groups[i] for s, i in zip(sets, images, strict=True)]
    metrics: dict[str, RowMetric] = {}
    stacked = None
    if (features := _joined([s.features for s in sets], images)) is not None:
        # A slide of one set is none of another's.
        labels = np.concatenate(
            [
                np.array([f"{n}:{label}" for label in (np.arange(len(i)) if g is None else g)])
                for n, (g, i) in enumerate(zip(groups, images, strict=True))
            ]
        )
        stacked = RowMetrics(
            features,
            k=settings.k,
            prdc_k=settings.prdc_k,
            prdc_convention=settings.prdc_convention,
            distance=settings.distance,
            groups=None if settings.group_pattern is None else labels,
            held_out=None if held_out is None else rows[-1],
            seed=settings.seed,
        )
        metrics |= _feature_metrics(stacked)
    if (latents := _joined([s.latents for s in sets], images)) is not None:
        metrics["rl2"] = lambda a, b: rl2(latents[a], latents[b]).value
    if (scores := _joined([s.log_likelihood for s in sets], images)) is not None:
        metrics |= _likelihood_metrics("mean_log_likelihood", scores, np.mean)
        metrics |= _likelihood_metrics("median_log_likelihood", scores, np.median)
    if (keep := _joined([s.keep for s in sets], images)) is not None:
        metrics |= _likelihood_metrics("kept_fraction", keep, np.mean)
    if any(s.probabilities is not None for s in sets):
        metrics["inception_score"] = _inception_score(sets, images, settings.seed)
    scored = slice(n_scored)
    return Stack(rows[scored], tuple(images[scored]), tuple(groups[scored]), metrics, stacked)


def pixel_stack(
    sets: Sequence[ImageSet], settings: ScoreSettings
) -> tuple[Stack, list[NDArray[np.uint8]]]:
    """A bounded number of images of each set, read once, and metrics of their patches."""
    samples = [read_sample(s.source, settings.seed) for s in sets]
    images = [rows for _, rows in samples]
    groups = [None if s.groups is None else s.groups[i] for s, i in zip(sets, images, strict=True)]
    pixels = [p for p, _ in samples]
    metrics: dict[str, RowMetric] = {}
    if "swd" in chosen_metrics(settings.metrics):
        metrics["swd"] = SwdRows(*pixels, seed=settings.seed)
    return Stack(_numbered(images), tuple(images), tuple(groups), metrics), pixels


def drawn(image_set: ImageSet, n: int, seed: int) -> ImageSet:
    """``n`` images of a set, drawn at random without repetition; all where there are no more."""
    return image_set if len(image_set) <= n else image_set.take(_at_most(len(image_set), n, seed))


def _feature_metrics(stacked: RowMetrics) -> dict[str, RowMetric]:
    def of_neighbours(name: str) -> RowMetric:
        def metric(real: _Rows, generated: _Rows) -> float:
            values = stacked.neighbours(real, generated)
            if name not in values:
                raise ValueError("too few images, or a real set without any spread")
            return values[name]

        return metric

    direct: dict[str, RowMetric] = {
        "fid": stacked.fid,
        "r_fid": stacked.r_fid,
        "kid": stacked.kid,
        "irs_adjusted": stacked.irs_adjusted,
        "nearer_train": stacked.nearer_train,
    }
    return {
        name: direct.get(name) or of_neighbours(name)
        for name, spec in CATALOGUE.items()
        if spec.kind == "features"
    }


def _likelihood_metrics(
    name: str,
    values: NDArray[np.generic],
    reduce: Callable[[Any], Any],
) -> dict[str, RowMetric]:
    return {
        f"{name}_real": lambda real, generated: float(reduce(values[real])),
        f"{name}_generated": lambda real, generated: float(reduce(values[generated])),
    }


def _inception_score(sets: Sequence[ImageSet], images: Sequence[_Rows], seed: int) -> RowMetric:
    """Of sets without probabilities the metric raises ValueError."""
    blocks = [s.probabilities for s in sets]
    width = max(p.shape[1] for p in blocks if p is not None)
    stacked = np.concatenate(
        [
            np.full((len(i), width), np.nan) if p is None else p[i]
            for p, i in zip(blocks, images, strict=True)
        ]
    )

    def metric(real: _Rows, generated: _Rows) -> float:
        p = stacked[generated]
        if np.isnan(p).any():
            raise ValueError("the classifier's probabilities of real images are not known")
        return inception_score(p, seed=seed).value

    return metric


def _numbered(images: Sequence[_Rows]) -> tuple[_Rows, ...]:
    ends = np.cumsum([len(i) for i in images])
    return tuple(np.arange(end - len(i), end) for i, end in zip(images, ends, strict=True))


def _at_most(n: int, most: int, seed: int) -> _Rows:
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def _joined(
    parts: Sequence[NDArray[np.generic] | None], images: Sequence[_Rows]
) -> NDArray[np.generic] | None:
    known = [part[i] for part, i in zip(parts, images, strict=True) if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def _check_cosine(source: PatchSource, features: NDArray[np.float32]) -> None:
    nonzero = features.any(axis=1)
    if not nonzero.all():
        raise UsageError(
            f"the cosine distance of {source.names[int(np.argmin(nonzero))]} is undefined, all its "
            "features being 0: leave the image out or take --distance euclidean"
        )


def _probabilities(
    title: str,
    source: PatchSource,
    given: ArrayLike | None,
    extractor: Extractor,
    features: NDArray[np.float32] | None,
) -> NDArray[np.float64] | None:
    if given is None:
        if isinstance(extractor, InceptionFeatures) and features is not None:
            return extractor.probabilities(features)
        return None
    p = np.asarray(given)
    if p.ndim != 2 or len(p) != len(source) or p.dtype.kind not in "fiu":
        raise UsageError(
            f"the probabilities of the {title} set must be numbers of shape ({len(source)}, "
            f"classes), one row an image in the order of the files, got {p.shape} of {p.dtype}"
        )
    try:
        inception_score(p, splits=1)
    except ValueError as error:
        raise UsageError(f"the probabilities of the {title} set: {error}") from None
    return p.astype(np.float64)


def _groups(title: str, source: PatchSource, pattern: str | None) -> NDArray[np.str_] | None:
    if pattern is None:
        return None
    option = "--group-pattern"
    if title != "real" and set(match_slides(source.names, pattern, option=option)) == {None}:
        return None
    labels = np.array(slide_ids(source.names, pattern, option=option))
    if title != HELD_OUT and len(set(labels.tolist())) < 2:
        raise UsageError(
            f"--group-pattern {pattern!r} finds a single slide in the {title} set: at least two "
            "are needed to resample by slide"
        )
    return labels

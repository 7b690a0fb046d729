"""One image set with all that its metrics need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.errors import UsageError
from rl2qc.features.base import FeatureExtractor, find_extractors
from rl2qc.features.cache import FeatureCache
from rl2qc.features.of_model import ModelStatistics
from rl2qc.images.groups import match_slides, slide_ids
from rl2qc.images.resolution import check_scale
from rl2qc.images.sources.base import Patches, PatchSource, as_source
from rl2qc.metrics.inception import inception_score
from rl2qc.model.network.backbone import POOLED
from rl2qc.model.quality import QualityModel
from rl2qc.scoring.settings import ScoreSettings, kinds
from rl2qc.scoring.spec import CATALOGUE, chosen_metrics

__all__ = [
    "HELD_OUT",
    "ImageSet",
    "about_likelihoods",
    "at_most",
    "at_one_size",
    "check_size",
    "drawn",
    "measure_sets",
]

_Rows: TypeAlias = NDArray[np.intp]

# Title of the real images that the generator has not seen.
HELD_OUT = "held-out"


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
) -> tuple[dict[str, ImageSet], FeatureExtractor]:
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
    extractors = find_extractors(settings.features, model, list(sources))
    # What the model's features, latents and scores all follow from.
    statistics = ModelStatistics(model)
    asked, cache = kinds(settings), FeatureCache()

    def features(by: FeatureExtractor, source: PatchSource) -> NDArray[np.float32]:
        if settings.cache and by.cached:
            return cache.features(by, source, progress=progress)
        return by.extract(source, progress=progress)

    sets = {}
    for title, source in sources.items():
        latents = judged = chosen = None
        extractor = extractors[title]
        if asked & {"latents", "likelihood"} or extractor.follows is model:
            of_stages = features(statistics, source)
            own = of_stages[:, POOLED].copy()
            latents, judged = model.latents_of_features(own), model.judge(of_stages)
        if extractor.follows is model:
            chosen = extractor.of_statistics(of_stages)
        elif asked & {"features", "probabilities"}:
            chosen = features(extractor, source)
        if settings.distance == "cosine" and chosen is not None:
            _check_cosine(source, chosen)
        sets[title] = ImageSet(
            source,
            chosen,
            latents,
            None if judged is None else judged["log_likelihood"],
            None if judged is None else judged["p_value"] > settings.alpha,
            _probabilities(title, source, (probabilities or {}).get(title), extractor, chosen),
            _groups(title, source, settings.group_pattern),
        )
    return sets, extractors["real"]


def about_likelihoods(names: Sequence[str], real: ImageSet) -> list[str]:
    """A warning if the metrics called ``names`` ask a model that rejects the real images."""
    asked = any(CATALOGUE[name].kind == "likelihood" for name in names)
    if not asked or real.keep is None or (kept := float(real.keep.mean())) >= 0.5:
        return []
    return [
        f"the filter keeps {kept:.0%} of the real images: they are unlike this model's reference, "
        "so train a model on your own clean patches (rl2qc train) before trusting likelihoods"
    ]


def drawn(image_set: ImageSet, n: int, seed: int) -> ImageSet:
    """``n`` images of a set, drawn at random without repetition; all where there are no more."""
    return image_set if len(image_set) <= n else image_set.take(at_most(len(image_set), n, seed))


def at_most(n: int, most: int, seed: int) -> _Rows:
    """``most`` of ``n`` rows, drawn at random and sorted; all where there are no more."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


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
    extractor: FeatureExtractor,
    features: NDArray[np.float32] | None,
) -> NDArray[np.float64] | None:
    if given is None:
        return None if features is None else extractor.probabilities(features)
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

"""What metrics need of image sets: features, latents, likelihoods, groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.progress import Progress
from rl2qc.core.provenance import versions
from rl2qc.errors import UsageError
from rl2qc.features.base import FeatureExtractor
from rl2qc.features.find import find_all
from rl2qc.features.precomputed import PrecomputedFeatures
from rl2qc.images.pairs import natural_order
from rl2qc.images.sources.base import Patches
from rl2qc.images.sources.images import PatchSource
from rl2qc.images.sources.notes import (
    abouts_of,
    difference_warnings,
    scale_notes,
    sized_abouts,
)
from rl2qc.images.sources.sizes import at_one_size
from rl2qc.metrics.inception import inception_score
from rl2qc.model.quality import QualityModel
from rl2qc.scoring.encoding import Control, Encodings, harmonized
from rl2qc.scoring.fitting import fit_to_real
from rl2qc.scoring.groups import effective_number, found_groups, given_groups
from rl2qc.scoring.image_sets import ByExtractor, ImageSet
from rl2qc.scoring.measuring import Measuring
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import MetricSpec

__all__ = ["UNSEEN", "Measured", "measure_sets"]

UNSEEN = "unseen"
"""Title of the real images that the generator has not seen."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Sets of one size, measured, and what is to be said of them.

    Attributes
    ----------
    sets
        By title; the real one knows the unseen images.
    provenance
        What was measured with what.
    warnings
        Plain sentences.
    encodings
        How the sets are encoded.
    control
        Real images encoded as the generated ones, where these are encoded differently.
    by_extractor
        The same sets by each of several extractors, the one of ``sets`` first; empty for one.
    measuring
        What measured them.
    """

    sets: Mapping[str, ImageSet]
    provenance: Mapping[str, Any]
    warnings: tuple[str, ...]
    encodings: Encodings
    control: Control | None = None
    by_extractor: tuple[ByExtractor, ...] = ()
    measuring: Measuring | None = None


def measure_sets(
    inputs: Mapping[str, Patches],
    model: str | Path | QualityModel,
    specs: Sequence[MetricSpec],
    settings: ScoreSettings,
    *,
    unseen: Patches | None = None,
    probabilities: Mapping[str, ArrayLike] | None = None,
    progress: bool | Progress = False,
) -> Measured:
    """Everything that metrics need of every set.

    All sets are taken at the model's patch size, or the smallest one's where it is below.

    Parameters
    ----------
    inputs
        By title; ``real`` is the set whose groups must be known where a pattern is given.
    model
        Name or file of a model, or a model.
    specs, settings
        What is measured, and how.
    unseen
        Real images that the generator has not seen; one slide of them will do.
    probabilities
        Class posteriors by title.
    progress
        Show bars on the standard error.

    Raises
    ------
    UsageError
        For images of another resolution than the model's, sets that are too small, a pattern that
        does not match, or probabilities or features that are not one row an image.
    ImageError
        Files that are no images or too small.
    """
    patches = dict(inputs) if unseen is None else {**inputs, UNSEEN: unseen}
    judge = QualityModel.of(model)
    sources, warnings = _at_one_size(patches, judge, settings)
    for title in inputs:
        _check_size(title, len(sources[title]), specs, settings)
    # Before any work: names and probabilities cost nothing to check.
    groups = {t: given_groups(t, s, settings, t in inputs) for t, s in sources.items()}
    given = {
        title: _probabilities(title, sources[title], p)
        for title, p in (probabilities or {}).items()
    }
    needs = {need for spec in specs for need in spec.needs}
    with _batches_of(judge, settings.batch_size):
        extractors, *others = find_all(settings.extractors, judge, list(sources))
        measure = Measuring(judge, settings, needs, progress)
        looks = {title: measure.looks(source) for title, source in sources.items()}
        encodings = Encodings.of(sources, looks)
        if settings.harmonize:
            _check_computed(extractors, *others)
            sources, recipes = harmonized(sources, encodings)
            looks = {title: measure.looks(source) for title, source in sources.items()}
            encodings = Encodings.of(sources, looks, recipes)
        sets, found = {}, {}
        for title, source in sources.items():
            arrays = measure(source, extractors[title], given.get(title))
            seen, name = looks[title], extractors[title].name
            found[title] = groups[title] or found_groups(source, arrays.get("features"), seen)
            sets[title] = ImageSet(source, arrays, found[title].labels, None, seen, name)
        beside = tuple(measure.beside(by, sets) for by in others)
        measure, fitted = fit_to_real(measure, sets, [by.sets for by in beside])
        control = measure.control(sets["real"], extractors["real"], encodings)
    warnings += _order_warnings(sources, (extractors, *others), set(given))
    for of in (sets, *(other.sets for other in beside)) if unseen is not None else ():
        of["real"] = of["real"].beside(of[UNSEEN])
    extractor = extractors["real"]
    made = {
        "patch_size": sources["real"].size,
        "encoding": encodings.record(),
        "groups": {title: images.n_groups for title, images in sets.items()},
        "group_evidence": {title: known.evidence for title, known in found.items()},
        "independent_images": {t: _independent(s) for t, s in sets.items()},
        "features": extractor.name,
        "features_identity": extractor.identity,
        "dtype": "float32 features, float64 metrics",
        "checkpoint": judge.name,
        "fitted": fitted and fitted.record(),
        "checkpoint_sha256": judge.sha256,
        "device": str(judge.device),
        "settings": {
            **settings.record(),
            "features": ",".join([extractor.name, *(other.name for other in beside)]),
        },
        "versions": versions(),
    }
    said = (*encodings.warnings(), *warnings, *_likelihood_warnings(needs, sets["real"]))
    main = ByExtractor(extractor.name, extractor.identity, extractor.dim, sets)
    return Measured(
        sets, made, said, encodings, control, (main, *beside) if beside else (), measure
    )


def _order_warnings(
    sources: Mapping[str, PatchSource],
    extractors: Sequence[Mapping[str, FeatureExtractor]],
    given: set[str],
) -> list[str]:
    """Where rows come from elsewhere, and the names of the images sort as others number them."""
    return [
        f"the rows given for {title} are taken in the order of the sorted file names, in which 10 "
        "comes before 2: is that theirs?"
        for title, source in sources.items()
        if title in given or any(isinstance(by[title], PrecomputedFeatures) for by in extractors)
        if natural_order(source.names) != list(range(len(source)))
    ]


def _check_computed(*extractors: Mapping[str, FeatureExtractor]) -> None:
    if any(isinstance(one, PrecomputedFeatures) for by in extractors for one in by.values()):
        raise UsageError(
            "--harmonize changes pixels, and features computed elsewhere do not follow: encode the "
            "images alike before computing them, or take another --features"
        )


def _independent(images: ImageSet) -> float:
    features = images.arrays.get("features")
    known = len(images) if images.groups is None else effective_number(images.groups, features)
    return round(float(known), 1)


def _likelihood_warnings(needs: set[str], real: ImageSet) -> list[str]:
    """A warning if the metrics ask a model that rejects the real images."""
    if "likelihood" not in needs or (kept := float(real.keep.mean())) >= 0.5:
        return []
    return [
        f"the filter keeps {kept:.0%} of the real images: they are unlike this model's reference, "
        "so fit the flow to real images (--fit), or train a model on your own clean patches "
        "(rl2qc train), before trusting RL2 and likelihoods"
    ]


@contextmanager
def _batches_of(model: QualityModel, batch_size: int | None) -> Iterator[None]:
    """Let a model take that many images a forward pass."""
    before = model.batch_size
    try:
        model.batch_size = batch_size or before
        yield
    finally:
        model.batch_size = before


def _at_one_size(
    inputs: Mapping[str, Patches], model: QualityModel, settings: ScoreSettings
) -> tuple[dict[str, PatchSource], list[str]]:
    sources, small = at_one_size(inputs, model.patch_size)
    abouts = {title: abouts_of(source) for title, source in sources.items()}
    warnings: dict[str, None] = {}
    for title, of_set in abouts.items():
        # What is given is about all sets, and what is recorded about each.
        records = settings.mpp is None and any(a is not None and a.mpp for a in of_set)
        what = f"the {title} images" if records else "the images"
        said = scale_notes(model.mpp, settings.mpp, of_set, what, any_mpp=settings.any_mpp)
        warnings |= dict.fromkeys(said)
    left = (f"{title}: {line}" for title, source in sources.items() for line in source.warnings)
    sized = {title: sized_abouts(source) for title, source in sources.items()}
    different = difference_warnings(sized, next(iter(sources.values())).size)
    return sources, [*warnings, *left, *different, *small]


def _check_size(title: str, n: int, specs: Sequence[MetricSpec], settings: ScoreSettings) -> None:
    if n < 2:
        raise UsageError(f"the {title} set holds one image: at least two are needed")
    for spec in specs:
        if spec.check is not None:
            spec.check(title, n, settings)


def _probabilities(title: str, source: PatchSource, given: ArrayLike) -> NDArray[np.float64]:
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

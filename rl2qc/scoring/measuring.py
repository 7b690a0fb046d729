"""What is measured of one set of images, by which extractor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.progress import Progress
from rl2qc.errors import UsageError
from rl2qc.features.base import FeatureExtractor
from rl2qc.features.cache import FeatureCache
from rl2qc.features.looks import Looks, LooksOf
from rl2qc.features.of_model import ModelStatistics
from rl2qc.features.precomputed import PrecomputedFeatures
from rl2qc.images.recipes import Recipe, reencoded
from rl2qc.images.sources.images import Image, PatchSource
from rl2qc.model.network.backbone import POOLED
from rl2qc.model.quality import QualityModel
from rl2qc.model.training.density_alone import FittedDensity
from rl2qc.scoring.encoding import WEIGHED, Control, Encodings
from rl2qc.scoring.image_sets import ByExtractor, ImageSet
from rl2qc.scoring.settings import ScoreSettings

__all__ = ["Measuring"]

# Images of a set up to which all are looked at for overlaps, duplicates and traces.
_LOOKED_AT_MOST = 20_000


@dataclass(frozen=True)
class Measuring:
    """What is measured of each set, and how."""

    model: QualityModel
    settings: ScoreSettings
    needs: set[str]
    progress: bool | Progress
    fitted: FittedDensity | None = None
    cache: FeatureCache = field(default_factory=FeatureCache)

    def __call__(
        self,
        source: PatchSource,
        extractor: FeatureExtractor | None,
        probabilities: NDArray[np.float64] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """What the metrics need of a set, by name; without an extractor no features."""
        arrays: dict[str, NDArray[Any]] = {}
        # Groups and copies are found by features that cost nothing.
        follows = extractor is not None and extractor.follows is self.model
        if follows or self.needs & {"latents", "likelihood"}:
            # What the model's features, latents and scores all follow from.
            of_stages = self._features(self._of_stages, source)
            pooled = of_stages[:, POOLED].copy()
            if "latents" in self.needs:
                arrays["latents"] = self.model.latents_of_features(pooled)
            if "likelihood" in self.needs:
                judged = self.model.measure_statistics(of_stages)
                arrays["log_likelihood"] = judged["log_likelihood"]
                arrays["keep"] = judged["p_value"] > self.settings.alpha
            if self.settings.fit:
                arrays["pooled"] = pooled
        if extractor is not None and follows:
            arrays["features"] = extractor.of_statistics(of_stages)
        elif extractor is not None and self.needs & {"features", "probabilities"}:
            arrays["features"] = self._features(extractor, source)
        if extractor is not None and "features" in arrays:
            if self.settings.distance == "cosine":
                _check_cosine(source, arrays["features"])
            if probabilities is None:
                probabilities = extractor.probabilities(arrays["features"])
        if probabilities is not None:
            arrays["probabilities"] = probabilities
        return self.refitted(arrays)

    @cached_property
    def _of_stages(self) -> ModelStatistics:
        # Once: its name is a hash of all weights. Likelihoods alone are judged by evidence.
        return ModelStatistics(self.model, evidence="likelihood" in self.needs)

    def refitted(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The same with latents and likelihoods by the density fitted to real images, if any."""
        if self.fitted is None or "pooled" not in arrays:
            return arrays
        pooled = arrays["pooled"]
        return {
            **arrays,
            "latents": self.fitted.latents(pooled),
            "log_likelihood": self.fitted.log_likelihood(pooled),
            "keep": self.fitted.p_values(pooled) > self.settings.alpha,
        }

    def again(
        self,
        images: ImageSet,
        encode: Callable[[Image], Image],
        extractor: FeatureExtractor | None = None,
    ) -> ImageSet:
        """The same images, each changed before it is measured."""
        changed = reencoded(images.source, encode)
        return ImageSet(changed, self(changed, extractor), images.groups)

    def beside(
        self, extractors: Mapping[str, FeatureExtractor], sets: Mapping[str, ImageSet]
    ) -> ByExtractor:
        """The same images by another extractor: its features alone."""
        by = extractors["real"]
        found = {}
        for title, images in sets.items():
            features = self._features(extractors[title], images.source)
            if self.settings.distance == "cosine":
                _check_cosine(images.source, features)
            found[title] = ImageSet(
                images.source,
                {"features": features},
                images.groups,
                looks=images.looks,
                extractor=by.name,
            )
        return ByExtractor(by.name, by.identity, by.dim, found)

    def looks(self, source: PatchSource) -> LooksOf | None:
        """Thumbnails and traces; None of a set too large to be held."""
        if len(source) > _LOOKED_AT_MOST:
            return None
        return LooksOf(self._features(Looks(), source))

    def control(
        self, real: ImageSet, extractor: FeatureExtractor, found: Encodings
    ) -> Control | None:
        """Some real images, and the same encoded as the generated set is; None without need."""
        if not found.differences.get("generated") or isinstance(extractor, PrecomputedFeatures):
            return None
        recipe = found.recipe(real.source, "real", "generated")
        if recipe == Recipe():
            return None
        some = real.take(real.drawn(WEIGHED, self.settings.seed))
        # Of likelihoods there is no control row: their evidence would cost a quarter more.
        plain = replace(self, needs=self.needs - {"likelihood"})
        return Control(some, plain.again(some, recipe, extractor), recipe)

    def _features(self, by: FeatureExtractor, source: PatchSource) -> NDArray[np.float32]:
        known: NDArray[np.float32] | None = source.items.measured(by.identity, source.size)
        if known is not None:
            return known
        if self.settings.cache and by.cached:
            return self.cache.features(by, source, progress=self.progress)
        return by.extract(source, progress=self.progress is True)


def _check_cosine(source: PatchSource, features: NDArray[np.float32]) -> None:
    nonzero = features.any(axis=1)
    if not nonzero.all():
        raise UsageError(
            f"the cosine distance of {source.names[int(np.argmin(nonzero))]} is undefined, all its "
            "features being 0: leave the image out or take --distance euclidean"
        )

"""Features of a quality model: pooled, statistics of its stages, latents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rl2qc.features.base import ExtractorSpec, FeatureExtractor, register_extractor
from rl2qc.features.networks import resnet_identity, weights_hash
from rl2qc.images.sources.base import PatchSource
from rl2qc.model.network.backbone import FEATURE_DIM, POOLED, STATISTICS_DIM
from rl2qc.model.quality import QualityModel

__all__ = ["ModelFeatures", "ModelLatents", "ModelStatistics"]


class ModelFeatures(FeatureExtractor):
    """The backbone features of a quality model (``model``)."""

    name = "model"
    dim = FEATURE_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = self.follows = model
        # Not the checkpoint's hash: models that share a backbone share its features.
        self.identity = resnet_identity(model.backbone)

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, 512) float32."""
        return self.of_statistics(self._model.statistics(source, progress=progress))

    def of_statistics(self, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (n, 512) float32 of stage statistics (n, 2048)."""
        return statistics[:, POOLED].copy()


class ModelStatistics(FeatureExtractor):
    """The stage statistics of a quality model: features and all that it judges by, in one pass."""

    name = "statistics"
    dim = STATISTICS_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = self.follows = model
        self.identity = f"{resnet_identity(model.backbone)} > stage statistics"

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Stage statistics (n, 2048) float32; columns ``backbone.POOLED`` are the features."""
        return self._model.statistics(source, progress=progress)

    def of_statistics(self, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        """They themselves."""
        return statistics


class ModelLatents(FeatureExtractor):
    """The latents of a quality model, in which RL2 is measured (``latents``)."""

    name = "latents"
    dim = FEATURE_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = self.follows = model
        identity = resnet_identity(model.backbone)
        self.identity = f"{identity} > flow {weights_hash(model.density)}"

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Latents (n, 512) float32."""
        return self.of_statistics(self._model.statistics(source, progress=progress))

    def of_statistics(self, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        """Latents (n, 512) float32 of stage statistics (n, 2048)."""
        return self._model.latents_of_features(statistics[:, POOLED].copy())


_WEIGHTS = "the quality model's backbone"
_PREPROCESSING = "patches at their own size, normalised as the model records"
register_extractor(
    ExtractorSpec(
        "model",
        ModelFeatures,
        "512 pooled features of the quality model's backbone",
        weights=_WEIGHTS,
        preprocessing=_PREPROCESSING,
        order=10,
    )
)
register_extractor(
    ExtractorSpec(
        "latents",
        ModelLatents,
        "512 latents of the quality model's flow, in which RL2 is measured",
        weights=_WEIGHTS,
        preprocessing=_PREPROCESSING,
        order=20,
    )
)

"""Features of a quality model: pooled, statistics of its stages, latents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rl2qc.features.base import weights_hash
from rl2qc.features.networks import resnet_identity
from rl2qc.images.sources.base import PatchSource
from rl2qc.model.network.backbone import FEATURE_DIM, STATISTICS_DIM
from rl2qc.model.quality import QualityModel

__all__ = ["ModelFeatures", "ModelLatents", "ModelStatistics"]


class ModelFeatures:
    """The backbone features of a quality model (``rl2``)."""

    name = "rl2"
    dim = FEATURE_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = model
        # Not the checkpoint's hash: models that share a backbone share its features.
        self.identity = resnet_identity(model.backbone)

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, 512) float32."""
        return self._model.features(source, progress=progress)


class ModelStatistics:
    """The stage statistics of a quality model: features and all that it judges by, in one pass."""

    name = "statistics"
    dim = STATISTICS_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = model
        self.identity = f"{resnet_identity(model.backbone)} > stage statistics"

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Stage statistics (n, d) float32; columns ``backbone.POOLED`` are the features."""
        return self._model.statistics(source, progress=progress)


class ModelLatents:
    """The latents of a quality model, in which RL2 is measured (``latents``)."""

    name = "latents"
    dim = FEATURE_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = model
        self._features = ModelFeatures(model)
        self.identity = f"{self._features.identity} > flow {weights_hash(model.density)}"

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Latents (n, 512) float32."""
        features = self._features.extract(source, progress=progress)
        return self._model.latents_of_features(features)

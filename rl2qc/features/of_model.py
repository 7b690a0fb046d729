"""Features of a quality model: pooled, statistics of its stages, latents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rl2qc.features.base import ExtractorSpec, FeatureExtractor, register_extractor
from rl2qc.features.networks import arrays_hash, resnet_identity, weights_hash
from rl2qc.images.sources.base import PatchSource
from rl2qc.model.network.backbone import FEATURE_DIM, POOLED, STATISTICS_DIM
from rl2qc.model.quality import QualityModel

__all__ = ["ModelFeatures", "ModelLatents", "ModelStatistics"]


def _identity(model: QualityModel) -> str:
    """Of a model's features.

    Not the checkpoint's hash: models that share a backbone, and a branch if there is one, share
    its features.
    """
    branch, found = model.extractor.branch, resnet_identity(model.backbone)
    if branch is None:
        return found
    return f"{found} > branch {arrays_hash(branch.weight, branch.bias)}"


class ModelFeatures(FeatureExtractor):
    """The backbone features of a quality model (``model``)."""

    name = "model"
    dim = FEATURE_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = self.follows = model
        self.identity = _identity(model)

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, 512) float32."""
        return self.of_statistics(self._model.statistics(source, evidence=False, progress=progress))

    def of_statistics(self, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (n, 512) float32 of stage statistics (n, 2048)."""
        return statistics[:, POOLED].copy()


class ModelStatistics(FeatureExtractor):
    """The stage statistics of a quality model: features and all that it judges by, in one pass.

    Parameters
    ----------
    model
    evidence
        Whether the evidence of a model with a map is part of them; features do not need it, and
        lines take a quarter of the time.
    """

    name = "statistics"

    def __init__(self, model: QualityModel, *, evidence: bool = True) -> None:
        self._model = self.follows = model
        head, plain = model.extractor.head, f"{_identity(model)} > stage statistics"
        self._evidence = evidence and head is not None
        self.identity, self.dim = plain, STATISTICS_DIM
        if head is None:
            return
        whole = f"{plain}, evidence of head {weights_hash(head)}"
        if evidence:
            self.identity, self.dim = whole, model.extractor.width
        else:
            self.begins = whole, model.extractor.width

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Stage statistics (n, 2048) float32, and the evidence of a model with a map; columns
        ``backbone.POOLED`` are the features."""
        return self._model.statistics(source, evidence=self._evidence, progress=progress)

    def of_statistics(self, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        """They themselves."""
        return statistics


class ModelLatents(FeatureExtractor):
    """The latents of a quality model, in which RL2 is measured (``latents``)."""

    name = "latents"
    dim = FEATURE_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = self.follows = model
        self.identity = f"{_identity(model)} > flow {weights_hash(model.density)}"

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Latents (n, 512) float32."""
        return self.of_statistics(self._model.statistics(source, evidence=False, progress=progress))

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

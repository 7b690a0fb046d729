"""The extractor that a name, a file of weights or an object stands for.

An extractor from a file is weights alone, laid out as ResNet-18 or as one of our models.
TorchScript and ``torch.export`` archives are refused: they are programs, and running one (or, for
some exported parts, merely reading it) may do anything that its author wanted. For any other
network, write a class with the four members of `rl2qc.features.base.Extractor`
(``ScoreSettings`` takes one), or compute the features elsewhere and name their folder
(`rl2qc.features.precomputed.load_precomputed`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.torch_pair import import_torchvision
from rl2qc.errors import UsageError
from rl2qc.features.base import Extractor, finite_floats
from rl2qc.features.inception import InceptionFeatures
from rl2qc.features.networks import (
    NetworkFeatures,
    _load_published,
    _resnet_extractor,
    _resnet_of_file,
)
from rl2qc.features.of_model import ModelFeatures, ModelLatents, ModelStatistics
from rl2qc.features.precomputed import PrecomputedFeatures
from rl2qc.images.sources.base import PatchSource
from rl2qc.model.network.backbone import (
    ResNet18Features,
)
from rl2qc.model.quality import QualityModel

__all__ = ["EXTRACTORS", "get_extractor"]

EXTRACTORS = ("rl2", "latents", "imagenet-resnet18", "inception")


class _Checked:
    """An extractor that is none of ours; what it returns is checked."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self.name, self.dim, self.identity = extractor.name, extractor.dim, extractor.identity

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, dim) float32; UsageError for anything else."""
        what = f"features of the extractor {self.name}"
        array = np.asarray(self._extractor.extract(source, progress=progress))
        features = finite_floats(array, what)
        if features.shape != (len(source), self.dim):
            wanted = (len(source), self.dim)
            raise UsageError(f"{what} must have the shape {wanted}, got {features.shape}")
        return features


_OURS = (ModelFeatures, ModelStatistics, ModelLatents, NetworkFeatures, PrecomputedFeatures)
_MEMBERS = ("name", "dim", "identity", "extract")


def get_extractor(features: str | Path | Extractor, model: QualityModel) -> Extractor:
    """The extractor that ``--features`` names, or an extractor as it is.

    Parameters
    ----------
    features
        - an :class:`Extractor`; what it returns is checked;
        - ``"rl2"``, ``"latents"``: of ``model``;
        - ``"imagenet-resnet18"``: torchvision's weights, patches at their own size;
        - ``"inception"``: :class:`InceptionFeatures`;
        - a file: an rl2qc model, whose backbone is taken with its preprocessing, or the weights
          of a ResNet-18 (safetensors, or a state dict ``.pt``/``.pth`` read without running any
          of its code), with ImageNet's normalisation.
    model
        Gives the device and the batch size as well.

    Raises
    ------
    UsageError
        Neither a known name, a file nor an extractor.
    WorkError
        Weights are not at hand and cannot be fetched; the message says where to put them.
    CheckpointError
        The file holds other things than such weights.
    """
    if isinstance(features, _OURS):
        return features
    if isinstance(features, Extractor):
        return _Checked(features)
    if not isinstance(features, str | Path):
        lacking = ", ".join(m for m in _MEMBERS if not hasattr(features, m))
        raise UsageError(
            f"features must be {', '.join(EXTRACTORS)}, a weights file or an extractor, and "
            f"{type(features).__name__} has no {lacking}"
        )
    name = features
    options: dict[str, Any] = {"device": model.device, "batch_size": model.batch_size}
    if name == "rl2":
        return ModelFeatures(model)
    if name == "latents":
        return ModelLatents(model)
    if name == "imagenet-resnet18":
        weights = import_torchvision().models.ResNet18_Weights.IMAGENET1K_V1
        resnet = ResNet18Features()
        _load_published(resnet.trunk, weights)
        return _resnet_extractor(str(name), resnet, options)
    if name == "inception":
        models = import_torchvision().models
        trunk = models.inception_v3(weights=None, init_weights=False)
        _load_published(trunk, models.Inception_V3_Weights.IMAGENET1K_V1)
        return InceptionFeatures(trunk, **options)
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            f"no features {str(name)!r}: give {', '.join(EXTRACTORS)} or a weights file"
        )
    return _resnet_extractor(path.name, _resnet_of_file(path), options)

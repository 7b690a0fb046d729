"""Where features come from: what an extractor is, those of a quality model, any torch module."""

from __future__ import annotations

import hashlib
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rl2qc.errors import UsageError
from rl2qc.images.sources import PatchSource, batches
from rl2qc.model.backbone import (
    FEATURE_DIM,
    STATISTICS_DIM,
    ResNet18Features,
    to_tensor,
)
from rl2qc.model.quality import QualityModel
from rl2qc.progress import progress_bar

__all__ = [
    "VERSION",
    "Extractor",
    "ModelFeatures",
    "ModelLatents",
    "ModelStatistics",
    "NetworkFeatures",
    "finite_floats",
    "resnet_identity",
    "weights_hash",
]

# Part of every identity: raise it when the way from pixels to features changes.
VERSION = 1


@runtime_checkable
class Extractor(Protocol):
    """Turns patches into features.

    Attributes
    ----------
    name
        What the user calls it.
    dim
        Features of a patch.
    identity
        Names weights, preprocessing and version: two extractors of one identity give the same
        features for the same patches, up to rounding.
    """

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def identity(self) -> str: ...

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, dim) float32 of the patches, in their order."""
        ...


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


class NetworkFeatures:
    """The output of a torch module that maps images (n, 3, h, w) in [0, 1] to (n, dim).

    Parameters
    ----------
    name, identity, dim
        As in :class:`Extractor`.
    network
        Put into evaluation mode; its own preprocessing included.
    device
        Where it runs.
    batch_size
        Patches a forward pass.
    """

    def __init__(
        self,
        name: str,
        identity: str,
        dim: int,
        network: nn.Module,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = 32,
    ) -> None:
        self.name, self.identity, self.dim = name, identity, dim
        self._device, self._batch_size = torch.device(device), batch_size
        self._network = network.to(self._device).to(memory_format=torch.channels_last).eval()

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, dim) float32."""
        out = np.empty((len(source), self.dim), np.float32)
        done = 0
        with progress_bar(progress, self.name, total=len(source)) as bar:
            for images in batches(source, self._batch_size):
                with torch.inference_mode():
                    features = self._network(to_tensor(images).to(self._device))
                out[done : done + len(images)] = features.float().cpu().numpy()
                done += len(images)
                bar.update(len(images))
        return out


def finite_floats(array: NDArray[np.generic], what: str) -> NDArray[np.float32]:
    """Features from elsewhere as float32; UsageError, which names ``what``, for no numbers."""
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{what} must hold numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        floats = array.astype(np.float32, order="C")
    if not np.isfinite(floats).all():
        raise UsageError(f"{what} must be finite in float32: there is NaN or infinity")
    return floats


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of a module's parameters and buffers with their names, as 16 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)};".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def resnet_identity(network: ResNet18Features) -> str:
    """The `Extractor.identity` of a ResNet-18 with its preprocessing."""
    preprocessing = f"own size, mean {network.mean}, std {network.std}"
    return f"v{VERSION} resnet18 {weights_hash(network.trunk)} {preprocessing}"

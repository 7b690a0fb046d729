"""Features of any network that torch runs: a ResNet-18 by its weights, ImageNet's by name."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rl2qc.core.arguments import COUNT, check
from rl2qc.core.progress import progress_bar
from rl2qc.core.text import one_line
from rl2qc.core.torch_pair import import_torchvision
from rl2qc.errors import CheckpointError, WorkError
from rl2qc.features.base import (
    VERSION,
    Extractor,
    ExtractorSpec,
    FeatureExtractor,
    register_extractor,
)
from rl2qc.images.sources.base import PatchSource, batches
from rl2qc.model.checkpoint import is_model
from rl2qc.model.network.backbone import FEATURE_DIM, ResNet18Features, load_weights, to_tensor
from rl2qc.model.network.weights import fill_from_others
from rl2qc.model.quality import QualityModel

__all__ = [
    "NetworkFeatures",
    "arrays_hash",
    "load_published",
    "resnet_identity",
    "weights_hash",
]


class NetworkFeatures(FeatureExtractor):
    """The output of a torch module that maps images (n, 3, h, w) in [0, 1] to (n, dim).

    Parameters
    ----------
    name, identity, dim
        As in :class:`~rl2qc.features.base.Extractor`.
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
        self._device = torch.device(device)
        self._batch_size = check("batch_size", batch_size, int, within=COUNT)
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


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of a module's parameters and buffers with their names, as 16 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)};".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def arrays_hash(*arrays: NDArray[np.float32]) -> str:
    """SHA-256 of arrays, as 16 hex digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape};".encode() + array.tobytes())
    return digest.hexdigest()[:16]


def resnet_identity(network: ResNet18Features) -> str:
    """The ``identity`` of a ResNet-18 with its preprocessing."""
    preprocessing = f"own size, mean {network.mean}, std {network.std}"
    return f"v{VERSION} resnet18 {weights_hash(network.trunk)} {preprocessing}"


def _resnet(name: str, network: ResNet18Features, model: QualityModel) -> NetworkFeatures:
    """Features of a ResNet-18 where the model runs."""
    return NetworkFeatures(
        name,
        resnet_identity(network),
        FEATURE_DIM,
        network,
        device=model.device,
        batch_size=model.batch_size,
    )


def _imagenet(model: QualityModel) -> NetworkFeatures:
    network = ResNet18Features()
    load_published(network.trunk, import_torchvision().models.ResNet18_Weights.IMAGENET1K_V1)
    return _resnet("imagenet-resnet18", network, model)


def _of_file(path: Path, model: QualityModel, titles: Sequence[str]) -> dict[str, Extractor]:
    return dict.fromkeys(titles, _resnet(path.name, _resnet_of_file(path), model))


def _resnet_of_file(path: Path) -> ResNet18Features:
    if _is_program(path):
        raise CheckpointError(
            f"{path} holds no plain weights but a TorchScript or torch.export program, which is "
            "not run: save the weights of its ResNet-18, torch.save(network.state_dict(), path)"
        )
    if is_model(path):
        return QualityModel.load(path, device="cpu").backbone
    network = ResNet18Features()
    load_weights(network, path)
    return network


def _is_program(path: Path) -> bool:
    """Whether a file is a zip with code or an exported graph in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False
    return any("/code/" in name or "/models/" in name for name in names)


def load_published(module: nn.Module, weights: Any) -> None:
    """Fill ``module`` with torchvision's weights, from its folder or the network."""
    place = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    there = place.exists()
    try:
        # By itself torchvision would unpickle whatever lies in its folder.
        state = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
        fill_from_others(module, state)
    # Of a damaged file, whatever comes up.
    except Exception as error:
        reason = one_line(error)[:120]
        if there:
            raise CheckpointError(
                f"{place} holds no such weights ({reason}): delete it and download "
                f"{weights.url} again"
            ) from error
        raise WorkError(
            f"cannot fetch torchvision's weights ({reason}): download {weights.url} elsewhere "
            f"and put it at {place}"
        ) from error


register_extractor(
    ExtractorSpec(
        "imagenet-resnet18",
        _imagenet,
        "512 pooled features of a ResNet-18 that was trained on ImageNet",
        weights="torchvision ResNet18_Weights.IMAGENET1K_V1",
        preprocessing="patches at their own size, normalised by ImageNet's mean and deviation",
        order=30,
    )
)
register_extractor(
    ExtractorSpec(
        "a weights file",
        meaning="512 pooled features of a ResNet-18",
        weights="an rl2qc model, or the weights of a ResNet-18",
        preprocessing="patches at their own size, normalised as the model records, or ImageNet's",
        accepts=Path.is_file,
        open=_of_file,
        order=200,
    )
)

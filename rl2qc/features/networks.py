"""Features of any network that torch runs."""

from __future__ import annotations

import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rl2qc.core.progress import progress_bar
from rl2qc.errors import CheckpointError, WorkError
from rl2qc.features.base import VERSION, weights_hash
from rl2qc.images.sources.base import PatchSource, batches
from rl2qc.model.network.backbone import FEATURE_DIM, ResNet18Features, load_weights, to_tensor
from rl2qc.model.quality import QualityModel

__all__ = ["NetworkFeatures", "resnet_identity"]


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


def resnet_identity(network: ResNet18Features) -> str:
    """The `Extractor.identity` of a ResNet-18 with its preprocessing."""
    preprocessing = f"own size, mean {network.mean}, std {network.std}"
    return f"v{VERSION} resnet18 {weights_hash(network.trunk)} {preprocessing}"


def _resnet_extractor(
    name: str, network: ResNet18Features, options: dict[str, Any]
) -> NetworkFeatures:
    return NetworkFeatures(name, resnet_identity(network), FEATURE_DIM, network, **options)


def _resnet_of_file(path: Path) -> ResNet18Features:
    if _is_program(path):
        raise CheckpointError(
            f"{path} holds no plain weights but a TorchScript or torch.export program, which is "
            "not run: save the weights of its ResNet-18, torch.save(network.state_dict(), path)"
        )
    try:
        return QualityModel.load(path, device="cpu").backbone
    except CheckpointError:  # plain weights, or nothing of use: load_weights tells
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


def _load_published(module: nn.Module, weights: Any) -> None:
    """Fill ``module`` with torchvision's weights, from its folder or the network."""
    place = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    there = place.exists()
    try:
        # By itself torchvision would unpickle whatever lies in its folder.
        state = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
        wanted = module.state_dict()  # a trunk has lost its classifier
        module.load_state_dict({k: v for k, v in state.items() if k in wanted})
    except (URLError, OSError, RuntimeError, UnpicklingError, EOFError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        if there:
            raise CheckpointError(
                f"{place} holds no such weights ({reason}): delete it and download "
                f"{weights.url} again"
            ) from error
        raise WorkError(
            f"cannot fetch torchvision's weights ({reason}): download {weights.url} elsewhere "
            f"and put it at {place}"
        ) from error

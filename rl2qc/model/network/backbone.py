"""The ResNet-18 that turns patches into 512-d features, and where its weights come from."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from rl2qc.core.torch_pair import import_torchvision
from rl2qc.errors import CheckpointError, UsageError, WorkError
from rl2qc.model.network.weights import fill_from_others

__all__ = [
    "FEATURE_DIM",
    "POOLED",
    "STAGE_WIDTHS",
    "STATISTICS_DIM",
    "ResNet18Features",
    "load_weights",
    "round_to_half",
    "statistics_of_maps",
    "to_tensor",
]

FEATURE_DIM = 512
# Channels of each stage; its statistics are a mean and a standard deviation for each.
STAGE_WIDTHS = {"stem": 64, "layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512}
STATISTICS_DIM = 2 * sum(STAGE_WIDTHS.values())
# Where the pooled features stand among the stage statistics.
POOLED = slice(STATISTICS_DIM - 2 * FEATURE_DIM, STATISTICS_DIM - FEATURE_DIM)
# The usual statistics of ImageNet; a checkpoint records the ones that it was trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class ResNet18Features(nn.Module):
    """ResNet-18 without its last layer (He et al., CVPR 2016; the trunk of RL2).

    Parameters
    ----------
    mean, std
        Per-channel statistics, in [0, 1], by which inputs are normalised.

    Examples
    --------
    >>> model = ResNet18Features().eval()
    >>> model(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 512])
    """

    _mean: Tensor
    _std: Tensor

    def __init__(
        self,
        mean: tuple[float, float, float] = MEAN,
        std: tuple[float, float, float] = STD,
    ) -> None:
        super().__init__()
        self.trunk = import_torchvision().models.resnet18(weights=None)
        self.trunk.fc = nn.Identity()
        self.mean, self.std = tuple(mean), tuple(std)
        self.register_buffer("_mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Pooled features (n, 512) of images (n, 3, h, w) in [0, 1]."""
        features: Tensor = self.trunk((images - self._mean) / self._std)
        return features

    def statistics(self, images: Tensor) -> Tensor:
        """Stage statistics (n, 2048) of images (n, 3, h, w) in [0, 1].

        Stage after stage of :data:`STAGE_WIDTHS`, the means over all positions and then the
        standard deviations (population form). The means of the last stage, columns
        :data:`POOLED`, are the pooled features.
        """
        return statistics_of_maps(self.maps(images))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Maps (n, c, h, w) of the stages of :data:`STAGE_WIDTHS`, of images in [0, 1]."""
        trunk = self.trunk
        x = trunk.relu(trunk.bn1(trunk.conv1((images - self._mean) / self._std)))
        maps = [x]
        x = trunk.maxpool(x)
        for stage in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
            x = stage(x)
            maps.append(x)
        return maps


def statistics_of_maps(maps: Sequence[Tensor]) -> Tensor:
    """Means and standard deviations (n, 2048) of stage maps, stage after stage."""
    return torch.cat([part for x in maps for part in _mean_and_std(x)], dim=1)


def _mean_and_std(x: Tensor) -> tuple[Tensor, Tensor]:
    # In channels-last order many times as fast as var_mean.
    mean, square = x.mean((2, 3)), x.square().mean((2, 3))
    return mean, (square - mean.square()).clamp_min(0).sqrt()


def to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """Images (n, h, w, 3) uint8 to (n, 3, h, w) float32 in [0, 1], channels last in memory."""
    # A strided view of channels-last data is channels-last already: no copy besides the cast.
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


def round_to_half(module: nn.Module) -> None:
    """Round floating-point weights to half precision in place, kept as float32.

    Checkpoints store halves; rounding before anything is computed from the weights makes a
    loaded model give the very numbers of the fitted one.
    """
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half().float())


def load_weights(model: ResNet18Features, source: str | Path, *, seed: int = 0) -> str:
    """Fill ``model`` from ``source`` and say in words where the weights come from.

    Parameters
    ----------
    model
        Changed in place.
    source
        ``"imagenet"`` (torchvision's, fetched by torchvision), ``"random"`` (seeded), or a file:
        safetensors, or a ``.pth`` state dict, read without running any of its code.
    seed
        For ``"random"``.

    Raises
    ------
    UsageError
        No such file.
    WorkError
        ImageNet weights are not at hand and cannot be fetched.
    CheckpointError
        The file holds no ResNet-18.
    """
    if source == "random":
        # torchvision initialises from the global generator: isolate and restore it.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = ResNet18Features()
        model.trunk.load_state_dict(fresh.trunk.state_dict())
        return f"random (seed {seed})"
    if source == "imagenet":
        _fill(model, _imagenet_state(), "torchvision's ImageNet weights")
        return "torchvision ResNet18_Weights.IMAGENET1K_V1"
    path = Path(source)
    if not path.is_file():
        raise UsageError(
            f"no backbone {str(source)!r}: give general, imagenet, random or a weights file"
        )
    _fill(model, _file_state(path), str(path))
    return path.name


def _imagenet_state() -> dict[str, Tensor]:
    weights = import_torchvision().models.ResNet18_Weights.IMAGENET1K_V1
    try:
        state: dict[str, Tensor] = weights.get_state_dict(
            progress=True, check_hash=True, weights_only=True
        )
    # Of a damaged file in torch's folder, whatever comes up.
    except Exception as error:
        name = weights.url.rsplit("/", 1)[-1]
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise WorkError(
            f"cannot fetch torchvision's ImageNet weights ({error}): download {weights.url} "
            f"elsewhere and put it at {folder / name}, or pass --backbone {name}"
        ) from error
    return state


def _file_state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                    raise ValueError("it claims more bytes than it has")
        state = torch.load(path, map_location="cpu", weights_only=True)
    # weights_only refuses all that is not plain tensors, code above all; of damaged files it
    # raises whatever comes up.
    except Exception as error:
        raise CheckpointError(
            f"{path} holds no plain weights: give safetensors or a state dict saved by torch"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds no state dict")
    return state


def _fill(model: ResNet18Features, state: dict[str, Any], name: str) -> None:
    # Files name the trunk differently: ours, torchvision's, and a data-parallel wrapper's.
    state = {
        str(key).removeprefix("module.").removeprefix("backbone.").removeprefix("trunk."): value
        for key, value in state.items()
    }
    try:
        fill_from_others(model.trunk, state)
    except KeyError as error:
        missing = str(error).strip("'")
        raise CheckpointError(f"{name} holds no ResNet-18: {missing} is missing") from error
    except ValueError as error:
        raise CheckpointError(f"{name} holds no ResNet-18: {error}") from error

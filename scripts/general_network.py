"""The general model's network: a ResNet-18 trunk, a dense head on its stage maps, a head on the
statistics of the whole view."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from rl2qc.model.network.backbone import ResNet18Features
from rl2qc.model.network.head import DamageHead
from rl2qc.synthetic.teaching import CLASSES

__all__ = ["GeneralNetwork", "load_network"]


class GeneralNetwork(DamageHead):
    """Evidence of damage by class, for every cell of 8 px and for the view: a head that is taught
    together with the backbone below it.

    Examples
    --------
    >>> dense, whole = GeneralNetwork(ResNet18Features()).eval()(torch.zeros(1, 3, 64, 64))
    >>> dense.shape, whole.shape
    (torch.Size([1, 11, 8, 8]), torch.Size([1, 11]))
    """

    def __init__(self, backbone: ResNet18Features, width: int = 96) -> None:
        super().__init__(CLASSES, width)
        self.backbone = backbone

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Logits (n, classes, h / 8, w / 8) of the cells and (n, classes) of the view."""
        maps = self.backbone.maps(images)
        return super().forward(maps), self.whole(_statistics(maps[1:]))


def _statistics(maps: list[Tensor]) -> Tensor:
    """Means and standard deviations (n, 1920) of the stages' channels.

    As the backbone's, but for a bound of the variance: the root of nothing has no gradient.
    """
    found = []
    for stage in maps:
        mean, square = stage.float().mean((2, 3)), stage.float().square().mean((2, 3))
        found += [mean, (square - mean.square()).clamp_min(1e-6).sqrt()]
    return torch.cat(found, 1)


def load_network(path: Path) -> GeneralNetwork:
    """A taught network, or that of a general model's file, in evaluation mode."""
    network = GeneralNetwork(ResNet18Features())
    state = {k.removeprefix("head."): v.float() for k, v in load_file(path).items()}
    missing = network.load_state_dict(state, strict=False).missing_keys
    if missing:
        raise SystemExit(f"{path} is no network with a map: {missing[0]} is not there")
    return network.eval().to(memory_format=torch.channels_last)

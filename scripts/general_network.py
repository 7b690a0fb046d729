"""The general model's network: a ResNet-18 trunk, a dense head on its stage maps, a head on the
statistics of the whole view."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from rl2qc.model.network.backbone import ResNet18Features
from rl2qc.synthetic.teaching import CLASSES

__all__ = ["GeneralNetwork", "load_network"]

WIDTHS = (64, 128, 256, 512)


class GeneralNetwork(nn.Module):
    """Evidence of damage by class, for every cell of 8 px and for the view.

    Examples
    --------
    >>> dense, whole = GeneralNetwork(ResNet18Features()).eval()(torch.zeros(1, 3, 64, 64))
    >>> dense.shape, whole.shape
    (torch.Size([1, 11, 8, 8]), torch.Size([1, 11]))
    """

    def __init__(self, backbone: ResNet18Features, width: int = 96) -> None:
        super().__init__()
        self.backbone = backbone
        self.lateral = nn.ModuleList([nn.Conv2d(c, width, 1) for c in WIDTHS])
        self.dense = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, len(CLASSES), 1),
        )
        self.whole = nn.Linear(2 * sum(WIDTHS), len(CLASSES))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Maps of the four stages of images (n, 3, h, w) in [0, 1]."""
        trunk = self.backbone.trunk
        x = (images - self.backbone._mean) / self.backbone._std
        x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(x))))
        found = []
        for stage in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
            x = stage(x)
            found.append(x)
        return found

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, classes, h / 8, w / 8) of the cells and (n, classes) of the view."""
        return self.heads(self.maps(images))

    def heads(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """What :meth:`forward` makes of the stages' maps."""
        size = maps[1].shape[2:]
        joined = self.lateral[0](avg_pool2d(maps[0], 2)) + self.lateral[1](maps[1])
        for project, stage in zip(self.lateral[2:], maps[2:], strict=True):
            joined = joined + interpolate(project(stage), size, mode="bilinear")
        return self.dense(joined), self.whole(self.statistics(maps))

    def statistics(self, maps: list[Tensor]) -> Tensor:
        """Means and standard deviations (n, 1920) of the stages' channels."""
        found = []
        for stage in maps:
            mean, square = stage.float().mean((2, 3)), stage.float().square().mean((2, 3))
            found += [mean, (square - mean.square()).clamp_min(1e-6).sqrt()]
        return torch.cat(found, 1)


def load_network(path: Path) -> GeneralNetwork:
    """A taught network, in evaluation mode."""
    network = GeneralNetwork(ResNet18Features())
    network.load_state_dict({k: v.float() for k, v in load_file(path).items()}, strict=False)
    return network.eval().to(memory_format=torch.channels_last)

"""The dense head of a general model: what is damaged, class by class, cell by cell.

A cell is 8 px of a patch. Small convolutions on the maps of the four stages of the backbone give
each cell a probability for each class, and a linear layer on their statistics gives the patch as a
whole one: damage of the whole, such as blur and compression, has no place.

References
----------
Lin et al., "Feature pyramid networks for object detection", CVPR 2017 (maps of all stages, joined
by 1 x 1 convolutions); Jurgas et al., "Artifact augmentation for learning-based quality control of
whole slide images", 2024 (damage that is drawn teaches).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from rl2qc.model.network.backbone import STAGE_WIDTHS, STATISTICS_DIM

__all__ = ["CELL", "DamageHead", "by_row"]

CELL = 8
"""Side of a cell, px of a patch."""
_STAGES = tuple(STAGE_WIDTHS.values())[1:]
# The stem's statistics, which the head does without, come first.
_FROM = 2 * STAGE_WIDTHS["stem"]


class DamageHead(nn.Module):
    """Probabilities of damage from the maps of a backbone.

    Parameters
    ----------
    classes
        What it tells apart.
    width
        Channels of its convolutions.

    Examples
    --------
    >>> import torch
    >>> from rl2qc.model.network.backbone import ResNet18Features
    >>> head = DamageHead(("ink", "fold")).eval()
    >>> maps = ResNet18Features().eval().maps(torch.zeros(1, 3, 64, 64))
    >>> head(maps).shape
    torch.Size([1, 2, 8, 8])
    """

    def __init__(self, classes: Sequence[str], width: int = 96) -> None:
        super().__init__()
        self.classes, self.width = tuple(classes), width
        self.lateral = nn.ModuleList([nn.Conv2d(c, width, 1) for c in _STAGES])
        self.dense = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, len(self.classes), 1),
        )
        self.whole = nn.Linear(2 * sum(_STAGES), len(self.classes))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits (n, classes, h / 8, w / 8) of the maps of all stages, the stem's first."""
        first, second, *coarser = maps[1:]
        size = second.shape[2:]
        # Rounded up, as the strides of the stages are.
        pooled = avg_pool2d(first, 2, ceil_mode=True)
        joined = self.lateral[0](pooled) + self.lateral[1](second)
        for project, stage in zip(self.lateral[2:], coarser, strict=True):
            joined = joined + interpolate(project(stage), size, mode="bilinear")
        logits: Tensor = self.dense(joined)
        return logits

    def of_statistics(self, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (n, classes) of damage of patches as wholes, of statistics (n, 2048)."""
        weight = self.whole.weight.detach().cpu().numpy()
        bias = self.whole.bias.detach().cpu().numpy()
        logits = by_row(statistics[:, _FROM:STATISTICS_DIM], weight) + bias
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def by_row(rows: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Products (n, m) of rows (n, d) with a weight (m, d).

    Row by row: a product of all at once depends in its last digits on how many there are.

    Examples
    --------
    >>> by_row(np.ones((2, 3), np.float32), np.eye(3, dtype=np.float32)).shape
    (2, 3)
    """
    out = np.empty((len(rows), len(weight)), np.float32)
    for found, row in zip(out, rows, strict=True):
        np.matmul(weight, row, out=found)
    return out

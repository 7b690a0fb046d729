"""Pretrain the ResNet-18 backbone on clean patches, by a sum of pretext tasks.

The tasks are those of scripts/pretext.py; none uses a labelled artifact. Features of clean patches
then differ from those of damaged ones along directions that a density model can see.

    python scripts/pretrain_backbone.py ../shared/data/clean --out backbone.safetensors
    python scripts/pretrain_backbone.py ../shared/data/clean --out b.safetensors --objective barlow

A quarter of the images is left out (scripts/training_images.py) for calibration and validation.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pretext import TASKS, Batch, Views, make_tasks, stage_maps
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm
from training_images import split_images, tissue_class

from rl2qc.model.network.backbone import ResNet18Features, to_tensor

Options = argparse.Namespace
Make = Callable[..., tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Course:
    """Everything that an epoch needs."""

    backbone: ResNet18Features
    tasks: dict[str, nn.Module]
    labels: Tensor
    views: Make
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    steps: int


def options() -> Options:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clean", type=Path, help="folder with colorectal/ and prostate/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--objective", default="classes+degradation", help=f"a sum of {', '.join(TASKS)}"
    )
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=26)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def prepare(images: list[np.ndarray], labels: Tensor, n_classes: int, chosen: Options) -> Course:
    """The network, its tasks and its optimizer."""
    torch.manual_seed(chosen.seed)
    device = torch.device(chosen.device)
    backbone = ResNet18Features().to(device).to(memory_format=torch.channels_last)
    tasks = {k: v.to(device) for k, v in make_tasks(chosen.objective, n_classes).items()}
    make_view = Views(chosen.size, tuple(tasks))
    parameters = [p for m in (backbone, *tasks.values()) for p in m.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=chosen.learning_rate, weight_decay=0.05)
    steps = len(images) // chosen.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=chosen.learning_rate, total_steps=steps * chosen.epochs, pct_start=0.15
    )

    def views(rows: np.ndarray, *key: int) -> tuple[Tensor, Tensor]:
        made = [make_view(images[i], np.random.default_rng((chosen.seed, *key, i))) for i in rows]
        pictures, levels = zip(*made, strict=True)
        return to_tensor(np.stack(pictures)).to(device), torch.tensor(levels, device=device)

    return Course(backbone, tasks, labels.to(device), views, optimizer, schedule, steps)


def train_epoch(course: Course, epoch: int, chosen: Options) -> dict[str, float]:
    """One pass over the images; the mean loss of each task."""
    order = np.random.default_rng((chosen.seed, epoch)).permutation(len(course.labels))
    sums = dict.fromkeys(course.tasks, 0.0)
    parameters = [p for group in course.optimizer.param_groups for p in group["params"]]
    title = f"epoch {epoch + 1}/{chosen.epochs}"
    for step in tqdm(range(course.steps), desc=title, mininterval=5):
        rows = order[step * chosen.batch_size : (step + 1) * chosen.batch_size]
        x, levels = course.views(rows, epoch)
        features, maps = stage_maps(course.backbone, x)

        def second(rows: np.ndarray = rows) -> Tensor:
            return stage_maps(course.backbone, course.views(rows, epoch, 1)[0])[0]

        batch = Batch(x, course.labels[rows], levels, features, maps, second)
        losses = {name: task(batch) for name, task in course.tasks.items()}
        course.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 5.0)
        course.optimizer.step()
        course.schedule.step()
        for name, loss in losses.items():
            sums[name] += float(loss.detach()) / course.steps
    return {name: round(value, 5) for name, value in sums.items()}


def main() -> None:
    chosen = options()
    paths, _ = split_images(chosen.clean)
    images = [np.asarray(Image.open(p).convert("RGB")) for p in paths]
    names = sorted({tissue_class(p) for p in paths})
    labels = torch.tensor([names.index(tissue_class(p)) for p in paths])
    print(f"{len(images)} images, classes: {', '.join(names)}")
    course = prepare(images, labels, len(names), chosen)
    history = []
    started = time.monotonic()
    for epoch in range(chosen.epochs):
        history.append(train_epoch(course, epoch, chosen))
        print(f"epoch {epoch + 1}: loss {history[-1]}", flush=True)
        record = {
            "script": "scripts/pretrain_backbone.py",
            "objective": chosen.objective,
            "images": str(len(images)),
            "classes": " ".join(names),
            "epochs": str(epoch + 1),
            "size": str(chosen.size),
            "seed": str(chosen.seed),
            "history": json.dumps(history),
            "seconds": str(round(time.monotonic() - started)),
        }
        state = {
            k: v.half() if v.is_floating_point() else v
            for k, v in course.backbone.trunk.state_dict().items()
        }
        save_file({k: v.contiguous().cpu() for k, v in state.items()}, chosen.out, record)


if __name__ == "__main__":
    main()

"""Teach the general model's network across laboratories what damage looks like, and where it is.

    python scripts/teach_general.py ../shared/data --out base.safetensors --fold base \
        --minutes 30 --last 0.5
    python scripts/teach_general.py ../shared/data --out fold0.safetensors --fold 0 \
        --init base.safetensors --minutes 27

Views of clean images, strongly changed in what is no damage (scripts/harmless.py), get damage
with its map: drawn (rl2qc/synthetic/teaching.py), by degrees (scripts/whole_damage.py), or
pasted, from the even half of the real cut-outs. The network (scripts/general_network.py) starts
from the backbone of a shipped model, or from a network taught before: "base" is taught on the
laboratories that teach in every fold, so that folds need less. Weights are averaged over the last
steps. A run that was stopped goes on from OUT with the suffix .resume; it is saved every five
minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
from general_network import GeneralNetwork, load_network
from laboratories import left_out, read_laboratories
from safetensors.torch import save_file
from teaching_views import Lessons, read_cutouts
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, IterableDataset

from rl2qc.core.files import atomic_path
from rl2qc.model.network.backbone import to_tensor
from rl2qc.model.quality import QualityModel

SAVE_SECONDS, REPORT_STEPS, PATIENCE_SECONDS = 300, 50, 300
WARM_UP, DECAY = 50, 0.997


class Batches(IterableDataset[Any]):
    """Endless batches from a step on; equal seeds give equal batches."""

    def __init__(self, lessons: Lessons, count: int, seed: int, first: int) -> None:
        self.lessons, self.count, self.seed, self.first = lessons, count, seed, first

    def __iter__(self) -> Iterator[Any]:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        step = self.first
        while True:
            yield self.lessons.batch(self.count, (self.seed, step))
            step += 1


class Teacher:
    """The network while it learns: its optimiser, the average of its weights, the time spent."""

    def __init__(self, network: GeneralNetwork, minutes: float, rate: float, last: float) -> None:
        self.network, self.minutes, self.rate, self.last = network, minutes, rate, last
        heads = [p for n, p in network.named_parameters() if not n.startswith("backbone")]
        groups = [
            {"params": list(network.backbone.parameters()), "lr": rate},
            {"params": heads, "lr": 5 * rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=1e-3)
        self.average = {k: v.clone() for k, v in network.state_dict().items()}
        self.step, self.spent, self.loss = 0, 0.0, math.nan

    @property
    def share(self) -> float:
        """Of the time allowed that is spent."""
        return self.spent / self.minutes

    def learn(self, images: Tensor, level: Tensor, weight: Tensor) -> None:
        """One step on views (n, 3, s, s) with levels and weights (n, classes, s / 8, s / 8)."""
        warm = min(1.0, (self.step + 1) / WARM_UP)
        half_wave = 0.5 + 0.5 * math.cos(math.pi * min(1.0, self.share))
        factor = warm * (self.last + (1 - self.last) * half_wave)
        for group, rate in zip(
            self.optimizer.param_groups, (self.rate, 5 * self.rate), strict=True
        ):
            group["lr"] = rate * factor
        with torch.autocast("cpu", torch.bfloat16):
            dense, whole = self.network(images)
        area = (level * weight).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1e-3)
        present = (area > 0) * (0.3 + 0.7 * area.clamp(0, 1).sqrt())
        loss = 10 * binary_cross_entropy_with_logits(
            dense.float(), level, weight, pos_weight=torch.tensor(3.0)
        )
        loss = loss + 2 * binary_cross_entropy_with_logits(whole.float(), present)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        found = float(loss.detach())
        self.loss = found if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * found
        decay = min(DECAY, self.step / (self.step + 9))
        for key, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - decay)

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.spent,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step, self.spent = state["average"], state["step"], state["spent"]


def save(teacher: Teacher, out: Path, record: dict[str, str]) -> None:
    """The averaged weights in half precision, and what a later run goes on from."""
    record = record | {"steps": str(teacher.step), "minutes": f"{teacher.spent:.1f}"}
    halves = {k: v.half().contiguous() for k, v in teacher.average.items() if v.is_floating_point()}
    with atomic_path(out) as path:
        save_file(halves, path, record)
    with atomic_path(out.with_suffix(".resume")) as path:
        torch.save(teacher.state(), path)


def teach(teacher: Teacher, loader: Iterator[Any], out: Path, record: dict[str, str]) -> None:
    """Learn until the time is spent."""
    began, before, first = time.monotonic(), teacher.spent, teacher.step
    saved = began
    while teacher.share < 1:
        images, level, weight = next(loader)
        x = to_tensor(images.numpy() if isinstance(images, Tensor) else images)
        teacher.learn(x, torch.as_tensor(level), torch.as_tensor(weight))
        now = time.monotonic()
        teacher.spent = before + (now - began) / 60
        if teacher.step % REPORT_STEPS == 0:
            pace = len(x) * (teacher.step - first) / (now - began)
            left = teacher.minutes - teacher.spent
            print(
                f"step {teacher.step}: loss {teacher.loss:.4f}, {pace:.0f} views/s, "
                f"{left:.0f} min left",
                flush=True,
            )
        if now - saved > SAVE_SECONDS:
            save(teacher, out, record)
            saved = now
    save(teacher, out, record)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with clean/ and artifacts/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fold", choices=["base", "0", "1", "2", "all"], default="all")
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--init", default="histology", help="a model, or a taught network's file")
    parser.add_argument("--size", type=int, default=112, help="side of a view, px")
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--learning-rate", type=float, default=4e-4, help="of the trunk")
    parser.add_argument("--last", type=float, default=0.0, help="share of the rate at the end")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    # Before any image is read: OpenCV's threads do not survive the fork, and a loader that inherits
    # their locks waits for ever.
    cv2.setNumThreads(1)
    away = left_out(options.fold)
    images = read_laboratories(options.data, away)
    print({lab: len(stack) for lab, stack in images.items()}, flush=True)
    lessons = Lessons(images, read_cutouts(options.data / "artifacts/cutouts"), options.size)
    if Path(options.init).is_file():
        network = load_network(Path(options.init))
    else:
        network = GeneralNetwork(QualityModel.load(options.init).backbone)
    teacher = Teacher(
        network.train().to(memory_format=torch.channels_last),
        options.minutes,
        options.learning_rate,
        options.last,
    )
    resume = options.out.with_suffix(".resume")
    if resume.exists():
        teacher.restore(torch.load(resume, weights_only=True))
        print(f"going on from step {teacher.step}", flush=True)
    record = {
        "script": "scripts/teach_general.py",
        "options": json.dumps({k: str(v) for k, v in vars(options).items() if k != "data"}),
        "left_out": " ".join(away),
    }
    source = Batches(lessons, options.batch_size, options.seed, teacher.step)
    loader: DataLoader[Any] = DataLoader(
        source,
        batch_size=None,
        num_workers=1,
        prefetch_factor=4,
        multiprocessing_context="fork",
        timeout=PATIENCE_SECONDS,
    )
    teach(teacher, iter(loader), options.out, record)


if __name__ == "__main__":
    main()

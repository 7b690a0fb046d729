"""Pretrain the ResNet-18 backbone on clean patches: tissue class and level of degradation.

Every training image is cropped, flipped and degraded at random (Gaussian blur, Gaussian noise,
salt and pepper, JPEG, black rectangles); the network predicts the tissue class and, for each
degradation, its level between 0 and 1. No labelled artifact is used. Features of clean patches
then differ from those of degraded ones along directions that a density model can see.

    python scripts/pretrain_backbone.py ../shared/data/clean --out backbone.safetensors

A quarter of the images is left out (scripts/training_images.py) for calibration.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm
from training_images import split_images, tissue_class

from rl2qc.images.degrade import degrade
from rl2qc.model.backbone import FEATURE_DIM, ResNet18Features, to_tensor

# Mildest and strongest severity; levels are spaced evenly in the logarithm between them.
PRETEXT = {
    "blur": (0.4, 5.0),
    "noise": (0.015, 0.3),
    "salt_and_pepper": (0.005, 0.3),
    "jpeg": (60.0, 4.0),
    "rectangles": (0.02, 0.5),
}
SHARE_DEGRADED = 0.35
# Slight, so that the stain stays informative and single slides are not learnt by heart.
JITTER = A.Compose(
    [A.ColorJitter(brightness=(0.85, 1.15), contrast=(0.85, 1.15), saturation=(0.8, 1.2), p=0.8)],
    seed=0,
)


def random_view(
    image: NDArray[np.uint8], size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[float]]:
    """A flipped, rotated, degraded crop and its level (0: none) of each pretext degradation."""
    top, left = (int(rng.integers(0, side - size + 1)) for side in image.shape[:2])
    view = np.rot90(image[top : top + size, left : left + size], int(rng.integers(4)))
    if rng.random() < 0.5:
        view = view[:, ::-1]
    JITTER.set_random_seed(int(rng.integers(2**31)))
    view = JITTER(image=np.ascontiguousarray(view))["image"]
    levels = []
    for name, (mild, strong) in PRETEXT.items():
        level = 0.0
        if rng.random() < SHARE_DEGRADED:
            level = float(rng.random())
            view = degrade(view, name, float(mild * (strong / mild) ** level), rng)
            # Level 0 is "not degraded": the mildest degradation stands a step above it.
            level = 0.1 + 0.9 * level
        levels.append(level)
    return view, levels


class PretextHeads(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.tissue = nn.Linear(FEATURE_DIM, classes)
        self.levels = nn.Linear(FEATURE_DIM, len(PRETEXT))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.tissue(features), self.levels(features)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clean", type=Path, help="folder with colorectal/ and prostate/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()

    paths, _ = split_images(options.clean)
    images = [np.asarray(Image.open(p).convert("RGB")) for p in paths]
    names = sorted({tissue_class(p) for p in paths})
    labels = torch.tensor([names.index(tissue_class(p)) for p in paths])
    print(f"{len(images)} images, classes: {', '.join(names)}")

    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    backbone = ResNet18Features().to(device).to(memory_format=torch.channels_last)
    heads = PretextHeads(len(names)).to(device)
    parameters = [*backbone.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.05)
    steps = len(images) // options.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=options.learning_rate, total_steps=steps * options.epochs, pct_start=0.15
    )
    history = []
    started = time.monotonic()
    for epoch in range(options.epochs):
        order = np.random.default_rng((options.seed, epoch)).permutation(len(images))
        sums = np.zeros(3)
        for step in tqdm(range(steps), desc=f"epoch {epoch + 1}/{options.epochs}", mininterval=5):
            batch = order[step * options.batch_size : (step + 1) * options.batch_size]
            views, levels = zip(
                *(
                    random_view(
                        images[i], options.size, np.random.default_rng((options.seed, epoch, i))
                    )
                    for i in batch
                ),
                strict=True,
            )
            x = to_tensor(np.stack(views)).to(device)
            tissue, predicted = heads(backbone(x))
            class_loss = nn.functional.cross_entropy(
                tissue, labels[batch].to(device), label_smoothing=0.1
            )
            level_loss = nn.functional.smooth_l1_loss(
                predicted, torch.tensor(levels, device=device), beta=0.1
            )
            loss = 0.5 * class_loss + 10 * level_loss
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
            accuracy = (tissue.argmax(1).cpu() == labels[batch]).float().mean()
            sums += [float(class_loss.detach()), float(level_loss.detach()), float(accuracy)]
        history.append([round(float(v), 5) for v in sums / steps])
        print(f"epoch {epoch + 1}: class loss, level loss, accuracy {history[-1]}", flush=True)
        record = {
            "script": "scripts/pretrain_backbone.py",
            "images": str(len(images)),
            "classes": " ".join(names),
            "epochs": str(epoch + 1),
            "size": str(options.size),
            "seed": str(options.seed),
            "history": json.dumps(history),
            "seconds": str(round(time.monotonic() - started)),
        }
        state = {
            k: v.half() if v.is_floating_point() else v
            for k, v in backbone.trunk.state_dict().items()
        }
        save_file({k: v.contiguous().cpu() for k, v in state.items()}, options.out, record)


if __name__ == "__main__":
    main()

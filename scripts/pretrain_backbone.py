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


def main() -> None:
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
    options = parser.parse_args()

    paths, _ = split_images(options.clean)
    images = [np.asarray(Image.open(p).convert("RGB")) for p in paths]
    names = sorted({tissue_class(p) for p in paths})
    labels = torch.tensor([names.index(tissue_class(p)) for p in paths])
    print(f"{len(images)} images, classes: {', '.join(names)}")

    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    backbone = ResNet18Features().to(device).to(memory_format=torch.channels_last)
    tasks = {k: v.to(device) for k, v in make_tasks(options.objective, len(names)).items()}
    make_view = Views(options.size, tuple(tasks))
    parameters = [p for m in (backbone, *tasks.values()) for p in m.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=0.05)
    steps = len(images) // options.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=options.learning_rate, total_steps=steps * options.epochs, pct_start=0.15
    )

    def views(rows: np.ndarray, *key: int) -> tuple[Tensor, Tensor]:
        made = [make_view(images[i], np.random.default_rng((options.seed, *key, i))) for i in rows]
        pictures, levels = zip(*made, strict=True)
        return to_tensor(np.stack(pictures)).to(device), torch.tensor(levels, device=device)

    history = []
    started = time.monotonic()
    for epoch in range(options.epochs):
        order = np.random.default_rng((options.seed, epoch)).permutation(len(images))
        sums = dict.fromkeys(tasks, 0.0)
        for step in tqdm(range(steps), desc=f"epoch {epoch + 1}/{options.epochs}", mininterval=5):
            rows = order[step * options.batch_size : (step + 1) * options.batch_size]
            x, levels = views(rows, epoch)
            features, maps = stage_maps(backbone, x)

            def second(rows: np.ndarray = rows, epoch: int = epoch) -> Tensor:
                return stage_maps(backbone, views(rows, epoch, 1)[0])[0]

            batch = Batch(x, labels[rows].to(device), levels, features, maps, second)
            losses = {name: task(batch) for name, task in tasks.items()}
            optimizer.zero_grad(set_to_none=True)
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
            for name, loss in losses.items():
                sums[name] += float(loss.detach()) / steps
        history.append({name: round(value, 5) for name, value in sums.items()})
        print(f"epoch {epoch + 1}: loss {history[-1]}", flush=True)
        record = {
            "script": "scripts/pretrain_backbone.py",
            "objective": options.objective,
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

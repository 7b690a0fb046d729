"""Choose backbone and detector on the validation split: never on images that are reported.

Validation images are half of the quarter that no backbone sees (scripts/training_images.py); the
other half calibrates. They are damaged by degradations, by procedural artifacts and by every second
real cut-out (the others are for the report). A second suite stands for a laboratory that the
backbone never saw: tiles of osteosarcoma, a reference cut from ten images, six others judged.

    python scripts/validation.py ../shared/data --work DIR --backbones a.safetensors b.safetensors
    python scripts/validation.py ../shared/data --work DIR --backbones a.safetensors --detectors

The first form compares backbones with the package's detector: share of clean patches kept at alpha
0.05 per organ and mean AUC of each family of damage. The second compares detectors on one backbone.
Statistics are kept in DIR, by the backbone's hash, so that a second run is quick.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from tqdm import tqdm
from training_images import slide, split_images
from validation_detectors import DETECTORS, Detect, Validation

from rl2qc.images.sources.base import center_crop
from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.network.backbone import (
    ResNet18Features,
    load_weights,
    round_to_half,
    to_tensor,
)
from rl2qc.synthetic.corruptions import corrupt, taught
from rl2qc.synthetic.damage import random_damage

SIZE = 224
ALPHA = 0.05
N_TRAIN, N_DAMAGED = 600, 80
LAB_DEGRADATIONS = ("blur 0.7", "noise 0.03", "jpeg 40")
DEGRADATIONS = (
    ("blur", 0.7),
    ("blur", 1),
    ("noise", 0.03),
    ("noise", 0.05),
    ("salt_and_pepper", 0.02),
    ("rectangles", 0.02),
    ("jpeg", 40),
)
COVERS = (0.03, 0.15)
Arrays = dict[str, np.ndarray]


def pixels(path: Path) -> np.ndarray:
    return center_crop(np.asarray(Image.open(path).convert("RGB")), SIZE)


def tiles(path: Path) -> list[np.ndarray]:
    image = np.asarray(Image.open(path).convert("RGB"))
    rows, columns = (range(0, side - SIZE + 1, SIZE) for side in image.shape[:2])
    return [image[r : r + SIZE, c : c + SIZE] for r in rows for c in columns]


def damages(cutouts: Path | None) -> Iterator[tuple[str, Callable[..., np.ndarray]]]:
    """Family/kind and the function (image, rng) that damages."""
    for name, severity in DEGRADATIONS:
        yield f"degradation/{name} {severity}", lambda i, r, n=name, s=severity: corrupt(i, n, s, r)
    for draw in taught("artifact"):
        for cover in COVERS:
            yield f"artifact/{draw.name} {cover}", lambda i, r, d=draw, c=cover: d(i, c, r)
    if cutouts is not None:
        from rl2qc.images.sources.decode import read_cutout
        from rl2qc.synthetic.cutouts import paste

        for folder in sorted(cutouts.iterdir()):
            pictures = [read_cutout(p) for p in sorted(folder.iterdir())[::2]]
            yield (
                f"cutout/{folder.name}",
                lambda i, r, c=pictures: paste(i, c[int(r.integers(len(c)))], r).image,
            )


def statistics(backbone: ResNet18Features, images: list[np.ndarray]) -> np.ndarray:
    with torch.inference_mode():
        found = [
            backbone.statistics(to_tensor(np.stack(images[i : i + 32]))).numpy()
            for i in range(0, len(images), 32)
        ]
    return np.concatenate(found)


def measure(backbone: ResNet18Features, data: Path) -> Arrays:
    """Statistics of every set of both suites, by "suite|family/kind"."""
    train, unseen = split_images(data / "clean")
    rng = np.random.default_rng(0)
    train = [train[i] for i in np.sort(rng.permutation(len(train))[:N_TRAIN])]
    calibrate = [p for p in unseen if _half(slide(p))]
    judge = [p for p in unseen if not _half(slide(p))]
    lab = sorted((data / "clean/other/osteosarcoma").iterdir())
    lab = [lab[i] for i in np.random.default_rng(1).permutation(len(lab))]
    reference = [t for p in lab[:10] for t in tiles(p)]
    lab_judge = [t for p in lab[10:] for t in tiles(p)]

    images = [pixels(p) for p in judge]
    rows = rng.permutation(len(images))[:N_DAMAGED]
    cutouts = data / "artifacts/cutouts"
    work: list[tuple[str, list[np.ndarray]]] = [
        ("own|reference", [pixels(p) for p in train + calibrate]),
        ("own|clean", images),
        ("own|damaged", _damaged([pixels(p) for p in train + calibrate])),
        ("lab|reference", reference),
        ("lab|damaged", _damaged(reference)),
        ("lab|clean", lab_judge),
    ]
    found: Arrays = {
        "own|names": np.array([str(p) for p in train + calibrate]),
        "own|calibrates": np.arange(len(train) + len(calibrate)) >= len(train),
        "own|clean names": np.array([str(p) for p in judge]),
        "own|rows": rows,
        "lab|groups": np.repeat([p.name for p in lab[:10]], len(reference) // 10),
    }
    for name, stack in work:
        found[name] = statistics(backbone, stack)
    for suite, stack in (("own", [images[i] for i in rows]), ("lab", lab_judge)):
        for name, damage in tqdm(list(damages(cutouts if suite == "own" else None)), desc=suite):
            # The laboratory's own images are few and kinds many: a part of them will do.
            part = name.endswith((*LAB_DEGRADATIONS, f" {COVERS[1]}"))
            if suite == "lab" and not part:
                continue
            draw = np.random.default_rng(2)
            found[f"{suite}|{name}"] = statistics(backbone, [damage(i, draw) for i in stack])
    return found


def _damaged(images: list[np.ndarray]) -> list[np.ndarray]:
    return [random_damage(im, np.random.default_rng((3, i))) for i, im in enumerate(images)]


def _half(name: str) -> bool:
    return int(hashlib.sha256(f"validation {name}".encode()).hexdigest(), 16) % 2 == 0


def load(path: Path, data: Path, work: Path) -> Arrays:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    kept = work / f"validation-{digest}.npz"
    if not kept.exists():
        backbone = ResNet18Features()
        load_weights(backbone, path)
        round_to_half(backbone)
        backbone.eval().to(memory_format=torch.channels_last)
        found: dict[str, Any] = measure(backbone, data)
        np.savez(kept, **found)
    with np.load(kept) as stored:
        return dict(stored)


def judge(found: Arrays, detect: Detect) -> tuple[dict[str, float], dict[str, float]]:
    """Kept shares by organ, and AUC by damage."""
    kept: dict[str, float] = {}
    areas: dict[str, float] = {}
    for suite in ("own", "lab"):
        clean, damaged = found[f"{suite}|reference"], found[f"{suite}|damaged"]
        if suite == "own":
            groups = np.array([slide(Path(p)) for p in found["own|names"]])
            calibrates = found["own|calibrates"]
        else:
            groups, calibrates = found["lab|groups"], np.ones(len(clean), bool)
        calibration, score = detect(Validation(clean, damaged, groups, calibrates))
        clean = score(found[f"{suite}|clean"])
        p = conformal_p_values(clean, calibration)
        if suite == "own":
            prostate = np.array(["prostate" in n for n in found["own|clean names"]])
            kept["colorectal"] = float((p[~prostate] > ALPHA).mean())
            kept["prostate"] = float((p[prostate] > ALPHA).mean())
        else:
            kept["osteosarcoma"] = float((p > ALPHA).mean())
        for name, y in found.items():
            if name.startswith(f"{suite}|") and "/" in name:
                labels = np.r_[np.ones(len(clean)), np.zeros(len(y))]
                areas[name] = float(roc_auc_score(labels, np.r_[clean, score(y)]))
    return kept, areas


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with clean/ and artifacts/")
    parser.add_argument("--work", type=Path, required=True, help="where statistics are kept")
    parser.add_argument("--backbones", type=Path, nargs="+", required=True)
    parser.add_argument("--detectors", action="store_true", help="compare detectors instead")
    parser.add_argument("--details", action="store_true", help="print every AUC")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    families = ("own|degradation", "own|artifact", "own|cutout", "lab|degradation", "lab|artifact")
    print(f"{'':44}{'kept: colorectal, prostate, lab':>34}  AUC: {', '.join(families)}, mean")
    for path in options.backbones:
        found = load(path, options.data, options.work)
        chosen = DETECTORS if options.detectors else dict(list(DETECTORS.items())[:1])
        for name, detect in chosen.items():
            kept, areas = judge(found, detect)
            means = [
                float(np.mean([a for k, a in areas.items() if k.startswith(f)])) for f in families
            ]
            title = name if options.detectors else path.stem
            shares = "".join(f"{k:>11.1%}" for k in kept.values())
            print(
                f"{title:44}{shares:>34}  {' '.join(f'{m:.3f}' for m in means)}"
                f"  {np.mean(means):.4f}",
                flush=True,
            )
            if options.details:
                print("   " + ", ".join(f"{k} {a:.3f}" for k, a in areas.items()))


if __name__ == "__main__":
    main()

"""Build the shipped models from a pretrained backbone and the clean training images.

    python scripts/pretrain_backbone.py ../shared/data/clean --out backbone.safetensors
    python scripts/build_checkpoints.py ../shared/data/clean --backbone backbone.safetensors

``histology`` knows colorectal and prostate tissue, ``colorectal`` the former alone; they share the
backbone, which only ``histology`` stores. The flows are fitted on the images that the backbone was
trained on and stopped on the quarter that it never saw (scripts/training_images.py), which also
calibrates.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training_images import split_images

from rl2qc.model.quality import QualityModel

CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"
# Organs of each model; the first stores the backbone.
MODELS = {"histology": ("colorectal", "prostate"), "colorectal": ("colorectal",)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clean", type=Path, help="folder with colorectal/ and prostate/")
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--patch-size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    for name, organs in MODELS.items():
        train, held_out = (
            [p for p in paths if set(organs) & set(p.parts)]
            for paths in split_images(options.clean)
        )
        model = QualityModel.fit(
            train,
            held_out=held_out,
            backbone=options.backbone,
            patch_size=options.patch_size,
            seed=options.seed,
            progress=True,
        )
        out = CHECKPOINTS / f"{name}.safetensors"
        owner = next(iter(MODELS))
        model.save(out, backbone_of=None if name == owner else owner)
        print(
            f"{name}: {len(train)} training, {len(held_out)} held-out patches, held-out NLL "
            f"{model.history_.best:.3f} nats per dimension, {out.stat().st_size / 1e6:.1f} MB, "
            f"sha256 {model.sha256}",
            flush=True,
        )


if __name__ == "__main__":
    main()

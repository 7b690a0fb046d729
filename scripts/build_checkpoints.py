"""Build the shipped models from a pretrained backbone and the clean training images.

    python scripts/pretrain_backbone.py ../shared/data/clean --out backbone.safetensors
    python scripts/build_checkpoints.py ../shared/data/clean --backbone backbone.safetensors

The flow is fitted on the images that the backbone was trained on, and stopped and calibrated on
the quarter that it never saw (scripts/training_images.py).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training_images import split_images

from rl2qc.model.quality import QualityModel

CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clean", type=Path, help="folder with colorectal/ and prostate/")
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=CHECKPOINTS / "histology.safetensors")
    parser.add_argument("--patch-size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    train, held_out = split_images(options.clean)
    model = QualityModel.fit(
        train,
        held_out=held_out,
        backbone=options.backbone,
        patch_size=options.patch_size,
        seed=options.seed,
        progress=True,
    )
    model.save(options.out)
    print(
        f"{options.out.name}: {len(train)} training, {len(held_out)} held-out patches, held-out "
        f"NLL {model.history_.best:.3f} nats per dimension, "
        f"{options.out.stat().st_size / 1e6:.1f} MB, sha256 {model.sha256}"
    )


if __name__ == "__main__":
    main()

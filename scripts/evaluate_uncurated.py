"""What a model loses that learnt from patches which nobody sorted.

    python scripts/evaluate_uncurated.py D/clean/colorectal/test [--count 260] [--shares 0,.1,.3]

A part of the reference is damaged (:func:`rl2qc.synthetic.damage.random_damage`); models are
trained on it sorted (the clean patches alone), as it is, and with ``--uncurated``, and judge 60
patches that took no part, clean against damaged by kinds that ``random_damage`` does not draw.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import rl2qc
from rl2qc.images.sources.base import as_source
from rl2qc.stats.auc import auc
from rl2qc.synthetic import artifacts
from rl2qc.synthetic.corruptions import corrupt
from rl2qc.synthetic.damage import random_damage

_UNSEEN = 60


def kinds(images: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Damaged copies of unseen patches."""
    found = {"blur 2 px": np.stack([corrupt(i, "blur", 2.0, rng) for i in images])}
    for name in ("ink", "fold", "thread", "bubble"):
        draw = getattr(artifacts, name)
        found[name] = np.stack([draw(i, 0.1, rng).image for i in images])
    return found


def judged(model: rl2qc.QualityModel, clean: np.ndarray, damaged: dict[str, np.ndarray]) -> str:
    """Kept clean patches and AUC by kind, in a line."""
    own = model.p_values(clean)
    aucs = {name: auc(own, model.p_values(images)).value for name, images in damaged.items()}
    words = ", ".join(f"{name} {value:.3f}" for name, value in aucs.items())
    return f"kept {np.mean(own > 0.05):.2f}, AUC {np.mean(list(aucs.values())):.3f}: {words}"


def main() -> None:
    """Print a line a share of damage and way of training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=260)
    parser.add_argument("--shares", default="0,.1,.3")
    parser.add_argument("--backbone", default="general")
    parser.add_argument("--way", help="One of sorted, as it is, uncurated; all of them without.")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    source = as_source(given.folder, 224)
    rows = rng.permutation(len(source))[: given.count + _UNSEEN]
    images = np.stack([np.asarray(source[int(row)]) for row in rows])
    unseen, reference = images[:_UNSEEN], images[_UNSEEN:]
    damaged = kinds(unseen, rng)
    for share in map(float, given.shares.split(",")):
        bad = np.arange(len(reference)) < round(share * len(reference))
        mixed = reference.copy()
        mixed[bad] = [random_damage(image, rng) for image in reference[bad]]
        ways: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
            "sorted": (mixed[~bad], {}),
            "as it is": (mixed, {}),
            "uncurated": (mixed, {"uncurated": True}),
        }
        for way, (patches, options) in ways.items():
            if given.way and way != given.way:
                continue
            with tempfile.TemporaryDirectory() as place:
                out = Path(place) / "m.safetensors"
                model = rl2qc.train(
                    patches, out, mpp=0.5, epochs=20, backbone=given.backbone, **options
                )
                said = [w for w in model.warnings_ if "not learnt from" in w]
                print(f"{share:.0%} {way:10} {judged(model, unseen, damaged)}  {said}", flush=True)


if __name__ == "__main__":
    main()

"""Models of the same reference on two backbones: clean patches kept, AUC of what each detects.

    rl2qc train ../shared/data/clean/colorectal/train --backbone histology --out a.safetensors
    rl2qc train ../shared/data/clean/colorectal/train --backbone general --out b.safetensors
    python scripts/compare_backbones.py a.safetensors b.safetensors \
        --clean ../shared/data/clean/colorectal/test --artifacts ../shared/data/artifacts

Patches that trained neither are damaged mildly, and the odd cut-outs, which teach nothing, are
pasted onto them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rl2qc.images.sources.base import as_source
from rl2qc.images.sources.decode import read_cutout
from rl2qc.model.quality import QualityModel
from rl2qc.stats.auc import auc
from rl2qc.synthetic.corruptions import CORRUPTIONS
from rl2qc.synthetic.cutouts import at_positions, paste

DAMAGE = {
    "blur": 1.0,
    "jpeg": 30.0,
    "downscale": 1.5,
    "motion": 4.0,
    "ink": 0.02,
    "pen": 0.02,
    "fold": 0.1,
    "bubble": 0.02,
    "out_of_focus": 0.1,
    "thread": 0.1,
    "specks": 0.02,
}
PASTED = ("threads", "squamous", "cell", "group", "dark_spots")


def stacks_of(
    images: NDArray[np.uint8], artifacts: Path, seed: int
) -> dict[str, NDArray[np.uint8]]:
    """Damaged copies of images (n, s, s, 3), by what was done to them."""
    found = {}
    for name, severity in DAMAGE.items():
        spec = CORRUPTIONS.get(name)
        found[f"{name} {severity:g}"] = np.stack(
            [spec(im, severity, np.random.default_rng([seed, i])) for i, im in enumerate(images)]
        )
    for name in PASTED:
        paths = at_positions(list((artifacts / "cutouts" / name).iterdir()), "odd")
        layers = [read_cutout(path) for path in paths]
        found[f"pasted {name}"] = np.stack(
            [
                paste(im, layers[i % len(layers)], np.random.default_rng([seed, i])).image
                for i, im in enumerate(images)
            ]
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs=2)
    parser.add_argument("--clean", type=Path, required=True)
    parser.add_argument("--artifacts", type=Path, required=True)
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    models = [QualityModel.load(name) for name in options.models]
    size = models[0].patch_size
    source = as_source(options.clean, size).sample(options.n, options.seed)
    images = np.stack([source[i] for i in range(len(source))])
    damaged = stacks_of(images, options.artifacts, options.seed)
    areas: dict[str, list[str]] = {name: [] for name in damaged}
    means = []
    for model in models:
        clean = model.statistics(images)
        score = model.filter_score
        usual = model.detectors_(clean, [score])[score]
        kept = float((model.measure_statistics(clean)["p_value"] > 0.05).mean())
        print(f"{model.name}: {kept:.1%} of {len(images)} clean patches kept at alpha .05")
        values = []
        for name, stack in damaged.items():
            found = auc(usual, model.detectors_(model.statistics(stack), [score])[score])
            areas[name].append(f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
            values.append(found.value)
        means.append(f"{np.mean(values):.4f}")
    for name, row in areas.items():
        print(f"{name:20} {row[0]:24} {row[1]}")
    print(f"{'mean':20} {means[0]:24} {means[1]}")


if __name__ == "__main__":
    main()

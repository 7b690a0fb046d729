"""Use one toy of each kind, by the command line and from Python; run where they are installed.

Everything is written into the current folder; ``centroid.npy`` has the scores of the toy detector.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

import rl2qc
from rl2qc.cli.app import app
from rl2qc.synthetic.slide import synthetic_slide
from rl2qc.synthetic.tissue import synthetic_patches

SIZE = 64


def command(*arguments: object) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


def stack(name: str, n: int, seed: int) -> str:
    """The toy source: images in one NumPy file."""
    path = f"{name}.stack.npy"
    np.save(path, synthetic_patches(n, SIZE, np.random.default_rng(seed)))
    return path


def levels(name: str) -> str:
    """The toy slide: an archive of three levels."""
    slide = synthetic_slide(np.random.default_rng(9), height=256, width=384)
    arrays = {f"level_{i}": slide.rgb[:: 2**i, :: 2**i] for i in range(3)}
    np.savez(f"{name}.npz", mpp=slide.mpp, **arrays)
    return f"{name}.npz"


def main() -> None:
    os.environ["RL2QC_CACHE"] = str(Path("cache").absolute())
    clean, real, generated = stack("clean", 120, 0), stack("real", 24, 1), stack("generated", 16, 2)
    command("train", clean, "--out", "m.safetensors", "--mpp", 0.5, "--epochs", 3)
    model = rl2qc.QualityModel.load("m.safetensors")
    np.save("centroid.npy", model.score_samples(generated, "centroid"))
    slide = levels("case")
    command("filter", slide, "-m", "m.safetensors", "-o", "out", "--format", "csv,corners")
    shutil.copy("out/case/corners.txt", "corners_before.txt")
    command("decide", "out", "--alpha", 0.6)
    made = ("--json", "score.json", "--html", "score.html", "--no-cache")
    wanted = ("--metrics", "mean_shift,fid", "--features", "colours")
    command("score", generated, "--real", real, "-m", "m.safetensors", *wanted, *made)
    few = ("--corruptions", "blur,fading", "--quick", "--n-resamples", 10)
    command("benchmark", "--clean", clean, "-m", "m.safetensors", "--out", "benchmark", *few)


if __name__ == "__main__":
    main()

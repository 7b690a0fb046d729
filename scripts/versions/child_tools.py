"""What the Python calls of the comparison share: folders, names that moved, files of results."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = [
    "HOMES",
    "Places",
    "command",
    "find",
    "images",
    "pixels",
    "save",
    "save_json",
    "times_of",
]


# Where a function was and is; the first that is found is taken.
HOMES: dict[str, tuple[str, ...]] = {
    "filter_patches": (
        "rl2qc:filter_patches",
        "rl2qc.filtering:filter_patches",
        "rl2qc.slides.filtering:filter_patches",
    ),
    "dice": (
        "rl2qc:dice",
        "rl2qc.scoring.dice:mask_overlap",
        "rl2qc.reports.mask_overlap:mask_overlap",
    ),
    "as_source": ("rl2qc.images.sources:as_source", "rl2qc.images.sources.base:as_source"),
    "ms_ssim": ("rl2qc.metrics.ms_ssim:ms_ssim",),
    "authenticity": ("rl2qc.metrics.authenticity:authenticity",),
}


@dataclass(frozen=True)
class Places:
    """Folders of a job, and the folder of results that it is about."""

    out: Path
    inputs: Path
    data: Path
    before: Path
    side: Path
    old: Path | None = None

    @property
    def own_model(self) -> str:
        """The old version's model of one slide."""
        return str(self.before / "train/own/own.safetensors")

    @property
    def frozen_model(self) -> str:
        """The old version's model of many slides."""
        return str(self.before / "train/frozen/frozen.safetensors")


def find(name: str) -> Any:
    """A function by its name in ``HOMES``, or a public name."""
    for home in HOMES.get(name, (f"rl2qc:{name}",)):
        module, _, attribute = home.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(f"this version has no {name}: add its home to HOMES in {Path(__file__).name}")


def pixels(paths: Sequence[Path]) -> NDArray[np.uint8]:
    """Images as one array."""
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])


def images(folder: Path, count: int | None = None) -> list[Path]:
    """The first files of a folder."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))[:count]


def save(places: Places, name: str, arrays: dict[str, Any]) -> None:
    """Write arrays under names."""
    plain: dict[str, Any] = {key: np.asarray(value) for key, value in arrays.items()}
    np.savez_compressed(places.out / f"{name}.npz", **plain)


def save_json(places: Places, name: str, content: Any) -> None:
    """Write what a result says of itself."""
    (places.out / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def command(*arguments: str | Path) -> int:
    """The command line of the same version; its exit code."""
    line = [sys.executable, "-m", "rl2qc", *map(str, arguments)]
    return subprocess.run(line, check=False).returncode


def times_of(results: Path) -> dict[Path, int]:
    """When each table of tiles was last written."""
    return {path: path.stat().st_mtime_ns for path in sorted(results.glob("*/tiles.csv"))}

"""The clean images that shipped models are made from, and which of them the backbone never sees.

A network remembers the images that it was trained on: their features lie closer together than
those of new images. So a quarter (of the slides, where slides are known) is kept from the
backbone, and p-values are calibrated on that quarter.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

__all__ = ["split_images", "tissue_class"]

FOLDERS = ("colorectal/train", "prostate/train")


def split_images(clean: Path) -> tuple[list[Path], list[Path]]:
    """Images for training and held-out images of the folder ``clean``, by a hash of the slide."""
    paths = [p for folder in FOLDERS for p in sorted((clean / folder).rglob("*")) if p.is_file()]
    if not paths:
        raise SystemExit(f"no images in {' or '.join(str(clean / f) for f in FOLDERS)}")
    held = [int(hashlib.sha256(slide(p).encode()).hexdigest(), 16) % 4 == 0 for p in paths]
    return (
        [p for p, h in zip(paths, held, strict=True) if not h],
        [p for p, h in zip(paths, held, strict=True) if h],
    )


def slide(path: Path) -> str:
    """The slide of a prostate patch (its name up to "_"); a colorectal patch stands for itself."""
    return path.stem.split("_")[0] if "prostate" in path.parts else path.stem


def tissue_class(path: Path) -> str:
    """colorectal/AC and the like from "image_AC_17.jpg", else the organ's folder."""
    named = re.match(r"image_([A-Z]+)_", path.name)
    return f"{path.parents[1].name}/{named[1]}" if named else path.parents[1].name

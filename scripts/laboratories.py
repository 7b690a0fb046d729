"""The clean images that teach the general model, laboratory by laboratory, and its grouped folds.

Colorectal and prostate images always teach (their train folders only: the cards report on the test
folders). The fifteen other laboratories are cut into three folds; a fold's laboratories take no
part in its teaching, calibration and choice.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["ALWAYS", "FOLDS", "lab_folders", "left_out", "read_image", "read_laboratories"]

ALWAYS = {"colorectal": "clean/colorectal/train", "prostate": "clean/prostate/train"}
FOLDS = (
    ("liver_b", "lc25000_lung", "camelyon16", "monuseg", "breakhis"),
    ("glas", "oscc_400x", "mitos12_breast", "tnbc", "osteosarcoma"),
    ("ucsb_breast", "crc_histophenotypes", "crc_val_7k", "gbm40", "gastric"),
)
# Oversampled at source: almost nothing above half of Nyquist. Scaled to this side first, px.
_OVERSAMPLED = {"lc25000_lung": 320}


def lab_folders(data: Path) -> dict[str, Path]:
    """The folder of every laboratory by its name, the two that always teach first."""
    found = {name: data / folder for name, folder in ALWAYS.items()}
    for parent in ("clean/other", "clean/labs"):
        found |= {p.name: p for p in sorted((data / parent).iterdir()) if p.is_dir()}
    missing = {lab for fold in FOLDS for lab in fold} - found.keys()
    if missing:
        raise SystemExit(f"no folder of {', '.join(sorted(missing))} in {data}/clean")
    return found


def left_out(fold: str) -> tuple[str, ...]:
    """Laboratories that a fold ("0", "1", "2") leaves out; "all" leaves none out, "base" all 15."""
    if fold == "base":
        return tuple(lab for labs in FOLDS for lab in labs)
    return () if fold == "all" else FOLDS[int(fold)]


def read_image(path: Path, lab: str) -> NDArray[np.uint8]:
    """Pixels (h, w, 3) uint8; oversampled laboratories' are scaled down."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    side = _OVERSAMPLED.get(lab)
    if side is None or side >= min(pixels.shape[:2]):
        return pixels
    scale = side / min(pixels.shape[:2])
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def read_laboratories(
    data: Path, leave_out: tuple[str, ...] = ()
) -> dict[str, list[NDArray[np.uint8]]]:
    """Every image of every laboratory that is not left out."""
    return {
        lab: [read_image(p, lab) for p in sorted(folder.rglob("*")) if p.is_file()]
        for lab, folder in lab_folders(data).items()
        if lab not in leave_out
    }

"""The images that both versions are given: no near-duplicates, no hidden files, none small."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import openslide
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = ["make_inputs"]

CLASSES = ("AC", "H", "S", "T", "V")
# Thumbnails of different pictures are farther apart than this; near-duplicates are within 0.2.
APART = 0.32
_MADE = "complete-2"
_SLIDE, _SIDE = "colorectal_ink_a", 224


class _Chooser:
    """Takes pictures that are unlike all that it took before."""

    def __init__(self) -> None:
        self._taken: list[NDArray[np.float64]] = []

    def __call__(self, picture: NDArray[np.uint8]) -> bool:
        """Whether a picture (h, w, 3) is new: its thumbnail, its central part's thumbnail."""
        views = np.stack([_thumbnail(picture), _thumbnail(_center(picture, 96))])
        if np.isnan(views).any():
            return False
        if self._taken:
            gaps = np.linalg.norm(np.stack(self._taken) - views, axis=2)
            if gaps.min() < APART:
                return False
        self._taken.append(views)
        return True

    def forget(self) -> None:
        """Compare what comes with nothing before."""
        self._taken.clear()


def make_inputs(data: Path, folder: Path) -> None:
    """Fill ``folder`` from the shared images, once."""
    if (folder / _MADE).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    choose = _Chooser()
    train, test = (_by_turns(data / "clean/colorectal" / part) for part in ("train", "test"))
    pools: dict[str, Sequence[Path]] = {"train": train, "test": test}
    for name, pool, count in (("colorectal", "train", 300), ("held", "test", 40)):
        pools[pool] = _take(folder / name, pools[pool], count, choose)
    _take(folder / "test", pools["test"], 110, choose)
    _take(folder / "large", _files(data / "clean/other/tnbc"), 14, choose)
    choose.forget()
    _take(folder / "prostate", _files(data / "clean/prostate/train"), 120, choose)
    choose.forget()
    _slide_patches(data / "slides", folder / "own", 140, choose)
    _mixed(data, folder)
    _generated(data, folder)
    _masks(folder / "masks", sorted((data / "generated/nasdm_guidance/g0").iterdir()))
    _coords(folder)
    _faults(folder)
    _weights(folder / "torch/hub/checkpoints")
    (folder / _MADE).touch()


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def _by_turns(folder: Path) -> list[Path]:
    """One image of each class after the other."""
    kinds = [_files(folder / name) for name in CLASSES]
    return [path for turn in zip(*kinds, strict=False) for path in turn]


def _take(
    target: Path, paths: Sequence[Path], count: int, wanted: Callable[[NDArray[np.uint8]], bool]
) -> list[Path]:
    """Copy the first ``count`` that are wanted; what was not looked at."""
    target.mkdir()
    for i, path in enumerate(paths):
        if wanted(np.asarray(Image.open(path).convert("RGB"))):
            shutil.copy2(path, target / path.name)
            count -= 1
            if not count:
                return list(paths[i + 1 :])
    raise SystemExit(f"not enough different images for {target.name}: {count} are missing")


def _copy(paths: Iterable[Path], target: Path, prefix: str = "") -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in paths:
        shutil.copy2(path, target / f"{prefix}{path.name}")


def _thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Brightness (256,), mean 0 and length 1; NaN where there is no contrast."""
    grey = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    small = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    small -= small.mean()
    if small.std() < 1:
        return np.full(256, np.nan)
    return np.asarray(small / np.linalg.norm(small))


def _center(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    top, left = ((n - side) // 2 for n in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def _slide_patches(slides: Path, target: Path, count: int, choose: _Chooser) -> None:
    """Clean patches of one real slide, for a model that knows it."""
    target.mkdir()
    with (slides / f"{_SLIDE}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    clean = [
        (int(row["x"]), int(row["y"]))
        for row in rows
        if float(row["green_ink_fraction"]) == 0 and float(row["tissue_fraction"]) > 0.6
    ]
    with openslide.OpenSlide(slides / f"{_SLIDE}.tiff") as slide:
        for x, y in sorted(clean):
            inset = (256 - _SIDE) // 2
            region = slide.read_region((x + inset, y + inset), 0, (_SIDE, _SIDE)).convert("RGB")
            if choose(np.asarray(region)):
                region.save(target / f"x{x}_y{y}.png")
                count -= 1
                if not count:
                    return
    raise SystemExit(f"{_SLIDE} lacks {count} clean tiles that differ")


def _mixed(data: Path, folder: Path) -> None:
    """Clean patches, real artifacts and large images, for the filter."""
    _copy(_files(folder / "test")[:60], folder / "mixed")
    _copy([p for p in _files(data / "artifacts/pen") if _is_large(p)], folder / "mixed", "pen_")
    _copy(_files(data / "artifacts/ink_prostate"), folder / "mixed", "ink_")
    _copy(_files(data / "clean/other/gastric")[:4], folder / "mixed", "gastric_")


def _is_large(path: Path) -> bool:
    with Image.open(path) as image:
        return min(image.size) >= _SIDE


def _generated(data: Path, folder: Path) -> None:
    """Parts of generated and real sets, features and probabilities from elsewhere."""
    nasdm = data / "generated/nasdm"
    real, fake = _files(nasdm / "real"), _files(nasdm / "fake")
    _copy(real[0::4], folder / "real_a")
    _copy(real[1::4], folder / "real_b")
    _copy(fake[0::3], folder / "fake_a")
    _copy(fake[1::5], folder / "fake_b")
    rng = np.random.default_rng(0)
    for name, paths in (("generated", fake), ("real", real)):
        (folder / "features").mkdir(exist_ok=True)
        (folder / "probabilities").mkdir(exist_ok=True)
        logits = rng.normal(size=(len(paths), 12))
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.save(folder / "probabilities" / f"{name}.npy", shares)
        features = rng.normal(size=(len(paths), 24)) + 0.2 * (name == "real")
        np.save(folder / "features" / f"{name}.npy", features.astype(np.float32))
    many = folder / "features_many"
    many.mkdir()
    colon = data / "clean/colorectal"
    sets = {
        "generated": [colon / f"train/{name}" for name in ("AC", "H", "S")],
        "real": [colon / "train/T", colon / "train/V", colon / "test"],
    }
    for name, folders in sets.items():
        n = sum(len(_files(part)) for part in folders)
        np.save(many / f"{name}.npy", rng.normal(size=(n, 16)).astype(np.float32))
    scores = ["generator,reader,error:lower", "g0,3.5,0.2", "g1,3.1,0.3", "g3,1.4,0.7"]
    (folder / "readers.csv").write_text("\n".join(scores) + "\n")


def _masks(folder: Path, images: Sequence[Path]) -> None:
    """Drawn masks of three labels: a source, and three sets that follow it less and less."""
    rng = np.random.default_rng(1)
    for name in ("source", "a", "b", "c"):
        (folder / name).mkdir(parents=True)
    for number, path in enumerate(images):
        shapes = rng.uniform(8, 80, (6, 2)), rng.uniform(15, 40, (6, 2))
        for name, shift in (("source", 0.0), ("a", 2.0), ("b", 6.0), ("c", 14.0)):
            mask = Image.new("L", (128, 128))
            draw = ImageDraw.Draw(mask)
            for label, (corner, side) in enumerate(zip(*shapes, strict=True)):
                moved = corner + shift * rng.uniform(-1, 1, 2)
                draw.ellipse([*moved, *(moved + side)], fill=1 + label % 3)
            if number == 3 and name in ("source", "a"):  # empty ones count as well
                mask = Image.new("L", (128, 128))
            mask.save(folder / name / f"{path.stem}.png")


def _coords(folder: Path) -> None:
    """Coordinates in TRIDENT's layout: tiles as large as the model's, and twice as large."""
    import h5py

    size = {"level0_width": 2220, "level0_height": 2967}
    for name, side, step in (("coords", 224, 300), ("coords_large", 448, 520)):
        (folder / name).mkdir()
        corners = [(x, y) for y in range(100, 2967 - side, step) for x in range(50, 1700, step)]
        with h5py.File(folder / name / "CMU-1-Small-Region_patches.h5", "w") as file:
            coords = file.create_dataset("coords", data=np.array(corners, np.int64))
            coords.attrs.update(
                {"patch_size": 224, "patch_size_level0": side, "overlap": 0, **size}
            )
            coords.attrs.update({"name": "CMU-1-Small-Region", "target_magnification": 20})


def _faults(folder: Path) -> None:
    """What the old version got wrong: copies in a folder, a hidden image beside others."""
    chosen = _files(folder / "colorectal")
    _copy(chosen[:110], folder / "copies")
    _copy(chosen[:30], folder / "copies", "zz_")
    _copy(chosen[:24], folder / "few")


def _weights(folder: Path) -> None:
    """Weights drawn at random where torchvision looks for its own: nothing has to be fetched."""
    import torch
    from torchvision import models

    folder.mkdir(parents=True)
    torch.manual_seed(0)
    for published, network in (
        (models.ResNet18_Weights.IMAGENET1K_V1, models.resnet18()),
        (models.Inception_V3_Weights.IMAGENET1K_V1, models.inception_v3(init_weights=False)),
    ):
        torch.save(network.state_dict(), folder / published.url.rsplit("/", 1)[-1])

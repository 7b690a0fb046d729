"""Views that teach the branch of the scores, tiles that judge it, and their stage statistics."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from general_sets import lab_tiles
from harmless import crop, stain
from laboratories import ALWAYS, read_image, read_laboratories
from numpy.typing import NDArray
from reencoding import degraded, encoded
from safetensors import safe_open

from rl2qc.core.files import atomic_path
from rl2qc.model.network.backbone import FEATURE_DIM, STATISTICS_DIM, ResNet18Features
from rl2qc.model.network.statistics import StatisticsExtractor

__all__ = [
    "Statistician",
    "Taught",
    "Views",
    "centres",
    "draw_views",
    "flow_tiles",
    "read_branch",
]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
# Laboratories with more images than this give ``_LARGE`` views for each one of the others.
_MANY, _LARGE = 400, 2.5


@dataclass(frozen=True)
class Views:
    """Clean views and what was made of each of them.

    Attributes
    ----------
    clean : (n, s, s, 3) uint8
    lab : (n,) str
    encoded, degraded : (rounds, n, s, s, 3) uint8
    """

    clean: Pixels
    lab: NDArray[np.str_]
    encoded: Pixels
    degraded: Pixels


@dataclass(frozen=True)
class Taught:
    """Stage statistics (n, 2048) of clean views, (rounds, n, 2048) of encoded and degraded ones."""

    clean: Floats
    encoded: Floats
    degraded: Floats


def draw_views(
    data: Path, away: tuple[str, ...], per_lab: int, rounds: int, size: int, seed: int
) -> Views:
    """Views of every laboratory that is not left out: any scale and turn, half restained."""
    clean, names, better, worse = [], [], [], []
    for number, (lab, images) in enumerate(read_laboratories(data, away).items()):
        # Of each laboratory its own: another one left out changes none of them.
        rng = np.random.default_rng((seed, *lab.encode()))
        count = round(per_lab * _LARGE) if len(images) > _MANY else per_lab
        picks = rng.permutation(len(images))
        for i in range(count):
            view, _ = crop(images[picks[i % len(images)]], size, rng)
            view = stain(view, rng) if rng.random() < 0.5 else view
            clean.append(view)
            names.append(lab)
            better.append([encoded(view, rng) for _ in range(rounds)])
            worse.append([degraded(view, rng) for _ in range(rounds)])
        print(f"{number + 1}: {count} views of {lab}", flush=True)
    stacks = (np.stack(x).swapaxes(0, 1) for x in (better, worse))
    return Views(np.stack(clean), np.array(names), *stacks)


def centres(data: Path, lab: str, most: int, size: int) -> Pixels:
    """The middle (size, size) of up to ``most`` clean tiles of a laboratory."""
    tiles = np.stack(lab_tiles(data, lab, most))
    start = (tiles.shape[1] - size) // 2
    return np.ascontiguousarray(tiles[:, start : start + size, start : start + size])


def flow_tiles(data: Path, size: int = 128) -> Pixels:
    """The middle of every fourth clean tile of the laboratories that always teach."""
    found = []
    for lab, folder in ALWAYS.items():
        for path in sorted(p for p in (data / folder).rglob("*") if p.is_file())[::4]:
            image = read_image(path, lab)
            top, left = ((n - size) // 2 for n in image.shape[:2])
            found.append(image[top : top + size, left : left + size])
    return np.stack(found)


def read_branch(path: Path, network: str) -> tuple[Floats, Floats]:
    """Weight (512, 2048) and bias (512,) of a branch, if it was taught on this network."""
    with safe_open(path, framework="numpy") as file:
        taught_on = (file.metadata() or {}).get("network_sha256", "")
        weight, bias = (np.asarray(file.get_tensor(k), np.float32) for k in ("weight", "bias"))
    if taught_on != network:
        raise SystemExit(f"{path} was taught on another network: teach it again on this one")
    if weight.shape != (FEATURE_DIM, STATISTICS_DIM) or bias.shape != (FEATURE_DIM,):
        raise SystemExit(f"{path} holds no branch: weight {weight.shape}, bias {bias.shape}")
    return weight, bias


class Statistician:
    """Stage statistics by one network, kept in a folder by what they were made of."""

    def __init__(self, backbone: ResNet18Features, cache: Path | None) -> None:
        self.extractor = StatisticsExtractor(backbone, device="cpu")
        self.cache = cache
        self.identity = hashlib.sha256()
        for value in backbone.state_dict().values():
            self.identity.update(value.numpy().tobytes())

    def of(self, images: Pixels) -> Floats:
        """Statistics (n, 2048) of images (n, s, s, 3)."""
        if self.cache is None:
            return self._measure(images)
        key = self.identity.copy()
        key.update(np.ascontiguousarray(images).tobytes())
        path = self.cache / f"{key.hexdigest()[:24]}.npy"
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as unfinished, unfinished.open("wb") as file:
                np.save(file, self._measure(images))
        return np.asarray(np.load(path), np.float32)

    def of_views(self, views: Views) -> Taught:
        """Statistics of all of them."""
        return Taught(
            self.of(views.clean),
            np.stack([self.of(x) for x in views.encoded]),
            np.stack([self.of(x) for x in views.degraded]),
        )

    def _measure(self, images: Pixels) -> Floats:
        batches = (images[i : i + 32] for i in range(0, len(images), 32))
        return np.concatenate([self.extractor.of_batch(x) for x in batches])

"""Encode images again: as files of a set are encoded, or as their traces say."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.images.encoding import Encoding
from rl2qc.images.sources.images import About, Images, PatchSource
from rl2qc.images.traces import TRACES, traces

__all__ = ["Recipe", "find_recipe", "reencoded"]

_Pixels: TypeAlias = NDArray[np.uint8]

_SUBSAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
# What is tried where files do not say it.
_QUALITIES = (95, 90, 85, 80, 75, 60, 50, 30)
_FACTORS = (0.5, 0.625, 0.75, 0.875, 1.125, 1.25, 1.5)
# Traces that a recipe is chosen by.
_BY = ("vanished", "colour", "band_1", "band_2", "band_3", "band_4")


@dataclass(frozen=True)
class Recipe:
    """One way to encode an image, and to read it again.

    Attributes
    ----------
    format
        "JPEG", "WEBP", "GIF" (a palette of its own 256 colours), or "" for none.
    quality
        Of JPEG and WebP.
    subsampling
        Of JPEG.
    factor
        The size that it is brought to and back from, as a share of its own.
    grey
        Whether its colour is taken off first.
    bits
        8 where it is but read at 8 bits, as every image is; 0 otherwise.

    Examples
    --------
    >>> recipe = Recipe("JPEG", 75)
    >>> recipe.name, recipe(np.zeros((16, 16, 3), np.uint8)).shape
    ('JPEG 75 4:2:0', (16, 16, 3))
    """

    format: str = ""
    quality: int = 0
    subsampling: str = "4:2:0"
    factor: float = 1.0
    grey: bool = False
    bits: int = 0

    @property
    def name(self) -> str:
        """In words."""
        parts = [f"{self.bits} bits"] if self.bits else []
        if self.grey:
            parts.append("grey")
        if self.factor != 1:
            parts.append(f"resized {self.factor:g} and back")
        if self.format:
            label = {"WEBP": "WebP"}.get(self.format, self.format)
            how = [str(self.quality)] if self.quality else []
            how += [self.subsampling] if self.format == "JPEG" else []
            parts.append(" ".join([label, *how]))
        return ", ".join(parts) or "as it is"

    def __call__(self, image: _Pixels) -> _Pixels:
        """The image (h, w, 3) uint8 as it is read again."""
        picture = Image.fromarray(np.ascontiguousarray(image))
        if self.grey:
            picture = picture.convert("L").convert("RGB")
        if self.factor != 1:
            size = [max(1, round(side * self.factor)) for side in picture.size]
            picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC).resize(
                picture.size, Image.Resampling.BICUBIC
            )
        if self.format:
            file = io.BytesIO()
            more = {"subsampling": _SUBSAMPLINGS[self.subsampling]} if self.format == "JPEG" else {}
            picture.save(file, self.format, quality=self.quality, **more)
            picture = Image.open(file).convert("RGB")
        return np.array(picture)


def find_recipe(source: PatchSource, of: Encoding, to: Encoding, kinds: Sequence[str]) -> Recipe:
    """How images of one set must be encoded to be encoded as those of another.

    By what the files say where they say it; else the recipe whose traces on some of the images are
    nearest. What was lost is not brought back: that is "as it is".

    Parameters
    ----------
    source, of
        The images to be encoded, some of which are, and how they are encoded.
    to
        How they are to be.
    kinds
        By what the two differ (:class:`~rl2qc.images.encoding.Difference`).
    """
    usual = to.usual if "stored" in kinds else None
    if "palette" in kinds or (usual is not None and usual.lossy == "GIF"):
        return Recipe("GIF")
    if usual is not None and usual.lossy == "JPEG" and usual.quality:
        return Recipe("JPEG", usual.quality, usual.subsampling or "4:2:0")
    tried = [Recipe()]
    if usual is not None and usual.lossy:
        tried = [Recipe("WEBP", q) for q in _QUALITIES]
    elif {"blocks", "colour"} & {*kinds}:
        tried += [Recipe("JPEG", q, s) for q in _QUALITIES for s in ("4:2:0", "4:4:4")]
        tried += [Recipe("WEBP", q) for q in _QUALITIES]
    if {"blocks", "fading"} & {*kinds}:
        tried += [Recipe(factor=factor) for factor in _FACTORS]
    if len(tried) == 1 or of.traces is None or to.traces is None:
        return tried[0]
    images = [source[i] for i in range(len(source))]
    at = [TRACES.index(name) for name in _BY]
    spread = of.traces[:, at].std(axis=0) + 0.05
    # The change of the traces, so that what tissue the two sets show does not count twice.
    plain = np.median([traces(image)[at] for image in images], axis=0)
    wanted = np.median(to.traces[:, at], axis=0) - np.median(of.traces[:, at], axis=0)

    def miss(recipe: Recipe) -> float:
        found = np.median([traces(recipe(image))[at] for image in images], axis=0) - plain
        return float(np.linalg.norm((found - wanted) / spread))

    return min(tried, key=miss)


def reencoded(source: PatchSource, recipe: Callable[[_Pixels], _Pixels]) -> PatchSource:
    """The same images, each encoded by a recipe, or whatever changes one, before it is cropped."""
    return replace(source, items=_Reencoded(source.items, recipe))


class _Reencoded(Images):
    """Images that are encoded as they are read."""

    def __init__(self, images: Images, recipe: Callable[[_Pixels], _Pixels]) -> None:
        self._images, self._recipe = images, recipe

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> _Pixels:
        return self._recipe(self._images[index])

    def header(self, index: int) -> tuple[int, int] | None:
        return self._images.header(index)

    def about(self, index: int) -> About | None:
        return None

    def digest(self, index: int) -> bytes | None:
        stored = self._images.digest(index)
        if stored is None:
            return None
        return hashlib.sha256(stored + repr(self._recipe).encode()).digest()

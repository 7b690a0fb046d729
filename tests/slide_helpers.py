"""Small slides with known pixels, a handle that misbehaves, and a model with known answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import tifffile
from numpy.typing import NDArray
from PIL import Image


def write_slide(
    path: Path,
    pixels: NDArray[np.uint8],
    *,
    mpp: float | None = 0.5,
    levels: int = 1,
    unit: str = "CENTIMETER",
) -> Path:
    """A tiled pyramidal TIFF whose levels are block means by powers of two."""
    per_unit = {"CENTIMETER": 1e4, "INCH": 25400.0}[unit]
    with tifffile.TiffWriter(path) as tiff:
        for level in range(levels):
            resolution = {}
            if mpp is not None:
                value = per_unit / (mpp * 2**level)
                resolution = {"resolution": (value, value), "resolutionunit": unit}
            tiff.write(
                shrink(pixels, 2**level),
                tile=(64, 64),
                compression="deflate",
                photometric="rgb",
                subfiletype=1 if level else 0,
                metadata=None,
                **resolution,
            )
    return path


def shrink(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Block means."""
    height, width = (s // factor for s in pixels.shape[:2])
    blocks = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def damage(path: Path, block: int) -> None:
    """Overwrite the compressed data of one 64 px block of level 0."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        offset, count = page.dataoffsets[block], page.databytecounts[block]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = b"\xff" * count
    path.write_bytes(content)


def tissue_like(
    rng: np.random.Generator, height: int, width: int, tissue: tuple[slice, slice] | None = None
) -> NDArray[np.uint8]:
    """Glass of 240, with purple noise where the tissue is (everywhere by default)."""
    pixels = np.full((height, width, 3), 240, np.uint8)
    rows, columns = tissue or (slice(None), slice(None))
    shape = pixels[rows, columns].shape[:2]
    noise = rng.integers(-30, 30, (*shape, 3))
    pixels[rows, columns] = np.array([170, 90, 150]) + noise
    return pixels


class FakeHandle:
    """OpenSlide's handle over an RGBA array, with its habit of failing for good."""

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        properties: dict[str, str],
        bad: Callable[[int, int], bool] = lambda x, y: False,
    ) -> None:
        self._pixels, self._properties, self._bad = pixels, properties, bad
        self._broken = False

    def _check(self) -> None:
        if self._broken:
            raise openslide.OpenSlideError("latched\nerror")

    def set_cache(self, cache: openslide.OpenSlideCache) -> None:
        """There is nothing to decode."""

    @property
    def properties(self) -> dict[str, str]:
        self._check()
        return self._properties

    @property
    def dimensions(self) -> tuple[int, int]:
        self._check()
        return self._pixels.shape[1], self._pixels.shape[0]

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        return (self.dimensions,)

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        self._check()
        return (1.0,)

    def read_region(
        self, location: tuple[int, int], level: int, size: tuple[int, int]
    ) -> Image.Image:
        self._check()
        (x, y), (width, height) = location, size
        if level != 0:
            raise ValueError(level)
        if self._bad(x, y):
            self._broken = True
            raise openslide.OpenSlideError("damaged\nblock")
        region = np.zeros((height, width, 4), np.uint8)
        part = self._pixels[y : y + height, x : x + width]
        region[: part.shape[0], : part.shape[1]] = part
        return Image.fromarray(region)


class BrightnessModel:
    """Log-likelihood is the mean of the red channel, p-value its share of 255."""

    name, sha256 = "brightness", "b" * 64

    def __init__(self, patch_size: int = 64, mpp: float | None = 0.5) -> None:
        self.patch_size, self.mpp = patch_size, mpp
        self.batches: list[int] = []

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        assert images.dtype == np.uint8
        assert images.shape[1:] == (self.patch_size, self.patch_size, 3)
        self.batches.append(len(images))
        red = images[..., 0].mean(axis=(1, 2), dtype=np.float64)
        return {"log_likelihood": red, "p_value": red / 255}


class MappedModel(BrightnessModel):
    """The same with a map, in which nothing is damaged, and a reference of its own."""

    adapts = False

    @property
    def prior(self) -> Any:
        from toy_general import toy_prior

        return toy_prior()

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        evidence = np.zeros((len(images), len(self.prior.names)), np.float32)
        side = self.patch_size // 8
        cells = np.full((len(images), side, side, 2), (0, -9), np.int8)
        return {**super().measure(images), "evidence": evidence, "cells": cells}


class RankModel(BrightnessModel):
    """Ranks that are uniform for purple tiles and the lowest for all others."""

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        pixels = images.reshape(len(images), -1, 3).astype(np.float64)
        purple = np.abs(pixels.mean(axis=1) - [170, 90, 150]).max(axis=1) < 5
        ranks = (pixels.mean(axis=(1, 2)) * 1000) % 1
        p_values = np.where(purple, 0.001 + 0.999 * ranks, 0.001)
        return {"log_likelihood": np.log(p_values), "p_value": p_values}

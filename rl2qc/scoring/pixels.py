"""The metrics of pixels on a bounded number of images, each read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.images.sources.base import PatchSource

# The steps behind `swd`, which reads images and so could not share their patches.
from rl2qc.metrics.sliced import _coupling, _descriptors

__all__ = [
    "PATCHES",
    "PROJECTIONS",
    "RESAMPLE_PATCHES",
    "RESAMPLE_PROJECTIONS",
    "SwdRows",
    "read_sample",
]

_Rows: TypeAlias = NDArray[np.intp]
_Images: TypeAlias = NDArray[np.uint8]
_Floats: TypeAlias = NDArray[np.floating[Any]]

# Of the value; the resamples, of which only the spread is used, make do with fewer.
PATCHES, PROJECTIONS = 32, 128
RESAMPLE_PATCHES, RESAMPLE_PROJECTIONS = 8, 32
_MOST_IMAGES, _MOST_BYTES = 1000, 96 << 20
_MIN_LEVEL, _PATCH = 16, 7


def read_sample(source: PatchSource, seed: int) -> tuple[_Images, _Rows]:
    """At most 1,000 images and 96 MB, drawn at random, and their numbers in the source."""
    most = min(_MOST_IMAGES, max(2, _MOST_BYTES // (3 * source.size**2)))
    rows = np.arange(len(source))
    if len(source) > most:
        rows = np.sort(np.random.default_rng(seed).choice(len(source), most, replace=False))
    return np.stack([source[int(i)] for i in rows]), rows


class SwdRows:
    """Sliced Wasserstein distance of image numbers of a stack of sets, from stored projections.

    Equal to `rl2qc.metrics.sliced.swd` but for fewer patches and projections. Each channel is
    projected by itself, so that a resample can still standardise its channels.
    """

    def __init__(self, *sets: _Images, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        # Every set draws its patches at the same places; all draws are those of `swd`.
        place_seed = int(rng.integers(2**63))
        levels = [
            _descriptors(
                images, _MIN_LEVEL, _PATCH, RESAMPLE_PATCHES, np.random.default_rng(place_seed)
            )
            for images in sets
        ]
        self._levels = [_Level.of(np.concatenate(part), rng) for part in zip(*levels, strict=True)]

    def __call__(self, real: _Rows, generated: _Rows) -> float:
        in_real, in_generated, mass = _coupling(
            len(real) * RESAMPLE_PATCHES, len(generated) * RESAMPLE_PATCHES
        )
        distances = []
        for level in self._levels:
            a, b = (np.sort(level.standardised(rows), axis=0) for rows in (real, generated))
            distances.append((mass @ np.abs(a[in_real] - b[in_generated])).mean())
        return float(np.mean(distances))


@dataclass(frozen=True, eq=False)
class _Level:
    """One pyramid level of a stack of images.

    Attributes
    ----------
    projected : (images, patches, 3, directions) float32
        Each channel of each patch along each direction.
    sums : (3, directions)
        Of the directions over the pixels of a channel: the projection of a constant.
    mean, square : (images, 3)
        Of each channel's values and of their squares.
    """

    projected: _Floats
    sums: _Floats
    mean: _Floats
    square: _Floats

    @classmethod
    def of(cls, patches: _Floats, rng: np.random.Generator) -> _Level:
        directions = rng.normal(size=(RESAMPLE_PROJECTIONS, 3 * _PATCH**2)).T
        directions /= np.linalg.norm(directions, axis=0)
        directions = directions.reshape(3, _PATCH**2, -1).astype(np.float32)
        values = patches.reshape(-1, RESAMPLE_PATCHES, 3, _PATCH**2)
        return cls(
            np.einsum("npcx,cxd->npcd", values, directions, optimize=True),
            directions.sum(axis=1),
            values.mean(axis=(1, 3), dtype=np.float64),
            np.square(values, dtype=np.float64).mean(axis=(1, 3)),
        )

    def standardised(self, rows: _Rows) -> _Floats:
        """Projections (rows * patches, directions) of patches standardised channel by channel."""
        mean = self.mean[rows].mean(axis=0)
        std = np.sqrt(np.maximum(self.square[rows].mean(axis=0) - mean**2, 0))
        scale = np.divide(1, std, out=np.ones_like(std), where=std > 0).astype(np.float32)
        x = np.einsum("npcd,c->npd", self.projected[rows], scale)
        x -= (mean * scale).astype(np.float32) @ self.sums
        return np.asarray(x.reshape(-1, x.shape[-1]))

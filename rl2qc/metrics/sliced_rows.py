"""The sliced Wasserstein distance of resamples: by projections of all images, made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.matrices import Matrices, Rows
from rl2qc.metrics.sliced import coupling, descriptors

__all__ = ["RESAMPLE_PATCHES", "RESAMPLE_PROJECTIONS", "swd_of_rows"]

_Floats: TypeAlias = NDArray[np.floating[Any]]

# Only the spread of resamples is used.
RESAMPLE_PATCHES, RESAMPLE_PROJECTIONS = 8, 32
_MIN_SIZE, _PATCH = 16, 7
_LARGEST_INT16 = np.float32(32766)


def swd_of_rows(matrices: Matrices, real: Rows, generated: Rows) -> float:
    """:func:`~rl2qc.metrics.sliced.swd` of rows, but for fewer patches and projections."""
    projected: _Projected = matrices.once(
        "swd", lambda: _Projected(*matrices.pixels, seed=matrices.seed)
    )
    return projected(real, generated)


class _Projected:
    """Projections of the patches of all images of several sets.

    Each channel is projected by itself, so that a resample can still standardise its channels.
    """

    def __init__(self, *sets: NDArray[np.uint8], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        # Every set draws its patches at the same places; all draws are those of swd.
        place_seed = int(rng.integers(2**63))
        levels = [
            descriptors(
                images, _MIN_SIZE, _PATCH, RESAMPLE_PATCHES, np.random.default_rng(place_seed)
            )
            for images in sets
        ]
        self._levels = [_Level.of(np.concatenate(part), rng) for part in zip(*levels, strict=True)]
        self._last: list[tuple[bytes, list[tuple[_Floats, _Floats]]]] = [(b"", []), (b"", [])]

    def __call__(self, real: Rows, generated: Rows) -> float:
        in_real, in_generated, mass = coupling(
            len(real) * RESAMPLE_PATCHES, len(generated) * RESAMPLE_PATCHES
        )
        distances = []
        for (a, shift_a), (b, shift_b) in zip(
            self._sorted(0, real), self._sorted(1, generated), strict=True
        ):
            apart = a.take(in_real, axis=1, mode="clip")
            apart -= b.take(in_generated, axis=1, mode="clip")
            apart += (shift_a - shift_b)[:, None]
            distances.append((np.abs(apart, out=apart) @ mass).mean())
        return float(np.mean(distances))

    def _sorted(self, side: int, rows: Rows) -> list[tuple[_Floats, _Floats]]:
        """Of each level; those of the last call, as the same real images are compared twice."""
        key = rows.tobytes()
        if self._last[side][0] != key:
            # The shift leaves their order.
            levels = [(_in_order(x), shift) for x, shift in (s.scaled(rows) for s in self._levels)]
            self._last[side] = key, levels
        return self._last[side][1]


def _in_order(values: _Floats) -> _Floats:
    """Rows of values, sorted; each is moved by at most 1 / 65,000 of the largest.

    NumPy sorts integers of 16 bits by their digits, several times as fast as it compares floats;
    and of thousands of values that are moved either way, hardly anything remains.
    """
    largest = max(float(values.max()), -float(values.min()))
    if not largest:
        return values
    values *= _LARGEST_INT16 / largest
    numbers = np.rint(values, out=values).astype(np.int16)
    numbers.sort(axis=1, kind="stable")
    return np.multiply(numbers, np.float32(largest / _LARGEST_INT16), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _Level:
    """One pyramid level of a stack of images.

    Attributes
    ----------
    projected : (3, directions, images, patches) float32
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
        along = [
            d.T @ patches[:, channel].reshape(len(patches), -1).T
            for channel, d in enumerate(directions)
        ]
        return cls(
            np.stack(along).reshape(3, -1, len(values), RESAMPLE_PATCHES),
            directions.sum(axis=1),
            # float32 within a patch of few pixels, as in _standardised.
            values.mean(axis=3).mean(axis=1, dtype=np.float64),
            np.einsum("npcx,npcx->npc", values, values).mean(axis=1, dtype=np.float64) / _PATCH**2,
        )

    def scaled(self, rows: Rows) -> tuple[_Floats, _Floats]:
        """Projections (directions, rows * patches) of patches standardised channel by channel.

        Not moved yet: by how much (directions,) comes beside them.
        """
        mean = self.mean[rows].mean(axis=0)
        std = np.sqrt(np.maximum(self.square[rows].mean(axis=0) - mean**2, 0))
        scale = np.divide(1, std, out=np.ones_like(std), where=std > 0).astype(np.float32)
        x, *more = (
            np.multiply(channel := of_all.take(rows, axis=1, mode="clip"), s, out=channel)
            for of_all, s in zip(self.projected, scale, strict=True)
        )
        for channel in more:
            x += channel
        shift = -((mean * scale).astype(np.float32) @ self.sums)
        return x.reshape(len(x), -1), shift

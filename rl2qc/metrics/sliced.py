"""Sliced Wasserstein distance between the Laplacian-pyramid patches of two image sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics._images import as_images
from rl2qc.stats._checks import as_count

__all__ = ["Normalization", "SwdResult", "coupling", "descriptors", "swd"]

Normalization: TypeAlias = Literal["each", "real"]
_Floats: TypeAlias = NDArray[np.floating[Any]]

# The binomial filter of Burt and Adelson's pyramid.
_BINOMIAL = np.array([1, 4, 6, 4, 1], dtype=np.float32) / 16
# Projections that are held at once.
_BLOCK = 32


@dataclass(frozen=True)
class SwdResult:
    """Sliced Wasserstein distance (lower is better) at each level of the pyramid.

    Parameters
    ----------
    value : float
        Mean over the levels. The literature prints it times 1,000.
    per_level : tuple of float
        Finest level first.
    level_sizes : tuple of int
        Shorter side of the image at each level, in pixels.
    n_real, n_generated : int
    n_projections, patches_per_image : int
    normalization : {"each", "real"}
    """

    value: float
    per_level: tuple[float, ...]
    level_sizes: tuple[int, ...]
    n_real: int
    n_generated: int
    n_projections: int
    patches_per_image: int
    normalization: Normalization

    def __float__(self) -> float:
        return self.value


def swd(
    real_images: ArrayLike,
    generated_images: ArrayLike,
    *,
    n_projections: int = 512,
    patches_per_image: int = 128,
    patch_size: int = 7,
    min_size: int = 16,
    normalization: Normalization = "each",
    seed: int | np.random.Generator = 0,
) -> SwdResult:
    """Compare image sets by their local texture at every scale, straight from pixels.

    Random patches of every level of a Laplacian pyramid are standardised channel by channel and
    projected onto random directions; the score is the mean 1-D Wasserstein distance of the
    projections. Sets of different size are compared exactly, with no image left out. Patches of
    image i lie at the same places in both sets, so that identical sets score 0.

    Parameters
    ----------
    real_images, generated_images : array_like of uint8, shape (n, h, w, 3)
        All of one height and width; n may differ.
    n_projections : int
        Random directions; the published 4 x 128 by default.
    patches_per_image : int
        Patches a level. The descriptors of one image take ``588 * patches_per_image`` bytes a
        level at the default patch size.
    patch_size : int
        Side of a patch, in pixels of its level.
    min_size : int
        No level has a shorter side than this, in pixels.
    normalization : {"each", "real"}
        Whose mean and standard deviation standardise the patches. ``"each"``, as published,
        gives either set its own: a shift of colour, brightness or contrast that all images share
        is then not seen. ``"real"`` takes those of the real set for both, and sees it.
    seed : int or numpy Generator

    Raises
    ------
    ValueError
        For images that are not uint8 RGB, of unequal or too small size, or options out of range.

    References
    ----------
    Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
    ICLR 2018, section 5; Rabin et al., "Wasserstein barycenter and its application to texture
    mixing", 2011.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    >>> swd(images, images, n_projections=8).value
    0.0
    """
    as_count(n_projections, "n_projections")
    as_count(patches_per_image, "patches_per_image")
    as_count(patch_size, "patch_size")
    if as_count(min_size, "min_size") < patch_size:
        raise ValueError(
            f"min_size must be at least the patch_size of {patch_size}, got {min_size}"
        )
    if normalization not in get_args(Normalization):
        raise ValueError(f'normalization must be "each" or "real", got {normalization!r}')
    real = as_images(real_images, "real_images", min_side=min_size)
    generated = as_images(generated_images, "generated_images", min_side=min_size)
    if real.shape[1:] != generated.shape[1:]:
        raise ValueError(
            "real and generated images must have one size, got"
            f" {real.shape[1]} x {real.shape[2]} and {generated.shape[1]} x {generated.shape[2]}"
        )
    rng = np.random.default_rng(seed)
    place_seed = int(rng.integers(2**63))
    sizes = tuple(min(level.shape[:2]) for level in _pyramid(real[0], min_size))

    def cut(images: NDArray[np.uint8]) -> list[_Floats]:
        return descriptors(
            images, min_size, patch_size, patches_per_image, np.random.default_rng(place_seed)
        )

    levels = [
        _sliced(*_standardised(a, b, normalization), n_projections, rng)
        for a, b in zip(cut(real), cut(generated), strict=True)
    ]
    return SwdResult(
        float(np.mean(levels)),
        tuple(levels),
        sizes,
        len(real),
        len(generated),
        n_projections,
        patches_per_image,
        normalization,
    )


def _blur(image: _Floats) -> _Floats:
    border = cv2.BORDER_REFLECT_101
    blurred = cv2.sepFilter2D(image, -1, _BINOMIAL, _BINOMIAL, borderType=border)
    return np.asarray(blurred, dtype=np.float32)


def _expanded(half: _Floats, shape: tuple[int, ...]) -> _Floats:
    if shape[0] % 2 == shape[1] % 2 == 0:
        return np.asarray(cv2.pyrUp(half), dtype=np.float32)
    # At the end of an odd side OpenCV mirrors otherwise.
    expanded = np.zeros(shape, np.float32)
    expanded[::2, ::2] = 4 * half
    return _blur(expanded)


def _pyramid(image: NDArray[np.uint8], min_size: int) -> list[_Floats]:
    """Laplacian levels of one (h, w, 3) image, finest first, the low-pass rest last."""
    levels, rest = [], image.astype(np.float32)
    while (min(rest.shape[:2]) + 1) // 2 >= max(min_size, 2):
        half = np.asarray(cv2.pyrDown(rest), dtype=np.float32)
        levels.append(rest - _expanded(half, rest.shape))
        rest = half
    return [*levels, rest]


def descriptors(
    images: NDArray[np.uint8], min_size: int, side: int, count: int, rng: np.random.Generator
) -> list[_Floats]:
    """Random patches of all images, one (n * count, 3, side, side) array a level."""
    shapes = [level.shape for level in _pyramid(images[0], min_size)]
    patches = [np.empty((len(images), count, 3, side, side), np.float32) for _ in shapes]
    # From a patch's first number to each of its numbers.
    inside = [
        (row * shape[1] + column) * 3 + channel
        for shape in shapes
        for channel, row, column in [np.ogrid[:3, :side, :side]]
    ]
    for number, image in enumerate(images):
        for level, to, steps in zip(_pyramid(image, min_size), patches, inside, strict=True):
            height, width = level.shape[:2]
            rows, columns = (rng.integers(n - side + 1, size=count) for n in (height, width))
            first = (rows * width + columns) * 3
            at = first[:, None, None, None] + steps
            np.take(level.reshape(-1), at, out=to[number], mode="clip")
    return [level.reshape(-1, 3, side, side) for level in patches]


def _standardised(
    real: _Floats, generated: _Floats, normalization: Normalization
) -> tuple[_Floats, _Floats]:
    """Patches with zero mean and unit deviation by channel, flattened to (n, features)."""

    def moments(patches: _Floats) -> tuple[_Floats, _Floats]:
        by_channel = patches.reshape(*patches.shape[:2], -1)
        # float32 within a patch of few pixels, float64 over all patches.
        mean = by_channel.mean(axis=2).mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = by_channel - mean[:, None]
        square = np.einsum("ncx,ncx->nc", centred, centred) / centred.shape[2]
        std = np.sqrt(square.mean(axis=0, dtype=np.float64))
        # A channel without any variation has nothing to be scaled.
        return mean, np.divide(1, std, out=np.ones_like(std), where=std > 0).astype(np.float32)

    def apply(patches: _Floats, mean: _Floats, scale: _Floats) -> _Floats:
        scaled = patches.reshape(*patches.shape[:2], -1) - mean[:, None]
        scaled *= scale[:, None]
        return scaled.reshape(len(patches), -1).astype(np.float32, copy=False)

    of_real = moments(real)
    of_generated = moments(generated) if normalization == "each" else of_real
    return apply(real, *of_real), apply(generated, *of_generated)


def _sliced(a: _Floats, b: _Floats, n_projections: int, rng: np.random.Generator) -> float:
    """Mean Wasserstein-1 distance of the rows of ``a`` and ``b`` along random directions."""
    directions = rng.normal(size=(n_projections, a.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    in_a, in_b, mass = coupling(len(a), len(b))
    total = 0.0
    for start in range(0, n_projections, _BLOCK):
        block = directions[start : start + _BLOCK].astype(np.float32)
        sorted_a, sorted_b = np.sort(block @ a.T, axis=1), np.sort(block @ b.T, axis=1)
        total += float(np.sum(np.abs(sorted_a[:, in_a] - sorted_b[:, in_b]) @ mass))
    return total / n_projections


@lru_cache(maxsize=8)  # resamples are of few sizes
def coupling(n: int, m: int) -> tuple[NDArray[np.intp], NDArray[np.intp], _Floats]:
    """How sorted samples of n and of m values are matched: by which ranks, with what mass."""
    # Both quantile functions are constant between the cuts, whose common unit is 1 / (n m).
    cuts = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    mass = np.diff(cuts, prepend=0) / (n * m)
    return (cuts - 1) // m, (cuts - 1) // n, mass.astype(np.float32)

"""Multi-scale structural similarity, and the mean over pairs of a set as a measure of diversity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics._images import as_images
from rl2qc.stats._checks import as_count

__all__ = ["MsSsimResult", "ms_ssim", "msssim_diversity"]

_Floats: TypeAlias = NDArray[np.floating[Any]]

# Wang et al. 2003: exponents from the finest scale to the coarsest.
_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


@dataclass(frozen=True)
class MsSsimResult:
    """Mean similarity of pairs of images of a set: the lower, the more diverse it looks.

    It compares pixels at the same place, so it may miss a set that repeats itself shifted or
    turned, and call structured images similar that are not.

    Parameters
    ----------
    value, std : float
        Mean and standard deviation (ddof 0) over the pairs.
    n, n_pairs : int
        Images and the pairs of them that were compared.
    n_scales : int
        5 as published, fewer for small images.
    warnings : tuple of str
    """

    value: float
    std: float
    n: int
    n_pairs: int
    n_scales: int
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value


def ms_ssim(image_a: ArrayLike, image_b: ArrayLike, *, n_scales: int | None = None) -> float:
    r"""Multi-scale structural similarity of two RGB images.

    .. math:: \Big(\prod_{j<M} \overline{cs}_j^{\,w_j}\Big)\;\overline{l_M\, cs_M}^{\,w_M}

    with a Gaussian window of 11 px and sigma 1.5, valid positions only, halving by 2 x 2 means.
    Each channel is scored by itself and the scores are averaged. Negative means count as 0.

    Parameters
    ----------
    image_a, image_b : array_like of uint8, shape (h, w, 3)
        At least 11 px a side.
    n_scales : int, optional
        1 to 5; by default the most whose coarsest scale still holds the window (5 from 161 px, 4
        from 81 px). With fewer than 5 the first weights are scaled to sum to 1.

    Returns
    -------
    float
        Between 0 and 1; 1 for identical images.

    Raises
    ------
    ValueError
        For images that are not uint8 RGB of one size, or too small for the scales.

    References
    ----------
    Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment",
    Asilomar 2003, Eq. 7.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    >>> ms_ssim(image, image)
    1.0
    """
    a = as_images(np.asarray(image_a)[None], "image_a", min_side=_WINDOW)
    b = as_images(np.asarray(image_b)[None], "image_b", min_side=_WINDOW)
    if a.shape != b.shape:
        raise ValueError(f"images must have one size, got {a.shape[1:]} and {b.shape[1:]}")
    return _similarity(a[0], b[0], _scales(a.shape[1:3], n_scales))


def msssim_diversity(
    images: ArrayLike,
    *,
    n_pairs: int = 1000,
    n_scales: int | None = None,
    seed: int | np.random.Generator = 0,
) -> MsSsimResult:
    """Mean :func:`ms_ssim` over random pairs of different images of one set.

    Parameters
    ----------
    images : array_like of uint8, shape (n, h, w, 3)
        At least 2 images of 11 px a side.
    n_pairs : int
        Distinct pairs to compare; all of them where there are no more.
    n_scales : int, optional
        As in :func:`ms_ssim`.
    seed : int or numpy Generator

    Raises
    ------
    ValueError
        As :func:`ms_ssim`, or for fewer than 2 images.

    References
    ----------
    Odena, Olah and Shlens, "Conditional Image Synthesis with Auxiliary Classifier GANs",
    ICML 2017, section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    >>> result = msssim_diversity([image, image, image])
    >>> result.value, result.n_pairs, result.n_scales
    (1.0, 3, 2)
    """
    array = as_images(images, min_side=_WINDOW, min_count=2)
    as_count(n_pairs, "n_pairs")
    scales = _scales(array.shape[1:3], n_scales)
    pairs = _pairs(len(array), n_pairs, np.random.default_rng(seed))
    scores = [_similarity(array[i], array[j], scales) for i, j in pairs]
    warnings: tuple[str, ...] = ()
    if scales < _WEIGHTS.size:
        warnings = (
            f"{scales} of {_WEIGHTS.size} scales on images of {array.shape[1]} x {array.shape[2]}"
            " px, weights scaled to sum to 1: compare it only at the same number of scales",
        )
    return MsSsimResult(
        float(np.mean(scores)), float(np.std(scores)), len(array), len(pairs), scales, warnings
    )


def _scales(shape: tuple[int, ...], wanted: int | None) -> int:
    """The number of scales to use on images of a (height, width)."""
    fitting, side = 0, min(shape)
    while side >= _WINDOW and fitting < _WEIGHTS.size:
        fitting, side = fitting + 1, (side + 1) // 2
    if wanted is None:
        return fitting
    if not 1 <= as_count(wanted, "n_scales", at_least=0) <= fitting:
        raise ValueError(
            f"n_scales must be between 1 and {fitting} for images of {shape[0]} x {shape[1]} px,"
            f" got {wanted}"
        )
    return wanted


def _pairs(n: int, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Distinct pairs i < j of n images, ``count`` of them where there are as many."""
    total = n * (n - 1) // 2
    codes = np.arange(total) if count >= total else rng.choice(total, count, replace=False)
    # Pair (i, j) has the code j (j - 1) / 2 + i; j - 1/2 = sqrt(2 code + 1/4) rounded down.
    j = np.floor(np.sqrt(2 * codes + 0.25) + 0.5).astype(np.int64)
    return list(zip((codes - j * (j - 1) // 2).tolist(), j.tolist(), strict=True))


def _similarity(a: NDArray[np.uint8], b: NDArray[np.uint8], n_scales: int) -> float:
    weights = _WEIGHTS[:n_scales]
    if n_scales < _WEIGHTS.size:  # the published five sum to 1.0001 and stay as they are
        weights = weights / weights.sum()
    x: _Floats = a.astype(np.float64)
    y: _Floats = b.astype(np.float64)
    score = np.ones(3)
    for scale, weight in enumerate(weights):
        luminance, contrast = _maps(x, y)
        last = scale == n_scales - 1
        mean = (luminance * contrast if last else contrast).mean(axis=(0, 1))
        score *= np.maximum(mean, 0) ** weight
        x, y = _halved(x), _halved(y)
    return float(score.mean())


def _maps(x: _Floats, y: _Floats) -> tuple[_Floats, _Floats]:
    """Luminance and contrast-structure terms at every valid position, (h - 10, w - 10, 3)."""
    mean_x, mean_y = _window(x), _window(y)
    product = mean_x * mean_y
    squares = mean_x**2 + mean_y**2
    variances = _window(x**2 + y**2) - squares
    covariance = _window(x * y) - product
    return (
        (2 * product + _C1) / (squares + _C1),
        (2 * covariance + _C2) / (variances + _C2),
    )


def _window(image: _Floats) -> _Floats:
    """Gaussian-weighted mean around every position where the window fits."""
    kernel = cv2.getGaussianKernel(_WINDOW, _SIGMA, cv2.CV_64F)
    filtered = np.asarray(cv2.sepFilter2D(image, -1, kernel, kernel), dtype=np.float64)
    edge = _WINDOW // 2
    return filtered[edge:-edge, edge:-edge]


def _halved(image: _Floats) -> _Floats:
    """Means of 2 x 2 blocks; an odd last row or column is repeated."""
    height, width = image.shape[:2]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    mean: _Floats = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean(axis=(1, 3))
    return mean

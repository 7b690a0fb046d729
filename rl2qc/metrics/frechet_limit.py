"""The limit of FID at infinitely many images, along its 1/N law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rl2qc.metrics.frechet import fid
from rl2qc.stats._checks import as_count, as_feature_pair

__all__ = ["FidInfinityResult", "fid_infinity"]

# Largest over smallest size of a line from which the limit in 1/N can be read.
_LINE = 1.5


@dataclass(frozen=True)
class FidInfinityResult:
    """The line through FID against 1/N, and where it meets 1/N = 0.

    Parameters
    ----------
    value : float
        Intercept: the extrapolated FID of infinitely many images. It may fall below 0.
    slope : float
        FID that one unit of 1/N adds.
    r_squared : float
        Share of the variance that the line explains; 1 for constant values.
    sizes : tuple of int
        N: images drawn from the smaller varied set, rising.
    values : tuple of float
        Mean FID at each size.
    warnings : tuple of str
    """

    value: float
    slope: float
    r_squared: float
    sizes: tuple[int, ...]
    values: tuple[float, ...]
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value


def fid_infinity(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    n_points: int = 10,
    smallest: int | None = None,
    n_repeats: int = 3,
    vary_real: bool = True,
    seed: int | np.random.Generator = 0,
) -> FidInfinityResult:
    """Extrapolate FID to infinitely many images along its 1/N law.

    FID overestimates by a term of order 1/N in the size of either set. It is measured on random
    subsets whose sizes are evenly spaced in 1/N, and a straight line is fitted. The law needs
    more images than dimensions in every subset; where there are fewer, a warning says that the
    value is no estimate.

    Parameters
    ----------
    real, generated : array_like, shape (n, d)
    n_points : int
        Sizes on the line, at least 2.
    smallest : int, optional
        Images in the smallest subset (of the smaller varied set). By default a quarter of it, or
        d + 1 where that is more and leaves a line to fit (for 1.5 (d + 1) images and more).
    n_repeats : int
        Subsets averaged at each size; the full sets are measured once.
    vary_real : bool
        Shrink both sets in proportion, which removes the bias of both. ``False`` keeps the real
        set whole, as the reference does, and leaves its bias in.
    seed : int or numpy Generator

    Raises
    ------
    ValueError
        As :func:`~rl2qc.metrics.frechet.fid`, or for sizes that leave no line to fit.

    References
    ----------
    Chong and Forsyth, "Effectively Unbiased FID and Inception Score", CVPR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(2, 1000, 8))
    >>> abs(fid_infinity(x, y).value) < fid(x, y).value
    True
    """
    x, y = as_feature_pair(real, generated, min_rows=2)
    n = min(len(x), len(y)) if vary_real else len(y)
    if smallest is None:
        linear_from = x.shape[1] + 1
        smallest = max(2, n // 4, linear_from if n >= _LINE * linear_from else 0)
    as_count(n_points, "n_points", at_least=2)
    as_count(n_repeats, "n_repeats")
    if not 2 <= as_count(smallest, "smallest", at_least=0) < n:
        raise ValueError(f"smallest must be at least 2 and below n = {n}, got {smallest}")
    sizes = np.unique(np.rint(1 / np.linspace(1 / smallest, 1 / n, n_points)).astype(int))
    rng = np.random.default_rng(seed)

    def at(size: int) -> float:
        n_real = round(len(x) * size / n) if vary_real else len(x)
        n_generated = round(len(y) * size / n)
        rows = rng.permutation(len(x))[:n_real], rng.permutation(len(y))[:n_generated]
        return fid(x[rows[0]], y[rows[1]]).value

    values = [float(np.mean([at(s) for _ in range(1 if s == n else n_repeats)])) for s in sizes]
    slope, intercept = np.polyfit(1 / sizes, values, 1)
    residual = values - (intercept + slope / sizes)
    variance = np.var(values)
    warnings: tuple[str, ...] = ()
    if sizes[0] <= x.shape[1]:
        warnings = (
            f"FID is not linear in 1/N down to {sizes[0]} images in {x.shape[1]} dimensions:"
            " the extrapolated value is no estimate",
        )
    return FidInfinityResult(
        float(intercept),
        float(slope),
        float(1 - np.var(residual) / variance) if variance > 0 else 1.0,
        tuple(sizes.tolist()),
        tuple(values),
        warnings,
    )

"""Kernel distance (KID): the unbiased squared maximum mean discrepancy of feature sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.stats._checks import FloatArray, as_count, as_feature_pair

__all__ = ["KidResult", "kid"]

# Rows of either set in one block of the kernel matrix: 32 MB of it at a time.
_BLOCK = 2048


@dataclass(frozen=True)
class KidResult:
    """Kernel distance (lower is better; unbiased, so sets of one source scatter around 0).

    Parameters
    ----------
    value : float
        Mean over the subsets: the published KID.
    std : float
        Standard deviation over the subsets (ddof 0). Subsets overlap: it is no standard error.
    unbiased : float or None
        The estimate from all pairs of images, free of the noise of the subsets.
    n_subsets, subset_size : int
    degree : int
    gamma, coef0 : float
        The kernel that was used.
    n_real, n_generated : int
    warnings : tuple of str
    """

    value: float
    std: float
    unbiased: float | None
    n_subsets: int
    subset_size: int
    degree: int
    gamma: float
    coef0: float
    n_real: int
    n_generated: int
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class _Polynomial:
    degree: int
    gamma: float
    coef0: float

    def __call__(self, product: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kernel of inner products."""
        kernel: NDArray[np.float64] = (self.gamma * product + self.coef0) ** self.degree
        return kernel

    def total(self, x: FloatArray, y: FloatArray) -> float:
        """Sum of the kernel over all pairs of rows."""
        return sum(
            float(self(rows.astype(np.float64) @ columns.T.astype(np.float64)).sum())
            for rows in _blocks(x)
            for columns in _blocks(y)
        )

    def trace(self, x: FloatArray) -> float:
        """Sum of the kernel of every row with itself."""
        return float(self(np.einsum("ij,ij->i", x, x, dtype=np.float64)).sum())

    def mmd2(self, x: FloatArray, y: FloatArray) -> float:
        """Unbiased squared discrepancy."""
        m, n = len(x), len(y)
        within_x = (self.total(x, x) - self.trace(x)) / (m * (m - 1))
        within_y = (self.total(y, y) - self.trace(y)) / (n * (n - 1))
        return within_x + within_y - 2 * self.total(x, y) / (m * n)


def kid(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    n_subsets: int = 100,
    subset_size: int | None = None,
    degree: int = 3,
    gamma: float | None = None,
    coef0: float = 1.0,
    full_sample: bool = True,
    seed: int | np.random.Generator = 0,
) -> KidResult:
    r"""Unbiased :math:`\mathrm{MMD}^2` under a polynomial kernel, over subsets and in full.

    .. math:: k(x, y) = (\gamma\, x^T y + c_0)^{degree}

    Parameters
    ----------
    real, generated : array_like, shape (n, d)
        Features of at least 2 images each; the numbers of images may differ.
    n_subsets : int
        Random subsets, each drawn without replacement from either set.
    subset_size : int, optional
        Images in a subset. By default the published 1,000, and for smaller sets half of the
        smaller one: subsets as large as the set would all be the same, with no spread to show.
        The mean does not depend on it, the standard deviation does.
    degree, gamma, coef0
        The kernel; ``gamma`` is 1/d by default.
    full_sample : bool
        Also compute ``unbiased`` from all pairs: O(n^2 d) time, bounded memory.
    seed : int or numpy Generator

    Raises
    ------
    ValueError
        For features that are not finite ``(n, d)`` arrays with n >= 2 and one dimension, or a
        subset size that is not between 2 and the smaller set.

    References
    ----------
    Binkowski et al., "Demystifying MMD GANs", ICLR 2018, section 4; Gretton et al.,
    "A Kernel Two-Sample Test", JMLR 2012, Eq. 3.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(300, 4)), rng.normal(1, 1, size=(300, 4))
    >>> kid(x, x[:150]).value < kid(x, y).value
    True
    """
    x, y = as_feature_pair(real, generated, min_rows=2)
    smaller = min(len(x), len(y))
    size = min(1000, max(2, smaller // 2)) if subset_size is None else subset_size
    if not 2 <= as_count(size, "subset_size", at_least=0) <= smaller:
        raise ValueError(
            f"subset_size must be between 2 and the smaller set (n = {smaller}), got {size}"
        )
    as_count(n_subsets, "n_subsets")
    as_count(degree, "degree")
    kernel = _Polynomial(degree, 1 / x.shape[1] if gamma is None else gamma, coef0)
    rng = np.random.default_rng(seed)
    estimates = [
        kernel.mmd2(
            x[rng.choice(len(x), size, replace=False)],
            y[rng.choice(len(y), size, replace=False)],
        )
        for _ in range(n_subsets)
    ]
    warnings: tuple[str, ...] = ()
    if size == smaller:
        warnings = ("a subset is a whole set: the standard deviation understates the spread",)
    return KidResult(
        float(np.mean(estimates)),
        float(np.std(estimates)),
        kernel.mmd2(x, y) if full_sample else None,
        n_subsets,
        size,
        kernel.degree,
        kernel.gamma,
        kernel.coef0,
        len(x),
        len(y),
        warnings,
    )


def _blocks(x: FloatArray) -> Iterator[FloatArray]:
    return (x[start : start + _BLOCK] for start in range(0, len(x), _BLOCK))

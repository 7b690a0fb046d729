"""Kernel distance (KID): the unbiased squared maximum mean discrepancy of feature sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics.matrices import Matrices, Rows
from rl2qc.stats._checks import FloatArray, as_count, as_feature_pair

__all__ = ["KidResult", "kid", "kid_of_rows"]

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


class Kernel(TypedDict, total=False):
    """Keywords of the polynomial kernel."""

    degree: int
    gamma: float | None
    coef0: float


@dataclass(frozen=True)
class _Polynomial:
    degree: int
    gamma: float
    coef0: float

    @classmethod
    def of(
        cls, dimension: int, *, degree: int = 3, gamma: float | None = None, coef0: float = 1.0
    ) -> _Polynomial:
        as_count(degree, "degree")
        return cls(degree, 1 / dimension if gamma is None else gamma, coef0)

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
    full_sample: bool = True,
    seed: int | np.random.Generator = 0,
    **kernel: Unpack[Kernel],
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
    full_sample : bool
        Also compute ``unbiased`` from all pairs: O(n^2 d) time, bounded memory.
    seed : int or numpy Generator
    degree, gamma, coef0
        The kernel: 3, 1/d and 1 by default.

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
    polynomial = _Polynomial.of(x.shape[1], **kernel)
    rng = np.random.default_rng(seed)
    estimates = [
        polynomial.mmd2(
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
        polynomial.mmd2(x, y) if full_sample else None,
        n_subsets,
        size,
        polynomial.degree,
        polynomial.gamma,
        polynomial.coef0,
        len(x),
        len(y),
        warnings,
    )


def kid_of_rows(matrices: Matrices, real: Rows, generated: Rows) -> float:
    """The estimate from all pairs of rows (``KidResult.unbiased``) under the default kernel.

    Raises
    ------
    ValueError
        For a set of one row.
    """
    m, n = len(real), len(generated)
    if min(m, n) < 2:
        raise ValueError(f"KID needs at least 2 images a set, got {min(m, n)}")
    kernel = matrices.kernel
    own = np.diag(kernel)
    within_real = kernel[np.ix_(real, real)].sum() - own[real].sum()
    within = kernel[np.ix_(generated, generated)].sum() - own[generated].sum()
    across = kernel[np.ix_(real, generated)].mean()
    return float(within_real / (m * (m - 1)) + within / (n * (n - 1)) - 2 * across)


def _blocks(x: FloatArray) -> Iterator[FloatArray]:
    return (x[start : start + _BLOCK] for start in range(0, len(x), _BLOCK))

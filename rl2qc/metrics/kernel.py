"""Kernel distance (KID): the unbiased squared maximum mean discrepancy of feature sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike

from rl2qc.metrics._pair_sums import Memory, Moments, Polynomial, mmd2, moments
from rl2qc.metrics.matrices import Matrices, Rows, sums_of_pairs
from rl2qc.stats._checks import FloatArray, as_count, as_feature_pair

__all__ = ["KidResult", "kid", "kid_of_rows"]

# Multiplications from which single precision is worth a thought, and the largest kernel it holds.
_WORTH_FLOAT32, _LARGEST_FLOAT32 = 2e10, 1e30


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
    polynomial = Polynomial.of(x.shape[1], **kernel)
    rng = np.random.default_rng(seed)
    drawn = [
        (rng.choice(len(x), size, replace=False), rng.choice(len(y), size, replace=False))
        for _ in range(n_subsets)
    ]
    unbiased, estimates = _estimates(x, y, drawn, polynomial, full_sample)
    warnings: tuple[str, ...] = ()
    if size == smaller:
        warnings = ("a subset is a whole set: the standard deviation understates the spread",)
    return KidResult(
        float(np.mean(estimates)),
        float(np.std(estimates)),
        unbiased,
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
    sums = sums_of_pairs(kernel, real, generated)
    within_real, within = sums[0] - own[real].sum(), sums[1] - own[generated].sum()
    return float(within_real / (m * (m - 1)) + within / (n * (n - 1)) - 2 * sums[2] / (m * n))


def _estimates(
    x: FloatArray,
    y: FloatArray,
    drawn: Sequence[tuple[Rows, Rows]],
    kernel: Polynomial,
    full_sample: bool,
) -> tuple[float | None, list[float]]:
    """The estimate of all pairs, if it is asked for, and that of each of the subsets."""
    size, every = len(drawn[0][0]), (np.arange(len(x)), np.arange(len(y)))
    of_all = len(x) ** 2 + len(y) ** 2 + 2 * len(x) * len(y)
    of_subsets = 4 * len(drawn) * size**2
    dtype = _precision(x, y, kernel, min(of_all, of_subsets))
    x, y = x.astype(dtype, copy=False), y.astype(dtype, copy=False)
    # One pass over all pairs serves every subset; its products with the subsets' indicators cost
    # less than the kernel as long as these are fewer than the dimensions.
    if full_sample or of_all * (1 + len(drawn) / x.shape[1]) < of_subsets:
        drawn = [every, *drawn]
        found = mmd2(x, y, drawn, kernel, _moments(x, y, drawn), Memory())
        return (found[0] if full_sample else None), found[1:]
    one, found, memory = [(every[0][:size], every[0][:size])], [], Memory()
    taken = np.empty((2, size, x.shape[1]), dtype)
    (sums, squares), (other_sums, other_squares) = _moments(x, y, drawn)
    for number, rows in enumerate(drawn):
        for all_of_it, some, to in zip((x, y), rows, taken, strict=True):
            np.take(all_of_it, some, axis=0, out=to, mode="clip")
        at = slice(number, number + 1)
        of_each = (sums[at], squares[at]), (other_sums[at], other_squares[at])
        found += mmd2(taken[0], taken[1], one, kernel, of_each, memory)
    return None, found


def _moments(
    x: FloatArray, y: FloatArray, drawn: Sequence[tuple[Rows, Rows]]
) -> tuple[Moments, Moments]:
    of_x, of_y = zip(*drawn, strict=True)
    return moments(x, of_x), moments(y, of_y)


def _precision(
    x: FloatArray, y: FloatArray, kernel: Polynomial, pairs: int
) -> type[np.float32] | type[np.float64]:
    """float32 where that saves time: errors of single pairs, 1e-6, cancel over so many."""
    small = pairs * x.shape[1] < _WORTH_FLOAT32
    return np.float64 if small or kernel.largest(x, y) > _LARGEST_FLOAT32 else np.float32

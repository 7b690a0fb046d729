"""Kernel distance (KID): the unbiased squared maximum mean discrepancy of feature sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics.matrices import Matrices, Rows, sums_of_pairs
from rl2qc.stats._checks import FloatArray, as_count, as_feature_pair

__all__ = ["KidResult", "kid", "kid_of_rows"]

# Rows of either set in one block of the kernel matrix, small enough for the caches.
_BLOCK = 1024
# Rows of a block that stay in the nearest caches while the kernel is made of them.
_STRIPE = 128
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

    def __call__(self, product: FloatArray) -> FloatArray:
        """Kernel of inner products, whose memory it takes."""
        product *= self.gamma
        product += self.coef0
        power: FloatArray = np.power(product, self.degree, out=product)
        return power

    def largest(self, x: FloatArray, y: FloatArray) -> float:
        """A bound of the kernel of any two rows."""
        norms = [float(np.einsum("ij,ij->i", a, a, dtype=np.float64).max()) for a in (x, y)]
        return float((abs(self.gamma) * max(norms) + abs(self.coef0)) ** self.degree)


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
    kernel: _Polynomial,
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
        found = _mmd2(x, y, [every, *drawn], kernel)
        return (found[0] if full_sample else None), found[1:]
    one, found = [(every[0][:size], every[0][:size])], []
    # Fresh memory for each subset would cost more than to fill it.
    memory = np.empty((2, size, x.shape[1]), dtype)
    for rows in drawn:
        for all_of_it, some, to in zip((x, y), rows, memory, strict=True):
            np.take(all_of_it, some, axis=0, out=to, mode="clip")
        found += _mmd2(memory[0], memory[1], one, kernel)
    return None, found


def _precision(
    x: FloatArray, y: FloatArray, kernel: _Polynomial, pairs: int
) -> type[np.float32] | type[np.float64]:
    """float32 where that saves time: errors of single pairs, 1e-6, cancel over so many."""
    small = pairs * x.shape[1] < _WORTH_FLOAT32
    return np.float64 if small or kernel.largest(x, y) > _LARGEST_FLOAT32 else np.float32


def _mmd2(
    x: FloatArray, y: FloatArray, drawn: Sequence[tuple[Rows, Rows]], kernel: _Polynomial
) -> list[float]:
    """The unbiased squared discrepancy of each of several subsets of both sets."""
    of_x, of_y = (_indicators([d[side] for d in drawn], len(s)) for side, s in enumerate((x, y)))
    # Unbiased, so a constant changes nothing; without the common part digits are spared.
    common = kernel.gamma * float((x[:64] @ y[:64].T).mean(dtype=np.float64))
    common = float(x.dtype.type(common))
    m, n = (np.array([len(d[side]) for d in drawn]) for side in (0, 1))
    of_real = _totals(x, None, (of_x, of_x), kernel, common) / (m * (m - 1))
    of_generated = _totals(y, None, (of_y, of_y), kernel, common) / (n * (n - 1))
    across = _totals(x, y, (of_x, of_y), kernel, common) / (m * n)
    found: list[float] = (of_real + of_generated - 2 * across).tolist()
    return found


def _indicators(drawn: Sequence[Rows], n: int) -> NDArray[np.float64]:
    """(n, subsets): 1 where an image is in a subset."""
    found = np.zeros((n, len(drawn)))
    for column, rows in enumerate(drawn):
        found[rows, column] = 1
    return found


def _totals(
    x: FloatArray,
    other: FloatArray | None,
    picks: tuple[NDArray[np.float64], NDArray[np.float64]],
    kernel: _Polynomial,
    common: float,
) -> NDArray[np.float64]:
    """Sums of the kernel over the pairs of each subset, less that of ``common`` as a product.

    Without ``other`` of a set with itself, where no image is paired with itself. For degree 3, with
    q the product less the common part and c all that is constant, they are of q^2 (q + 3 c) +
    3 c^2 q. The last sum is the largest and needs no pairs: so the rounding of single precision is
    that of the small rest.
    """
    y, within, (of_x, of_y) = x if other is None else other, other is None, picks
    constant = common + kernel.coef0
    cubic = kernel.degree == 3
    found = np.zeros(of_x.shape[1])
    above = np.triu(np.ones((_STRIPE, _STRIPE), x.dtype), 1)
    everything = of_x.shape[1] == 1 and bool(of_x.all()) and bool(of_y.all())
    for rows, columns, values, factor in _products(x, y, within):
        if cubic:
            values *= kernel.gamma
            values -= values.dtype.type(common)
            np.multiply(values, values, out=factor)
            values += 3 * constant
        else:
            kernel(values)
            values -= values.dtype.type(constant**kernel.degree)
            factor.fill(1)
        if within and columns.start <= rows.start:
            # The other half of a symmetric matrix is known, and the diagonal does not count.
            values[:, : len(values)] *= above[: len(values), : len(values)]
        if everything:
            # Row by row: one running sum of a block would lose digits in single precision.
            found += np.einsum("ij,ij->i", values, factor).sum(dtype=np.float64)
            continue
        values *= factor
        sums = values @ of_y[columns].astype(values.dtype)
        found += np.einsum("is,is->s", of_x[rows], sums)
    if within:
        found *= 2
    if cubic:
        found += 3 * constant**2 * _sums_of_products(x, other, picks, kernel.gamma, common)
    return found


def _sums_of_products(
    x: FloatArray,
    other: FloatArray | None,
    picks: tuple[NDArray[np.float64], NDArray[np.float64]],
    gamma: float,
    common: float,
) -> NDArray[np.float64]:
    """Sums of the products times gamma, less the common part, over the pairs of each subset."""
    of_x, of_y = picks
    pairs = of_x.sum(axis=0) * of_y.sum(axis=0)
    y = x if other is None else other
    sums = np.einsum("sd,sd->s", _sums(x, of_x), _sums(y, of_y))
    if other is None:
        pairs -= of_x.sum(axis=0)
        sums -= np.einsum("ij,ij->i", x, x, dtype=np.float64) @ of_x
    return np.asarray(gamma * sums - common * pairs)


def _sums(x: FloatArray, pick: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the rows of each subset, (subsets, d), in double precision."""
    if pick.shape[1] == 1 and pick.all():
        return np.asarray(x.sum(axis=0, dtype=np.float64, keepdims=True))
    return np.asarray(pick.T @ x)


def _products(
    x: FloatArray, y: FloatArray, half: bool
) -> Iterator[tuple[slice, slice, FloatArray, FloatArray]]:
    """Rows and columns of a block of inner products, the products, and as much memory again.

    ``half``: of a set with itself, whose matrix is symmetric: from the diagonal on.
    """
    # Fresh memory for each block would cost as much as what is computed in it.
    memory = np.empty((min(_BLOCK, len(x)), min(_BLOCK, len(y))), x.dtype)
    spare = np.empty(_STRIPE * memory.shape[1], x.dtype)
    for i in range(0, len(x), _BLOCK):
        for j in range(i if half else 0, len(y), _BLOCK):
            left, right = x[i : i + _BLOCK], y[j : j + _BLOCK]
            products = np.matmul(left, right.T, out=memory[: len(left), : len(right)])
            for k in range(0, len(left), _STRIPE):
                first = k if half and i == j else 0
                stripe = products[k : k + _STRIPE, first:]
                yield (
                    slice(i + k, i + k + len(stripe)),
                    slice(j + first, j + len(right)),
                    stripe,
                    spare[: stripe.size].reshape(stripe.shape),
                )

"""Sums of a polynomial kernel over the pairs of images of subsets, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs

from rl2qc.metrics.matrices import Rows
from rl2qc.stats._checks import FloatArray, as_count

__all__ = ["Memory", "Moments", "Polynomial", "mmd2", "moments"]

# Rows of either set in one block of the kernel matrix, small enough for the caches.
_BLOCK = 1024
# Rows of a block that stay in the nearest caches while the kernel is made of them.
_STRIPE = 128


@dataclass(frozen=True)
class Polynomial:
    r"""The kernel :math:`(\gamma\, x^T y + c_0)^{degree}`."""

    degree: int
    gamma: float
    coef0: float

    @classmethod
    def of(
        cls, dimension: int, *, degree: int = 3, gamma: float | None = None, coef0: float = 1.0
    ) -> Polynomial:
        """The default where nothing is given; ``ValueError`` for no degree."""
        as_count(degree, "degree")
        return cls(degree, 1 / dimension if gamma is None else gamma, coef0)

    def __call__(self, product: FloatArray) -> FloatArray:
        """Kernel of inner products, whose memory it takes."""
        product *= self.gamma
        product += self.coef0
        power: FloatArray = np.power(product, self.degree, out=product)
        return power

    def largest(self, x: FloatArray, y: FloatArray) -> float:
        """A bound of the kernel of any two rows, and of the cube of their inner product."""
        norms = [float(np.einsum("ij,ij->i", a, a, dtype=np.float64).max()) for a in (x, y)]
        kernel = (abs(self.gamma) * max(norms) + abs(self.coef0)) ** self.degree
        return float(max(kernel, max(norms) ** 3))


class Memory:
    """Arrays that are filled again: fresh ones would cost as much as what is computed in them."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[int, ...]], NDArray[Any]] = {}

    def __call__(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array of a shape, of zeros at first, then with what was left in it."""
        found = self._known.get((name, shape))
        if found is None or found.dtype != dtype:
            found = self._known[name, shape] = np.zeros(shape, dtype)
        return found


Moments: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Sums (subsets, d) of the rows of each subset, and of their squared norms (subsets,)."""


def moments(x: FloatArray, drawn: Sequence[Rows]) -> Moments:
    """Of each subset of the rows of ``x``, in float64; all subsets in one pass."""
    row, subset = np.concatenate(drawn), np.repeat(np.arange(len(drawn)), [len(d) for d in drawn])
    order = np.argsort(row, kind="stable")
    row, subset = row[order], subset[order]
    sums, squares = np.zeros((len(drawn), x.shape[1])), np.zeros(len(drawn))
    for start in range(0, len(x), _BLOCK):
        rows = x[start : start + _BLOCK].astype(np.float64)
        here = slice(*np.searchsorted(row, (start, start + len(rows))))
        pick = np.zeros((len(drawn), len(rows)))
        pick[subset[here], row[here] - start] = 1
        sums += pick @ rows
        squares += pick @ np.vecdot(rows, rows)
    return sums, squares


def mmd2(
    x: FloatArray,
    y: FloatArray,
    drawn: Sequence[tuple[Rows, Rows]],
    kernel: Polynomial,
    of_each: tuple[Moments, Moments],
    memory: Memory,
) -> list[float]:
    """The unbiased squared discrepancy of each of several subsets of both sets.

    Parameters
    ----------
    x, y : (n, d) and (m, d), of one type
    drawn
        Rows of either set, without repetition.
    kernel
    of_each
        Moments of these rows of ``x``, and of ``y``.
    memory
        Of an earlier call, or new.
    """
    picks = [_indicators([d[side] for d in drawn], len(s)) for side, s in enumerate((x, y))]
    m, n = (pick.sum(axis=0) for pick in picks)
    sums = _Sums(kernel, _common(x, y), memory)
    (first, squares), (second, other_squares) = of_each
    of_real = sums(x, None, (picks[0], picks[0]))
    of_real += sums.linear(np.vecdot(first, first) - squares, m * (m - 1))
    of_generated = sums(y, None, (picks[1], picks[1]))
    of_generated += sums.linear(np.vecdot(second, second) - other_squares, n * (n - 1))
    across = sums(x, y, (picks[0], picks[1])) + sums.linear(np.vecdot(first, second), m * n)
    found = of_real / (m * (m - 1)) + of_generated / (n * (n - 1)) - 2 * across / (m * n)
    return [float(value) for value in found]


def _common(x: FloatArray, y: FloatArray) -> float:
    """What inner products have in common; 0 where that is no more than they differ by."""
    some = x[:64] @ y[:64].T
    mean = float(some.mean(dtype=np.float64))
    return mean if abs(mean) > float(some.std(dtype=np.float64)) else 0.0


def _indicators(drawn: Sequence[Rows], n: int) -> NDArray[np.float64]:
    """(n, subsets): 1 where an image is in a subset."""
    found = np.zeros((n, len(drawn)))
    for column, rows in enumerate(drawn):
        found[rows, column] = 1
    return found


class _Sums:
    """Sums of the kernel over the pairs of each subset, but for a constant and, for degree 3, for
    what is :meth:`linear` in the products.

    A constant changes nothing of an unbiased estimate, and without the ``common`` part of the
    products digits are spared. For degree 3, with p the products less that part and c all that is
    constant, the kernel is gamma^3 p^2 (p + 3 c / gamma) + 3 c^2 gamma p + c^3. The sum of p is the
    largest and needs no pairs: so the rounding of single precision is that of the small rest.
    """

    def __init__(self, kernel: Polynomial, common: float, memory: Memory) -> None:
        self._kernel, self._common, self._memory = kernel, common, memory
        self._constant = kernel.gamma * common + kernel.coef0
        self._cubic = kernel.degree == 3 and kernel.gamma != 0

    def linear(
        self, products: NDArray[np.float64], pairs: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The rest (subsets,), of sums of the inner products over so many pairs."""
        if not self._cubic:
            return np.zeros(len(products))
        slope = 3 * self._constant**2 * self._kernel.gamma
        return np.asarray(slope * (products - self._common * pairs))

    def __call__(
        self,
        x: FloatArray,
        other: FloatArray | None,
        picks: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """(subsets,); without ``other`` of a set with itself, where no image is paired with itself.

        ``picks``: (n, subsets) and (m, subsets), 1 where an image is in a subset.
        """
        within, (of_x, of_y) = other is None, picks
        found = np.zeros(of_x.shape[1])
        everything = all(pick.shape[1] == 1 and bool(pick.all()) for pick in picks)
        above = np.triu(np.ones((_STRIPE, _STRIPE), x.dtype), 1)
        for rows, columns, values in self._products(x, other):
            factor = self._factor(values)
            if within and columns.start <= rows.start:
                # The other half of a symmetric matrix is known, and the diagonal does not count.
                values[:, : len(values)] *= above[: len(values), : len(values)]
            if everything:
                # Row by row: one running sum of a block would lose digits in single precision.
                found += np.vecdot(values, factor).sum(dtype=np.float64)
                continue
            values *= factor
            sums = values @ of_y[columns].astype(values.dtype)
            found += np.einsum("is,is->s", of_x[rows], sums)
        if within:
            found *= 2
        return found * self._kernel.gamma**3 if self._cubic else found

    def _factor(self, values: FloatArray) -> FloatArray:
        """Turn products into one factor of what is summed up, and give the other."""
        factor: FloatArray = self._memory("factor", values.shape, values.dtype)
        single = values.dtype.type
        if not self._cubic:
            self._kernel(values)
            values -= single(self._constant**self._kernel.degree)
            factor.fill(1)
            return factor
        if self._common:
            values -= single(self._common)
        np.multiply(values, values, out=factor)
        values += single(3 * self._constant / self._kernel.gamma)
        return factor

    def _products(
        self, x: FloatArray, other: FloatArray | None
    ) -> Iterator[tuple[slice, slice, FloatArray]]:
        """Rows and columns of a stripe of inner products, and these.

        Of a set with itself, whose matrix is symmetric, from the diagonal on; what stands below it
        in a stripe means nothing.
        """
        y = x if other is None else other
        for i in range(0, len(x), _BLOCK):
            for j in range(i if other is None else 0, len(y), _BLOCK):
                left, right = x[i : i + _BLOCK], y[j : j + _BLOCK]
                halved = other is None and i == j
                products = self._halved(left) if halved else self._whole(left, right)
                for k in range(0, len(left), _STRIPE):
                    first = k if halved else 0
                    stripe = products[k : k + _STRIPE, first:]
                    rows = slice(i + k, i + k + len(stripe))
                    yield rows, slice(j + first, j + len(right)), stripe

    def _whole(self, left: FloatArray, right: FloatArray) -> FloatArray:
        products = self._memory("products", (len(left), len(right)), left.dtype)
        return np.matmul(left, right.T, out=products)

    def _halved(self, x: FloatArray) -> FloatArray:
        """Products of rows with themselves, on and above the diagonal."""
        products: FloatArray = self._memory("halved", (len(x), len(x)), x.dtype)
        if not x.flags.c_contiguous:
            return np.matmul(x, x.T, out=products)
        # By columns, as BLAS has it, all is the other way round.
        (syrk,) = get_blas_funcs(("syrk",), (x,))
        syrk(1.0, x.T, trans=1, lower=1, c=products.T, overwrite_c=1)
        return products

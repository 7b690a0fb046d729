"""A Gaussian density with a few components of its own variance and one variance for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

from rl2qc.core.arrays import checked_array

__all__ = ["PPCA"]

# How far stored directions may be from orthonormal.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class PPCA:
    """Probabilistic PCA (Tipping and Bishop, "Probabilistic principal component analysis", 1999).

    Fitted by scikit-learn and evaluated without its d x d precision matrix: the cost of a row is
    one product with the components. Parameters are rounded to single precision when fitted, so
    that a stored density gives the very numbers of the fitted one.

    Attributes
    ----------
    mean : (d,) float64
    components : (m, d) float64, orthonormal rows
    variances : (m,) float64, along the components
    noise : (1,) float64, variance along every other direction

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 6)) * [3, 2, 1, 1, 1, 1]
    >>> bool(PPCA.fit(x, 2).log_likelihood(np.zeros((1, 6)))[0] > -9)
    True
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    variances: NDArray[np.float64]
    noise: NDArray[np.float64]

    @classmethod
    def fit(cls, x: ArrayLike, n_components: int) -> PPCA:
        """Maximum likelihood from rows (n, d); n_components must be less than n and d."""
        array = np.asarray(x, np.float64)
        # Exact, hence the same on every run; by whichever of n and d is smaller.
        solver = "full" if len(array) < array.shape[1] else "covariance_eigh"
        pca = PCA(n_components, svd_solver=solver).fit(array)
        # A dead direction has no variance: the floor keeps its likelihood finite.
        floor = 1e-8 * float(pca.explained_variance_[0]) + 1e-12
        variances = np.maximum(pca.explained_variance_, floor)
        noise = np.array([max(float(pca.noise_variance_), floor)])
        return cls(*(_single(a) for a in (pca.mean_, pca.components_, variances, noise)))

    def log_likelihood(self, x: ArrayLike) -> NDArray[np.float64]:
        """Natural logarithm (n,) of the density at rows (n, d), nats."""
        centered = np.asarray(x, np.float64) - self.mean
        along = (centered @ self.components.T) ** 2
        rest = np.maximum((centered**2).sum(1) - along.sum(1), 0)
        dim, m = len(self.mean), len(self.variances)
        log_det = np.log(self.variances).sum() + (dim - m) * np.log(self.noise[0])
        distance = (along / self.variances).sum(1) + rest / self.noise[0]
        return np.asarray(-0.5 * (distance + log_det + dim * np.log(2 * np.pi)))

    def state(self) -> dict[str, NDArray[np.float64]]:
        """All numbers as arrays, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], dim: int) -> PPCA:
        """Rebuild what :meth:`state` gave, of rows (n, dim).

        Raises
        ------
        KeyError
            A part is missing.
        ValueError
            A part that no density has.
        """
        variances = checked_array(state, "variances", (None,), above=0)
        components = checked_array(state, "components", (len(variances), dim))
        if np.abs(components @ components.T - np.eye(len(variances))).max() > _ROUNDING:
            raise ValueError("components must be orthonormal")
        noise = checked_array(state, "noise", (1,), above=0)
        return cls(checked_array(state, "mean", (dim,)), components, variances, noise)


def _single(array: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(array, np.float32).astype(np.float64)

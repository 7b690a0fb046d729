"""Vendi score and RKE: how many different images a set amounts to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics.matrices import distance_matrix
from rl2qc.metrics.rbf import median_distance
from rl2qc.stats._checks import FloatArray, as_features

__all__ = ["VendiResult", "vendi"]

Similarity: TypeAlias = Literal["cosine", "rbf"]


@dataclass(frozen=True)
class VendiResult:
    """Effective numbers of images, between 1 (all equal) and n (all unlike each other).

    Parameters
    ----------
    value : float
        The Vendi score: exp of the Shannon entropy of the kernel's eigenvalues.
    rke : float
        The same of Renyi's order 2, which counts rare kinds less.
    n : int
    similarity : str
    sigma : float or None
        Bandwidth of "rbf".
    """

    value: float
    rke: float
    n: int
    similarity: str
    sigma: float | None = None

    def __float__(self) -> float:
        return self.value


def vendi(
    features: ArrayLike, similarity: Similarity = "cosine", *, sigma: float | None = None
) -> VendiResult:
    r"""Effective number of different images in a set.

    With K the kernel of all pairs, of unit diagonal, and :math:`\lambda` the eigenvalues of K / n:

    .. math:: \mathrm{VS} = \exp\Big(-\sum_i \lambda_i \ln \lambda_i\Big), \qquad
              \mathrm{RKE} = 1 / \lVert K / n \rVert_F^2

    Parameters
    ----------
    features : array_like, shape (n, d)
    similarity : {"cosine", "rbf"}
    sigma
        Bandwidth of "rbf"; the median distance of the set by default.

    Raises
    ------
    ValueError
        For features that are no finite 2-D array, or a row of zeros under "cosine".

    References
    ----------
    Friedman and Dieng, "The Vendi score: a diversity evaluation metric for machine learning",
    TMLR 2023, Eq. 1; Jalali et al., "An information-theoretic evaluation of generative models in
    learning multi-modal distributions", NeurIPS 2023 (RKE).

    Examples
    --------
    >>> vendi([[1.0, 0.0], [1.0, 0.0]]).value, round(vendi([[1.0, 0.0], [0.0, 1.0]]).value, 9)
    (1.0, 2.0)
    """
    x = as_features(features)
    if similarity not in get_args(Similarity):
        raise ValueError(f"similarity must be one of {get_args(Similarity)}, got {similarity!r}")
    if similarity == "rbf":
        distances = distance_matrix(x)
        sigma = median_distance(x) if sigma is None else sigma
        if not sigma > 0:
            raise ValueError("no bandwidth fits images without any spread: give sigma")
        spectrum = np.exp(-(distances**2) / (2 * sigma**2)) / len(x)
    else:
        spectrum = _cosines(x)
    values = np.clip(scipy.linalg.eigvalsh(spectrum, check_finite=False), 0, None)
    values /= values.sum()
    positive = values[values > 0]
    entropy = -float(np.sum(positive * np.log(positive)))
    return VendiResult(
        min(float(np.exp(entropy)), float(len(x))),
        float(1 / np.sum(values**2)),
        len(x),
        similarity,
        sigma if similarity == "rbf" else None,
    )


def _cosines(x: FloatArray) -> NDArray[np.float64]:
    """A matrix with the eigenvalues of K / n, (n, n) or (d, d), whichever is smaller."""
    scaled = x.astype(np.float64) / np.abs(x).max(axis=1, keepdims=True, initial=1e-300)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(f"cosine similarity is undefined: row {int(np.argmin(norms))} is all zero")
    unit = scaled / norms
    product: NDArray[np.float64] = unit @ unit.T if len(x) <= x.shape[1] else unit.T @ unit
    return product / len(x)

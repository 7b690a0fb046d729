"""Frechet distance (FID) between feature sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics._duplicates import first_occurrences
from rl2qc.metrics.matrices import Matrices, Rows
from rl2qc.metrics.moments import Moments
from rl2qc.stats._checks import FloatArray, as_features

__all__ = ["FidResult", "fid", "fid_of_rows", "rank_warnings"]

# Rows that are turned into float64 at once when moments are accumulated.
_CHUNK = 4096
# Of the trace, far below how much resamples vary.
_RESAMPLE_TOLERANCE = 1e-7


@dataclass(frozen=True)
class FidResult:
    """Frechet distance (lower is better) and how it was made.

    Parameters
    ----------
    value : float
        ``mean_term + covariance_term``, in squared feature units.
    mean_term : float
        Squared distance of the means.
    covariance_term : float
        Distance of the covariances, clamped at 0 against rounding.
    n_real, n_generated, dimension : int
    warnings : tuple of str
        Why the value should not be compared with others, if it should not.
    """

    value: float
    mean_term: float
    covariance_term: float
    n_real: int
    n_generated: int
    dimension: int
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True, eq=False)
class _Gaussian:
    """A fitted Gaussian; the covariance is ``factor.T @ factor``, factor of shape (r, d).

    ``rank`` bounds the rank of the factor from above; a factor that is ``triangular`` is so above
    its diagonal.
    """

    count: int
    mean: NDArray[np.float64]
    factor: NDArray[np.float64]
    rank: int
    triangular: bool = False

    @classmethod
    def of_features(cls, x: FloatArray) -> _Gaussian:
        n, dim = x.shape
        # Rows that repeat are merged: a bootstrap of n > d images may hold fewer than d distinct.
        if n <= 2 * dim:
            distinct, repeats = _distinct(x)
            if len(distinct) <= dim:
                # Never form the rank-deficient (d, d) covariance: the centred rows factor it.
                mean = repeats @ distinct / n
                factor = distinct - mean
                factor *= np.sqrt(repeats / (n - 1))[:, None]
                return cls(n, mean, factor, len(distinct) - 1)  # centring costs a rank
        moments = Moments.of(x[:_CHUNK])
        for start in range(_CHUNK, n, _CHUNK):
            moments = moments.update(x[start : start + _CHUNK])
        return cls.of_moments(moments)

    @classmethod
    def of_moments(cls, moments: Moments) -> _Gaussian:
        covariance = moments.covariance()
        rank, triangular = min(moments.count - 1, len(covariance)), True
        try:
            factor = scipy.linalg.cholesky(covariance)
        except scipy.linalg.LinAlgError:
            values, vectors = scipy.linalg.eigh(covariance)
            factor = np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T
            triangular = False
        return cls(moments.count, moments.mean, factor, rank, triangular)


def fid(real: ArrayLike | Moments, generated: ArrayLike | Moments) -> FidResult:
    r"""Frechet distance between the Gaussians fitted to two feature sets.

    .. math:: \lVert\mu_1-\mu_2\rVert^2 + \mathrm{tr}(S_1 + S_2) - 2\,\mathrm{tr}(S_1 S_2)^{1/2}

    With any factors :math:`S_i = F_i^T F_i` the last trace is the nuclear norm
    :math:`\lVert F_1 F_2^T\rVert_*`. For n <= d the factors are the centred features divided by
    :math:`\sqrt{n-1}`, so that no rank-deficient covariance is ever formed; otherwise they are
    Cholesky factors (scaled eigenvectors for a singular covariance).

    Parameters
    ----------
    real, generated : array_like of shape (n, d), or Moments
        Features of at least 2 images each; the numbers of images may differ. Arrays are better
        than :class:`~rl2qc.metrics.moments.Moments` for n <= d.

    Raises
    ------
    ValueError
        For features that are not finite ``(n, d)`` arrays with n >= 2, or of unequal dimension.

    References
    ----------
    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", NeurIPS 2017, Eq. 6;
    Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982.

    Examples
    --------
    >>> fid([[0.0], [2.0]], [[3.0], [5.0]]).value
    9.0
    """
    a, b = _gaussian_pair(real, generated)
    dim = a.mean.size
    mean_term = float(np.sum((a.mean - b.mean) ** 2))
    trace = float(np.sum(a.factor**2) + np.sum(b.factor**2))
    # Identical sets leave a rounding residue of either sign.
    norm = _nuclear_norm(_product(a, b), min(a.rank, b.rank), trace)
    covariance_term = max(0.0, trace - 2 * norm)
    return FidResult(
        mean_term + covariance_term,
        mean_term,
        covariance_term,
        a.count,
        b.count,
        dim,
        rank_warnings(min(a.count, b.count), dim),
    )


def fid_of_rows(matrices: Matrices, real: Rows, generated: Rows) -> float:
    r"""``fid(...).value`` of rows of the features.

    The centred rows factor the covariances as long as there are no more of them than dimensions.
    Their products :math:`F_1 F_2^T` are squared distances with the means of rows and of columns
    taken off, halved and negative: the features are multiplied once for all resamples.

    Raises
    ------
    ValueError
        For a set of one row.
    """
    x = matrices.features
    if min(len(real), len(generated)) < 2:
        return fid(x[real], x[generated]).value  # says what is wrong
    image = matrices.once("equal features", lambda: first_occurrences(x, "euclidean"))
    (a, of_a), (b, of_b) = (
        np.unique(image[rows], return_counts=True) for rows in (real, generated)
    )
    if max(len(a), len(b)) > x.shape[1]:
        return fid(x[real], x[generated]).value
    centred, norms = matrices.once("centred features", lambda: _centred(x))
    shares = np.zeros((2, len(x)))
    shares[0, a], shares[1, b] = of_a / len(real), of_b / len(generated)
    means = shares @ centred
    unbiased = np.array([len(rows) / (len(rows) - 1) for rows in (real, generated)])
    trace = float(unbiased @ (shares @ norms - np.sum(means**2, axis=1)))
    products = matrices.euclidean[np.ix_(a, b)]
    products *= products
    products -= shares[0, a] @ products
    products -= (products @ shares[1, b])[:, None]
    products *= -0.5 * np.sqrt(unbiased[0] * shares[0, a])[:, None]
    products *= np.sqrt(unbiased[1] * shares[1, b])
    rank = min(len(a), len(b)) - 1  # centring costs one
    norm = _nuclear_norm(products, rank, trace, _RESAMPLE_TOLERANCE)
    return float(np.sum((means[0] - means[1]) ** 2)) + max(0.0, trace - 2 * norm)


def _centred(x: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features less their common mean, and the squared norm of each."""
    centred = x.astype(np.float64)
    centred -= centred.mean(axis=0)
    return centred, np.einsum("ij,ij->i", centred, centred)


def _gaussian_pair(
    real: ArrayLike | Moments, generated: ArrayLike | Moments
) -> tuple[_Gaussian, _Gaussian]:
    def fit(values: ArrayLike | Moments, name: str) -> _Gaussian:
        if isinstance(values, Moments):
            return _Gaussian.of_moments(values)
        return _Gaussian.of_features(as_features(values, name, min_rows=2))

    a, b = fit(real, "real"), fit(generated, "generated")
    if a.mean.size != b.mean.size:
        raise ValueError(
            f"real and generated must have the same dimension, got {a.mean.size} and {b.mean.size}"
        )
    return a, b


def _distinct(x: FloatArray) -> tuple[FloatArray, NDArray[np.float64]]:
    """Distinct rows, and how often each occurs."""
    # Equal rows have equal sums: few numbers are sorted, not all bytes of all rows.
    _, first, of_row, repeats = np.unique(
        x.sum(axis=1), return_index=True, return_inverse=True, return_counts=True
    )
    if len(first) == len(x):
        return x, np.ones(len(x))
    again = np.ones(len(x), bool)
    again[first] = False
    if not np.array_equal(x[again], x[first[of_row[again]]]):  # equal sums of unequal rows
        rows = np.ascontiguousarray(x).view(np.dtype((np.void, x.dtype.itemsize * x.shape[1])))
        _, first, repeats = np.unique(rows.ravel(), return_index=True, return_counts=True)
    return x[first], repeats.astype(np.float64)


def _product(a: _Gaussian, b: _Gaussian) -> NDArray[np.float64]:
    """``a.factor @ b.factor.T``, at half the cost where one of them is triangular."""
    if a.triangular:
        return np.asarray(scipy.linalg.blas.dtrmm(1.0, a.factor, b.factor.T))
    if b.triangular:
        return np.asarray(scipy.linalg.blas.dtrmm(1.0, b.factor, a.factor.T, lower=0)).T
    product: NDArray[np.float64] = a.factor @ b.factor.T
    return product


def _nuclear_norm(
    matrix: NDArray[np.float64], rank: int, scale: float, tolerance: float = 1e-8
) -> float:
    """Sum of the ``rank`` largest singular values, to about ``tolerance`` times ``scale``."""
    if rank == 0:
        return 0.0
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    # An order of magnitude faster than the SVD, but each singular value below sqrt(noise) is
    # lost in rounding; where these could add up to something, the SVD decides.
    # Of Gram matrix and eigenvalues one triangle is enough.
    gram = scipy.linalg.blas.dsyrk(1.0, np.ascontiguousarray(matrix).T, trans=1, lower=1)
    values = scipy.linalg.eigvalsh(gram, overwrite_a=True, check_finite=False, driver="evd")
    values = np.clip(values[-rank:], 0, None)
    noise = 10 * np.finfo(float).eps * values[-1]
    if np.sum(values < noise) * np.sqrt(noise) > tolerance * scale:
        return float(np.sum(scipy.linalg.svdvals(matrix)))
    return float(np.sum(np.sqrt(values)))


def rank_warnings(n: int, dim: int) -> tuple[str, ...]:
    """Why FID of ``n`` images in ``dim`` dimensions is not to be compared with others.

    Examples
    --------
    >>> rank_warnings(513, 512), len(rank_warnings(512, 512))
    ((), 1)
    """
    if n > dim:
        return ()
    return (
        f"{n} images do not determine a covariance in {dim} dimensions:"
        " FID is biased upwards; compare it only with sets of the same size",
    )

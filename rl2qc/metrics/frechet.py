"""Frechet distance between feature sets, its ratio to the real floor, its limit in 1/N."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics.moments import Moments
from rl2qc.stats._checks import FloatArray, as_count, as_feature_pair, as_features
from rl2qc.stats.baseline import null_distribution

__all__ = [
    "FidInfinityResult",
    "FidResult",
    "RFidResult",
    "fid",
    "fid_infinity",
    "r_fid",
    "rank_warnings",
]

# Rows that are turned into float64 at once when moments are accumulated.
_CHUNK = 4096
# Largest over smallest size of a line from which the limit in 1/N can be read.
_LINE = 1.5


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


@dataclass(frozen=True)
class RFidResult:
    """The real-against-real distance as a share of the observed one.

    Parameters
    ----------
    value : float
        ``floor / observed``: about 1 (either way, the more so the fewer dimensions) for a set
        that differs from the real one no more than parts of it do, towards 0 for worse ones.
        Higher is better.
    floor, observed : float
        Median FID real-against-real and real-against-generated over the splits, same sizes.
    n_real, n_generated : int
        Sizes of the two sides of a split.
    n_splits : int
    warnings : tuple of str
    """

    value: float
    floor: float
    observed: float
    n_real: int
    n_generated: int
    n_splits: int
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value


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


@dataclass(frozen=True, eq=False)
class _Gaussian:
    """A fitted Gaussian; the covariance is ``factor.T @ factor``, factor of shape (r, d).

    ``rank`` bounds the rank of the factor from above.
    """

    count: int
    mean: NDArray[np.float64]
    factor: NDArray[np.float64]
    rank: int

    @classmethod
    def of_features(cls, x: FloatArray) -> _Gaussian:
        n, dim = x.shape
        # Rows that repeat are merged: a bootstrap of n > d images may hold fewer than d distinct.
        if n <= 2 * dim:
            distinct, repeats = _distinct(x)
            if len(distinct) <= dim:
                # Never form the rank-deficient (d, d) covariance: the centred rows factor it.
                mean = repeats @ distinct / n
                factor = np.sqrt(repeats / (n - 1))[:, None] * (distinct - mean)
                return cls(n, mean, factor, len(distinct) - 1)  # centring costs a rank
        moments = Moments.of(x[:_CHUNK])
        for start in range(_CHUNK, n, _CHUNK):
            moments = moments.update(x[start : start + _CHUNK])
        return cls.of_moments(moments)

    @classmethod
    def of_moments(cls, moments: Moments) -> _Gaussian:
        covariance = moments.covariance()
        try:
            factor = scipy.linalg.cholesky(covariance)
        except scipy.linalg.LinAlgError:
            values, vectors = scipy.linalg.eigh(covariance)
            factor = np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T
        return cls(moments.count, moments.mean, factor, min(moments.count - 1, len(factor)))


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
        than `Moments` for n <= d.

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
    norm = _nuclear_norm(a.factor @ b.factor.T, min(a.rank, b.rank), trace)
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


def r_fid(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    n_splits: int = 50,
    real_groups: ArrayLike | None = None,
    generated_groups: ArrayLike | None = None,
    seed: int | np.random.Generator = 0,
) -> RFidResult:
    r"""Real-against-real FID divided by real-against-generated FID, at the same sizes.

    .. math:: r_{FID} = 1 - (FID_{rs} - FID_{rr}) / FID_{rs} = FID_{rr} / FID_{rs}

    Each split puts as many real images aside as can stand for generated ones (at most half of
    them) and compares both these and as many generated images with the real images left.

    Parameters
    ----------
    real, generated : array_like, shape (n, d)
        At least 4 real and 2 generated images.
    n_splits : int
        Seeded splits, over which medians are taken: of 10 the ratio still varies by a tenth and
        more between seeds.
    real_groups, generated_groups : array_like, shape (n,), optional
        Slide or patient of each image: a split then never cuts a group in two.
    seed : int or numpy Generator

    Returns
    -------
    RFidResult
        Two floors of exactly 0 give 1; a floor above an observed 0 gives infinity.

    Raises
    ------
    ValueError
        As `fid`, or for fewer images than above.

    References
    ----------
    Osuala et al., "medigan: a Python library of pretrained generative models for medical image
    synthesis", Journal of Medical Imaging 2023.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> r_fid(rng.normal(size=(400, 2)), rng.normal(1, 1, size=(200, 2))).value < 0.1
    True
    """
    x, y = as_feature_pair(real, generated, min_rows=2)
    as_features(x, "real", min_rows=4)
    as_count(n_splits, "n_splits")
    null = null_distribution(
        lambda a, b: fid(a, b).value,
        x,
        y,
        n_resamples=n_splits,
        real_groups=real_groups,
        generated_groups=generated_groups,
        seed=seed,
    )
    if null.observed > 0:
        value = null.floor / null.observed
    else:
        value = 1.0 if null.floor == 0 else float("inf")
    smallest = min(null.n_real, null.n_generated)
    return RFidResult(
        value,
        null.floor,
        null.observed,
        null.n_real,
        null.n_generated,
        n_splits,
        rank_warnings(smallest, x.shape[1]),
    )


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
        As `fid`, or for sizes that leave no line to fit.

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


def _distinct(x: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distinct rows, and how often each occurs."""
    rows = np.ascontiguousarray(x).view(np.dtype((np.void, x.dtype.itemsize * x.shape[1])))
    _, first, repeats = np.unique(rows.ravel(), return_index=True, return_counts=True)
    return x[first].astype(np.float64), repeats


def _nuclear_norm(matrix: NDArray[np.float64], rank: int, scale: float) -> float:
    """Sum of the ``rank`` largest singular values, to about 1e-8 of ``scale``."""
    if rank == 0:
        return 0.0
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    # An order of magnitude faster than the SVD, but each singular value below sqrt(noise) is
    # lost in rounding; where these could add up to something, the SVD decides.
    values = np.clip(scipy.linalg.eigvalsh(matrix @ matrix.T)[-rank:], 0, None)
    noise = 10 * np.finfo(float).eps * values[-1]
    if np.sum(values < noise) * np.sqrt(noise) > 1e-8 * scale:
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

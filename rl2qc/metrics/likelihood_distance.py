"""Likelihoods as metrics: FLD of a mixture at generated images, FLD+ of the model's flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from rl2qc.stats._checks import as_feature_pair, as_features

__all__ = ["FldResult", "fld", "fld_plus"]

_STEPS, _TOLERANCE = 100, 1e-6
# Of the variance of a component, in units of the features' own: exact copies would have none.
_LEAST_VARIANCE = 1e-8


@dataclass(frozen=True)
class FldResult:
    """Feature likelihood divergence (lower is better).

    Parameters
    ----------
    value : float
        Minus the mean log-likelihood of unseen images, in hundredths of a nat per dimension.
    train_value : float
        The same of the training images: far below ``value`` where they were memorised.
    dimensions, dropped : int
        Dimensions that were used, and those without any spread.
    n_train, n_unseen, n_generated : int
    """

    value: float
    train_value: float
    dimensions: int
    dropped: int
    n_train: int
    n_unseen: int
    n_generated: int

    def __float__(self) -> float:
        return self.value


def fld(train: ArrayLike, unseen: ArrayLike, generated: ArrayLike) -> FldResult:
    r"""Likelihood of unseen images under a mixture of Gaussians at the generated ones.

    .. math:: p(x) = \frac{1}{n} \sum_j N(x; g_j, \sigma_j^2 I)

    The widths are fitted to the training images (EM): a generated image that copies one of them
    gets a width of next to nothing, and explains no unseen image. All sets are scaled by the
    deviations of the training images; dimensions without any are dropped.

    Parameters
    ----------
    train, unseen, generated : array_like, shapes (N, d), (m, d) and (n, d)
        Features of images that the generator was trained on, of others, and of generated ones.

    Raises
    ------
    ValueError
        For sets that are no finite arrays of one dimension, fewer than 2 training images, or
        training images without any spread.

    References
    ----------
    Jiralerspong et al., "Feature likelihood divergence: evaluating the generalization of
    generative models using samples", NeurIPS 2023, Eq. 3-5.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> train, unseen, good = rng.normal(size=(3, 200, 4))
    >>> fld(train, unseen, good).value < fld(train, unseen, train).value
    True
    """
    x, y = as_feature_pair(train, generated, ("train", "generated"), min_rows=1)
    if len(x) < 2:
        raise ValueError("train needs at least 2 images, got n = 1")
    test = as_features(unseen, "unseen")
    if test.shape[1] != x.shape[1]:
        raise ValueError(
            f"train and unseen must have the same dimension, got {x.shape[1]} and {test.shape[1]}"
        )
    mean, spread = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    # A constant has a deviation of rounding.
    used = spread > 1e-9 * np.abs(mean)
    if not used.any():
        raise ValueError("the training images have no spread in any dimension")
    sets = [(s[:, used] - mean[used]) / spread[used] for s in (x, test, y)]
    of_train, of_test = (cdist(s, sets[2], "sqeuclidean") for s in sets[:2])
    dimensions = int(used.sum())
    variances = _fitted(of_train, dimensions)
    scale = -100 / dimensions
    return FldResult(
        scale * float(_log_density(of_test, variances, dimensions).mean()),
        scale * float(_log_density(of_train, variances, dimensions).mean()),
        dimensions,
        int((~used).sum()),
        len(x),
        len(test),
        len(y),
    )


def fld_plus(real: ArrayLike, generated: ArrayLike, *, dimensions: int = 1) -> float:
    r"""FLD+: the likelihood of generated images as a share of that of real ones, under one flow.

    .. math:: \exp(\overline{\log p_{gen}} - \overline{\log p_{real}})

    1 for images as likely as real ones; above it they are simpler than these.

    Parameters
    ----------
    real, generated : array_like, shapes (n,) and (m,)
        Log-likelihoods in nats.
    dimensions
        Of the features: the difference is divided by it, without which it leaves the range of
        numbers in hundreds of dimensions.

    Raises
    ------
    ValueError
        For values that are not finite, or none.

    References
    ----------
    Jeevan, Nixon and Sethi, "FLD+: data-efficient evaluation metric for generative models",
    arXiv:2411.15584.

    Examples
    --------
    >>> fld_plus([-10.0, -12.0], [-11.0, -11.0])
    1.0
    """
    means = [
        float(as_features(np.reshape(np.asarray(s, np.float64), (-1, 1)), name).mean())
        for s, name in ((real, "real"), (generated, "generated"))
    ]
    with np.errstate(over="ignore"):
        return float(np.exp((means[1] - means[0]) / dimensions))


def _log_density(
    squared: NDArray[np.float64], variances: NDArray[np.float64], dimensions: int
) -> NDArray[np.float64]:
    found: NDArray[np.float64] = logsumexp(_components(squared, variances, dimensions), axis=1)
    return found


def _components(
    squared: NDArray[np.float64], variances: NDArray[np.float64], dimensions: int
) -> NDArray[np.float64]:
    """Log of weight times density of every component at every point."""
    found: NDArray[np.float64] = -squared / (2 * variances)
    found -= dimensions / 2 * np.log(2 * np.pi * variances) + np.log(squared.shape[1])
    return found


def _fitted(squared: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    """Widths (n,) squared of the components, by expectation and maximisation."""
    nearest = np.maximum(squared.min(axis=0), _LEAST_VARIANCE)
    variances = np.full(squared.shape[1], max(float(nearest.mean()) / dimensions, _LEAST_VARIANCE))
    before = -np.inf
    for _ in range(_STEPS):
        shares = _components(squared, variances, dimensions)
        total = logsumexp(shares, axis=1, keepdims=True)
        now = float(total.mean())
        if now - before < _TOLERANCE * abs(now):
            break
        before = now
        shares = np.exp(shares - total)
        weights = shares.sum(axis=0)
        # A component that explains nothing stays as it is.
        taken = weights > 1e-12
        moved = np.einsum("ij,ij->j", shares, squared)[taken] / (dimensions * weights[taken])
        variances[taken] = np.maximum(moved, _LEAST_VARIANCE)
    return variances

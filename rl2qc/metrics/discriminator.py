"""How well a simple classifier tells generated from real images that it was not fitted to."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics.matrices import Matrices, Rows
from rl2qc.stats._checks import as_feature_pair

__all__ = ["discriminator_auc", "discriminator_auc_of_rows"]

_FOLDS = 5
# Leading directions of all images that the classifier sees, and how far their covariance is drawn
# towards a round one: enough to be fitted to a hundred images.
_DIRECTIONS, _SHRINKAGE = 64, 0.1


def discriminator_auc(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    real_groups: ArrayLike | None = None,
    generated_groups: ArrayLike | None = None,
    seed: int = 0,
) -> float:
    """Area under the ROC curve of a linear discriminant between both sets, cross-validated.

    0.5: the sets cannot be told apart, which is best; 1: each image gives itself away. Clearly
    below 0.5 are copies across folds: the classifier has learned that their twins are of the other
    set.

    Each of five folds is judged by a classifier that was fitted to the others; groups stay on one
    side. The classifier is Fisher's, with a covariance shrunk towards a multiple of the identity,
    in the 64 leading directions of all images.

    Parameters
    ----------
    real : array_like, shape (n, d)
    generated : array_like, shape (m, d)
    real_groups, generated_groups : array_like, optional
        Slide or patient of each image.
    seed : int
        Of the folds.

    Raises
    ------
    ValueError
        For sets that are no finite 2-D arrays of one width, or of fewer than two images or groups.

    References
    ----------
    Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017; Friedman, "Regularized
    discriminant analysis", Journal of the American Statistical Association 1989 (shrinkage).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b, far = rng.normal(size=(60, 4)), rng.normal(size=(60, 4)), rng.normal(9, 1, (60, 4))
    >>> bool(0.3 < discriminator_auc(a, b) < 0.7), discriminator_auc(a, far)
    (True, 1.0)
    """
    x, y = as_feature_pair(real, generated, ("real", "generated"))
    places = _leading(np.concatenate([x, y]).astype(np.float64))
    return _area(places[: len(x)], places[len(x) :], real_groups, generated_groups, seed)


def discriminator_auc_of_rows(matrices: Matrices, real: Rows, generated: Rows) -> float:
    """The same of rows of the matrices, in the leading directions of all of their images."""
    places: NDArray[np.float64] = matrices.once(
        "leading", lambda: _leading(matrices.features.astype(np.float64))
    )
    groups = matrices.groups
    of_real, of_generated = (None if groups is None else groups[r] for r in (real, generated))
    return _area(places[real], places[generated], of_real, of_generated, matrices.seed)


def _leading(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places of rows along their leading directions."""
    x = x - x.mean(axis=0)
    scale = float(np.abs(x).max())
    if scale > 0:
        x /= scale  # so that no square leaves the range
    _, directions = np.linalg.eigh(x.T @ x)
    found: NDArray[np.float64] = x @ directions[:, -_DIRECTIONS:]
    return found


def _area(
    real: NDArray[np.float64],
    generated: NDArray[np.float64],
    real_groups: ArrayLike | None,
    generated_groups: ArrayLike | None,
    seed: int,
) -> float:
    rng = np.random.default_rng(seed)
    in_real = _folds(len(real), real_groups, rng, "real")
    in_generated = _folds(len(generated), generated_groups, rng, "generated")
    wins, pairs = 0.0, 0
    for fold in range(_FOLDS):
        held, judged = real[in_real == fold], generated[in_generated == fold]
        others, rest = real[in_real != fold], generated[in_generated != fold]
        if not len(held) or not len(judged) or not len(others) or not len(rest):
            continue
        direction = _discriminant(others, rest)
        a, b = np.sort(held @ direction), judged @ direction
        below = np.searchsorted(a, b, "left") + np.searchsorted(a, b, "right")
        wins += float(below.sum()) / 2
        pairs += len(a) * len(b)
    if not pairs:
        raise ValueError("needs at least 2 images, or groups, of each set in a fold")
    return wins / pairs


def _discriminant(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = np.concatenate([a - a.mean(axis=0), b - b.mean(axis=0)])
    covariance = centred.T @ centred / max(len(centred) - 2, 1)
    size = len(covariance)
    usual = float(np.trace(covariance)) / size
    if usual <= 0:
        return np.asarray(b.mean(axis=0) - a.mean(axis=0))
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * usual * np.eye(size)
    return np.asarray(np.linalg.solve(covariance, b.mean(axis=0) - a.mean(axis=0)))


def _folds(
    n: int, groups: ArrayLike | None, rng: np.random.Generator, name: str
) -> NDArray[np.intp]:
    """The fold of each image; whole groups are dealt out, the largest first."""
    labels = np.arange(n) if groups is None else np.asarray(groups)
    if len(labels) != n:
        raise ValueError(f"groups of {name} must hold one id an image ({n}), got {len(labels)}")
    _, member, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ValueError(f"{name} needs at least 2 images, or groups, got {len(sizes)}")
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold, held = np.empty(len(sizes), np.intp), np.zeros(_FOLDS)
    for group in order:
        fold[group] = held.argmin()
        held[fold[group]] += sizes[group]
    return np.asarray(fold[member])

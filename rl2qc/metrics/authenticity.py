"""Authenticity: a guard against generated images that are copies of training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics._pair import Floats
from rl2qc.metrics.neighbors import Backend, Metric, kneighbors
from rl2qc.stats._checks import FloatArray, as_feature_pair, check_k

__all__ = ["AuthenticityResult", "authentic_images", "authenticity"]


@dataclass(frozen=True)
class AuthenticityResult:
    """The share of authentic images, what real ones score, and a comparison of two sources.

    Parameters
    ----------
    value : float
        Share of the generated images that lie farther from their nearest training image than
        that one lies from its own nearest training neighbour; higher is better.
    held_out_value : float or None
        The same share of held-out real images: what honest new images score. A value clearly
        below it means memorisation.
    nearer_train : float or None
        Share of the generated images that are nearer to the training than to the held-out images
        (ties count half), the two sets being of one size: 0.5 without memorisation, 1 for copies.
    n_generated, n_train : int
    n_held_out : int
        0 without held-out images.
    metric : str
    """

    value: float
    held_out_value: float | None
    nearer_train: float | None
    n_generated: int
    n_train: int
    n_held_out: int
    metric: str

    def __float__(self) -> float:
        return self.value


def authenticity(
    train: ArrayLike,
    generated: ArrayLike,
    held_out: ArrayLike | None = None,
    *,
    metric: Metric = "euclidean",
    rng: np.random.Generator | None = None,
    memory_mb: float = 256.0,
    backend: Backend = "auto",
) -> AuthenticityResult:
    """Whether generated images are nearer to training images than new real images would be.

    Parameters
    ----------
    train : array_like, shape (N, d)
        Features of the images that the generator was trained on, N > 1.
    generated : array_like, shape (n, d)
    held_out : array_like, shape (m, d), optional
        Real images that the generator has not seen. The value alone depends on how densely the
        training set is sampled; next to theirs it can be read.
    metric : {"euclidean", "cosine"}
    rng : numpy.random.Generator, optional
        Draws the subset of the larger of ``train`` and ``held_out`` for ``nearer_train`` (of two
        sets the larger one is nearer by number alone); seeded with 0 where none is given.
    memory_mb, backend
        Passed to `rl2qc.metrics.neighbors.kneighbors`.

    Raises
    ------
    ValueError
        If a set is no finite, non-empty 2-D array, the dimensions differ, or ``train`` has a
        single image.

    References
    ----------
    Alaa et al., "How faithful is your synthetic data?", ICML 2022, Section 4 (authenticity);
    Meehan et al., "A non-parametric test to detect data-copying in generative models",
    AISTATS 2020 (held-out images as the measure).

    Examples
    --------
    >>> train, held_out = [[0.0], [1.0], [2.0]], [[0.5], [1.5], [2.5]]
    >>> copies = authenticity(train, [[0.01], [1.02]], held_out)
    >>> copies.value, copies.held_out_value, copies.nearer_train
    (0.0, 0.0, 1.0)
    """
    real, x = as_feature_pair(train, generated, ("train", "generated"))

    def authentic(queries: FloatArray) -> float:
        found = authentic_images(real, queries, metric=metric, memory_mb=memory_mb, backend=backend)
        return float(found.mean())

    def distance_to(reference: FloatArray) -> Floats:
        found = kneighbors(x, reference, 1, metric=metric, memory_mb=memory_mb, backend=backend)
        return found.distances

    held_out_value = nearer_train = None
    n_held_out = 0
    if held_out is not None:
        new = as_feature_pair(real, held_out, ("train", "held_out"))[1]
        n_held_out = len(new)
        held_out_value = authentic(new)
        rng = np.random.default_rng(0) if rng is None else rng
        size = min(len(real), len(new))
        to_train, to_new = (
            distance_to(part[np.sort(rng.choice(len(part), size, replace=False))])
            for part in (real, new)
        )
        nearer_train = float(np.mean((to_train < to_new) + 0.5 * (to_train == to_new)))
    return AuthenticityResult(
        value=authentic(x),
        held_out_value=held_out_value,
        nearer_train=nearer_train,
        n_generated=len(x),
        n_train=len(real),
        n_held_out=n_held_out,
        metric=metric,
    )


def authentic_images(
    train: ArrayLike,
    queries: ArrayLike,
    *,
    metric: Metric = "euclidean",
    memory_mb: float = 256.0,
    backend: Backend = "auto",
) -> NDArray[np.bool_]:
    """Whether each image is farther from its nearest training image than that one from its own.

    Parameters
    ----------
    train : array_like, shape (N, d)
        N > 1.
    queries : array_like, shape (n, d)
    metric, memory_mb, backend
        As in `authenticity`.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    ValueError
        As `authenticity`.

    Examples
    --------
    >>> authentic_images([[0.0], [1.0], [2.0]], [[0.1], [4.0]]).tolist()
    [False, True]
    """
    real, x = as_feature_pair(train, queries, ("train", "queries"))
    check_k(1, len(real), "train")
    found = kneighbors(x, real, 1, metric=metric, memory_mb=memory_mb, backend=backend)
    at, of_query = np.unique(found.indices[:, 0], return_inverse=True)
    # The nearest of all is the image itself, or another equal to it.
    spacing = kneighbors(real[at], real, 2, metric=metric, memory_mb=memory_mb, backend=backend)
    return np.asarray(found.distances[:, 0] > spacing.distances[of_query, 1])

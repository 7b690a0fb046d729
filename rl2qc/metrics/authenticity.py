"""Authenticity: a guard against generated images that are copies of training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.renamed import OldNames, renamed
from rl2qc.metrics._pair import Floats
from rl2qc.metrics.matrices import Matrices, Rows, halves
from rl2qc.metrics.neighbors import Backend, Distance, kneighbors
from rl2qc.stats._checks import FloatArray, as_feature_pair, check_k

__all__ = [
    "AuthenticityResult",
    "authentic_images",
    "authenticity",
    "authenticity_of_rows",
    "nearer_train_of_rows",
    "nearer_train_shuffled",
]


@dataclass(frozen=True)
class AuthenticityResult(OldNames):
    """The share of authentic images, what real ones score, and a comparison of two sources.

    Parameters
    ----------
    value : float
        Share of the generated images that lie farther from their nearest training image than
        that one lies from its own nearest training neighbour; higher is better.
    unseen_value : float or None
        The same share of unseen real images: what honest new images score. A value clearly
        below it means memorisation.
    nearer_train : float or None
        Share of the generated images that are nearer to the training than to the unseen images
        (ties count half), the two sets being of one size: 0.5 without memorisation, 1 for copies.
    n_generated, n_train : int
    n_unseen : int
        0 without unseen images.
    distance : str
    """

    old_names: ClassVar[Mapping[str, str]] = {
        "held_out_value": "unseen_value",
        "n_held_out": "n_unseen",
        "metric": "distance",
    }

    value: float
    unseen_value: float | None
    nearer_train: float | None
    n_generated: int
    n_train: int
    n_unseen: int
    distance: str

    def __float__(self) -> float:
        return self.value


@renamed(held_out="unseen", metric="distance")
def authenticity(
    train: ArrayLike,
    generated: ArrayLike,
    unseen: ArrayLike | None = None,
    *,
    distance: Distance = "euclidean",
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
    unseen : array_like, shape (m, d), optional
        Real images that the generator has not seen. The value alone depends on how densely the
        training set is sampled; next to theirs it can be read.
    distance : {"euclidean", "cosine"}
    rng : numpy.random.Generator, optional
        Draws the subset of the larger of ``train`` and ``unseen`` for ``nearer_train`` (of two
        sets the larger one is nearer by number alone); seeded with 0 where none is given.
    memory_mb, backend
        Passed to :func:`rl2qc.metrics.neighbors.kneighbors`.

    Raises
    ------
    ValueError
        If a set is no finite, non-empty 2-D array, the dimensions differ, or ``train`` has a
        single image.

    References
    ----------
    Alaa et al., "How faithful is your synthetic data?", ICML 2022, Section 4 (authenticity);
    Meehan et al., "A non-parametric test to detect data-copying in generative models",
    AISTATS 2020 (unseen images as the measure).

    Examples
    --------
    >>> train, unseen = [[0.0], [1.0], [2.0]], [[0.5], [1.5], [2.5]]
    >>> copies = authenticity(train, [[0.01], [1.02]], unseen)
    >>> copies.value, copies.unseen_value, copies.nearer_train
    (0.0, 0.0, 1.0)
    """
    real, x = as_feature_pair(train, generated, ("train", "generated"))

    def authentic(queries: FloatArray) -> float:
        found = authentic_images(
            real, queries, distance=distance, memory_mb=memory_mb, backend=backend
        )
        return float(found.mean())

    def distance_to(reference: FloatArray) -> Floats:
        found = kneighbors(x, reference, 1, distance=distance, memory_mb=memory_mb, backend=backend)
        return found.distances

    unseen_value = nearer_train = None
    n_unseen = 0
    if unseen is not None:
        new = as_feature_pair(real, unseen, ("train", "unseen"))[1]
        n_unseen = len(new)
        unseen_value = authentic(new)
        rng = np.random.default_rng(0) if rng is None else rng
        size = min(len(real), len(new))
        to_train, to_new = (
            distance_to(part[np.sort(rng.choice(len(part), size, replace=False))])
            for part in (real, new)
        )
        nearer_train = float(np.mean((to_train < to_new) + 0.5 * (to_train == to_new)))
    return AuthenticityResult(
        value=authentic(x),
        unseen_value=unseen_value,
        nearer_train=nearer_train,
        n_generated=len(x),
        n_train=len(real),
        n_unseen=n_unseen,
        distance=distance,
    )


def authentic_images(
    train: ArrayLike,
    queries: ArrayLike,
    *,
    distance: Distance = "euclidean",
    memory_mb: float = 256.0,
    backend: Backend = "auto",
) -> NDArray[np.bool_]:
    """Whether each image is farther from its nearest training image than that one from its own.

    Parameters
    ----------
    train : array_like, shape (N, d)
        N > 1.
    queries : array_like, shape (n, d)
    distance, memory_mb, backend
        As in :func:`authenticity`.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    ValueError
        As :func:`authenticity`.

    Examples
    --------
    >>> authentic_images([[0.0], [1.0], [2.0]], [[0.1], [4.0]]).tolist()
    [False, True]
    """
    real, x = as_feature_pair(train, queries, ("train", "queries"))
    check_k(1, len(real), "train")
    found = kneighbors(x, real, 1, distance=distance, memory_mb=memory_mb, backend=backend)
    at, of_query = np.unique(found.indices[:, 0], return_inverse=True)
    # The nearest of all is the image itself, or another equal to it.
    spacing = kneighbors(real[at], real, 2, distance=distance, memory_mb=memory_mb, backend=backend)
    return np.asarray(found.distances[:, 0] > spacing.distances[of_query, 1])


def authenticity_of_rows(matrices: Matrices, real: Rows, generated: Rows) -> float:
    """The share of authentic images among rows of the matrices, as :func:`authenticity` gives it.

    Raises
    ------
    ValueError
        For a single real row.
    """
    check_k(1, len(real), "the real set")
    at, nearest = matrices.nearest(generated, real)
    return float(np.mean(nearest > matrices.spacing(real, 1)[at, 0]))


def nearer_train_of_rows(matrices: Matrices, real: Rows, generated: Rows) -> float:
    """Share of rows nearer to the real rows than to as many unseen ones.

    Raises
    ------
    ValueError
        For matrices without unseen rows.
    """
    unseen = _unseen(matrices)
    size = min(len(real), len(unseen))
    return _nearer(matrices, generated, (real, unseen), size, matrices.seed)


def nearer_train_shuffled(matrices: Matrices, real: Rows, generated: Rows, n: int) -> Floats:
    """The same ``n`` times after real and unseen images (or slides) were shuffled.

    An honest generator knows neither from the other, so its value is one of these.

    Raises
    ------
    ValueError
        For matrices without unseen rows.
    """
    unseen = _unseen(matrices)
    both, size = np.concatenate([real, unseen]), min(len(real), len(unseen))
    values = []
    for seed in range(matrices.seed, matrices.seed + n):
        parts = halves(both, matrices.groups, seed)
        values.append(_nearer(matrices, generated, parts, min(size, *map(len, parts)), seed))
    return np.array(values)


def _unseen(matrices: Matrices) -> Rows:
    if matrices.unseen is None:
        raise ValueError("needs real images that the generator has not seen")
    return matrices.unseen


def _nearer(
    matrices: Matrices, generated: Rows, sets: tuple[Rows, Rows], size: int, seed: int
) -> float:
    """Share nearer to ``size`` rows of the first set than to as many of the second."""
    rng = np.random.default_rng(seed)  # the same draws as in authenticity
    to_first, to_second = (
        matrices.distances[
            np.ix_(generated, rows[np.sort(rng.choice(len(rows), size, replace=False))])
        ].min(axis=1)
        for rows in sets
    )
    return float(np.mean((to_first < to_second) + 0.5 * (to_first == to_second)))

"""IRS, the image retrieval score: how much of the training set a generator has learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.renamed import OldNames, renamed
from rl2qc.metrics._duplicates import first_occurrences
from rl2qc.metrics._occupancy import rarefied
from rl2qc.metrics.irs_counts import irs_from_counts, most_likely
from rl2qc.metrics.matrices import Matrices, Rows, halves
from rl2qc.metrics.neighbors import Backend, Distance, kneighbors
from rl2qc.stats._checks import FloatArray, as_feature_pair

__all__ = ["IrsResult", "irs", "irs_adjusted_of_rows", "irs_of_rows"]


@dataclass(frozen=True)
class IrsResult(OldNames):
    """The image retrieval score and what it was computed from.

    Parameters
    ----------
    value : float
        IRS_inf: the share of the training images that infinitely many generated ones would
        retrieve, by maximum likelihood; in (0, 1], higher is more diverse.
    low, high : float
        Bounds of IRS_inf, each exceeded with probability ``alpha``.
    saturated : bool
        The likelihood still rises at 1: the generated images are too few, or too diverse, to
        bound the value from above.
    irs_alpha : float
        IRS_alpha: the share retrieved by the images at hand.
    adjusted : float or None
        IRS_inf of the generated over IRS_inf of as many unseen real images, which cancels what
        the features cannot retrieve even from real images. None without unseen images.
    adjusted_saturated : bool or None
        Whether either of the two estimates is saturated.
    retrieved : int
        Distinct training images retrieved.
    n, n_train : int
        Generated images; training images, exact duplicates counted once.
    n_duplicates : int
        Training images left out because they are exact duplicates of others.
    distance : str
    alpha : float
        Error probability of each bound.
    """

    old_names: ClassVar[Mapping[str, str]] = {"metric": "distance"}

    value: float
    low: float
    high: float
    saturated: bool
    irs_alpha: float
    adjusted: float | None
    adjusted_saturated: bool | None
    retrieved: int
    n: int
    n_train: int
    n_duplicates: int
    distance: str
    alpha: float

    def __float__(self) -> float:
        return self.value


@renamed(held_out="unseen", metric="distance")
def irs(
    train: ArrayLike,
    generated: ArrayLike,
    unseen: ArrayLike | None = None,
    *,
    distance: Distance = "euclidean",
    alpha: float = 0.05,
    memory_mb: float = 256.0,
    backend: Backend = "auto",
) -> IrsResult:
    """Image retrieval score of generated images.

    Every generated image retrieves its nearest training image; the number of distinct ones tells
    how many the generator draws from (:func:`~rl2qc.metrics.irs_counts.irs_from_counts`). Exact
    duplicates in the training set (under the cosine distance: positive multiples) are one image:
    which of them is nearest is chance, and they could never all be retrieved.

    Parameters
    ----------
    train : array_like, shape (N, d)
    generated : array_like, shape (n, d)
    unseen : array_like, shape (m, d), optional
        Real images that are not in ``train``, for the adjusted score. The larger of the two query
        sets is brought to the size of the smaller one by its expected number of distinct images
        over all subsets (rarefaction), so nothing is drawn at random.
    distance : {"euclidean", "cosine"}
    alpha : float
        Error probability of each of the two bounds, in (0, 0.5).
    memory_mb, backend
        Passed to :func:`rl2qc.metrics.neighbors.kneighbors`.

    Raises
    ------
    ValueError
        If a set is no finite, non-empty 2-D array, the dimensions differ, or ``alpha`` is out of
        range.

    References
    ----------
    Dombrowski et al., "Image generation diversity issues and how to tame them", CVPR 2025;
    rarefaction: Hurlbert, "The nonconcept of species diversity", Ecology 52, 1971, Eq. 14.

    Examples
    --------
    >>> result = irs([[0.0], [1.0], [2.0], [3.0]], [[0.1], [0.2], [1.1], [0.9], [1.2], [0.3]])
    >>> result.retrieved, result.irs_alpha, result.value
    (2, 0.5, 0.5)
    """
    real, x = as_feature_pair(train, generated, ("train", "generated"))
    image = first_occurrences(real, distance)
    n_train = len(np.unique(image))

    def retrieve(queries: FloatArray) -> NDArray[np.intp]:
        """How often each retrieved training image was retrieved."""
        found = kneighbors(
            queries, real, 1, distance=distance, memory_mb=memory_mb, backend=backend
        )
        return np.unique(image[found.indices[:, 0]], return_counts=True)[1]

    counts = retrieve(x)
    estimate = irs_from_counts(len(counts), len(x), n_train, alpha)
    adjusted = adjusted_saturated = None
    if unseen is not None:
        other = retrieve(as_feature_pair(real, unseen, ("train", "unseen"))[1])
        size = min(int(counts.sum()), int(other.sum()))
        ours, ours_saturated = most_likely(rarefied(counts, size), size, n_train)
        theirs, theirs_saturated = most_likely(rarefied(other, size), size, n_train)
        adjusted, adjusted_saturated = ours / theirs, ours_saturated or theirs_saturated
    return IrsResult(
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        saturated=estimate.saturated,
        irs_alpha=len(counts) / n_train,
        adjusted=adjusted,
        adjusted_saturated=adjusted_saturated,
        retrieved=len(counts),
        n=len(x),
        n_train=n_train,
        n_duplicates=len(real) - n_train,
        distance=distance,
        alpha=alpha,
    )


def irs_of_rows(matrices: Matrices, real: Rows, generated: Rows) -> dict[str, float]:
    """``irs_alpha`` and ``irs_inf`` of rows of the matrices, as :func:`irs` gives them."""
    image = matrices.image
    n_train = len(np.unique(image[real]))
    retrieved = len(np.unique(image[real[matrices.nearest(generated, real)[0]]]))
    return {
        "irs_alpha": retrieved / n_train,
        "irs_inf": most_likely(retrieved, len(generated), n_train)[0] / n_train,
    }


def irs_adjusted_of_rows(matrices: Matrices, real: Rows, generated: Rows) -> float:
    """IRS_inf over that of unseen images; without any, of one half of the real rows."""
    if matrices.unseen is None:
        train, unseen = halves(real, matrices.groups, matrices.seed)
    else:
        train, unseen = real, matrices.unseen
    n_train = len(np.unique(matrices.image[train]))

    def retrieved(queries: Rows) -> NDArray[np.intp]:
        """How often each retrieved training image was retrieved."""
        at, _ = matrices.nearest(queries, train)
        return np.unique(matrices.image[train[at]], return_counts=True)[1]

    ours, theirs = retrieved(generated), retrieved(unseen)
    size = min(int(ours.sum()), int(theirs.sum()))
    s_ours, _ = most_likely(rarefied(ours, size), size, n_train)
    s_theirs, _ = most_likely(rarefied(theirs, size), size, n_train)
    return s_ours / s_theirs

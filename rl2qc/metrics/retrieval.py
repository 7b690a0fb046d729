"""How far extractors agree on what is nearest: the retrievals behind the image retrieval score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["NO_CONSENSUS", "consensus", "consensus_scores", "retrieval_agreement"]

NO_CONSENSUS = -1
"""In place of an image where no majority retrieves the same."""


def retrieval_agreement(retrieved: ArrayLike) -> NDArray[np.float64]:
    """How often two extractors retrieve the same training image.

    Parameters
    ----------
    retrieved : array_like of int, shape (k, n)
        The training image that each of k extractors retrieves for each of n queries.

    Returns
    -------
    (k, k) float64
        Shares of the queries; 1 on the diagonal.

    Raises
    ------
    ValueError
        If ``retrieved`` is no such array, or empty.

    References
    ----------
    Dombrowski et al., "Image generation diversity issues and how to tame them", CVPR 2025,
    supplement, Section 9 and Table 1.

    Examples
    --------
    >>> retrieval_agreement([[0, 1, 2, 3], [0, 1, 5, 6]]).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    found = _as_retrieved(retrieved)
    return np.array([[np.mean(a == b) for b in found] for a in found])


def consensus(retrieved: ArrayLike) -> NDArray[np.intp]:
    """The training image that most of the extractors retrieve, for each query.

    Parameters
    ----------
    retrieved : array_like of int, shape (k, n)

    Returns
    -------
    (n,) intp
        ``NO_CONSENSUS`` where not more than half of them retrieve the same: the paper asks for five
        of nine.

    Raises
    ------
    ValueError
        If ``retrieved`` is no such array, or empty.

    Examples
    --------
    >>> consensus([[0, 1, 2], [0, 1, 3], [0, 4, 5]]).tolist()
    [0, 1, -1]
    """
    found = _as_retrieved(retrieved)
    votes = (found[:, None] == found[None]).sum(axis=1)
    most = votes.argmax(axis=0)
    columns = np.arange(found.shape[1])
    majority = votes[most, columns] * 2 > len(found)
    return np.where(majority, found[most, columns], NO_CONSENSUS)


def consensus_scores(retrieved: ArrayLike) -> NDArray[np.float64]:
    """How often each extractor retrieves what the consensus does, where there is one.

    Parameters
    ----------
    retrieved : array_like of int, shape (k, n)

    Returns
    -------
    (k,) float64
        Shares of the queries that have a consensus; NaN where none has.

    Raises
    ------
    ValueError
        If ``retrieved`` is no such array, or empty.

    Examples
    --------
    >>> consensus_scores([[0, 1, 2], [0, 1, 3], [0, 4, 5]]).tolist()
    [1.0, 1.0, 0.5]
    """
    found, agreed = _as_retrieved(retrieved), consensus(retrieved)
    known = agreed != NO_CONSENSUS
    if not known.any():
        return np.full(len(found), np.nan)
    shares: NDArray[np.float64] = (found[:, known] == agreed[known]).mean(axis=1)
    return shares


def _as_retrieved(retrieved: ArrayLike) -> NDArray[np.intp]:
    found = np.asarray(retrieved)
    if found.ndim != 2 or not found.size or found.dtype.kind not in "iu" or found.min() < 0:
        raise ValueError(
            "retrieved must be numbers of images, a row an extractor and a column a query, got "
            f"{found.shape} of {found.dtype}"
        )
    return found.astype(np.intp)

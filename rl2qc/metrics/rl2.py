"""RL2: the distance between the mean latents of two image sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.metrics.moments import Moments
from rl2qc.stats._checks import as_features

__all__ = ["RL2Result", "rl2"]


@dataclass(frozen=True)
class RL2Result:
    """RL2 and what it was computed from.

    Parameters
    ----------
    value : float
        The distance, in units of the latent space; 0 for equal means, lower is better.
    n_a, n_b : int
        Images in the two sets.
    dimension : int
        Latent dimension.
    """

    value: float
    n_a: int
    n_b: int
    dimension: int

    def __float__(self) -> float:
        return self.value


def rl2(latents_a: ArrayLike | Moments, latents_b: ArrayLike | Moments) -> RL2Result:
    r"""Distance of two image sets in the latent space of the quality model.

    .. math:: \mathrm{RL2} = \Big\lVert \frac{1}{n_a} \sum_i z^a_i
              - \frac{1}{n_b} \sum_j z^b_j \Big\rVert_2

    Symmetric, and in float64 whatever the dtype of the latents.

    Parameters
    ----------
    latents_a, latents_b : array_like, shape (n, d), or Moments
        One row an image; ``Moments`` stand for a set that was accumulated batch by batch.

    Raises
    ------
    ValueError
        If a set is no finite, non-empty 2-D array, or if their dimensions differ.

    References
    ----------
    Jeevan, Nixon, Patil and Sethi, "Evaluation metric for quality control and generative models
    in histopathology images", ISBI 2025, arXiv:2411.01034.

    Examples
    --------
    >>> float(rl2([[0.0, 0.0], [2.0, 0.0]], [[1.0, 3.0]]))
    3.0
    """
    (mean_a, n_a), (mean_b, n_b) = _mean(latents_a, "latents_a"), _mean(latents_b, "latents_b")
    if mean_a.shape != mean_b.shape:
        raise ValueError(
            f"latents_a and latents_b must have the same dimension,"
            f" got {mean_a.size} and {mean_b.size}"
        )
    return RL2Result(float(np.linalg.norm(mean_a - mean_b)), n_a, n_b, mean_a.size)


def _mean(latents: ArrayLike | Moments, name: str) -> tuple[NDArray[np.float64], int]:
    if isinstance(latents, Moments):
        return latents.mean, latents.count
    x = as_features(latents, name)
    return x.mean(axis=0, dtype=np.float64), len(x)

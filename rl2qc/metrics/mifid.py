"""MiFID: FID that is worse for images near to training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rl2qc.metrics.frechet import fid
from rl2qc.metrics.neighbors import kneighbors
from rl2qc.stats._checks import as_feature_pair

__all__ = ["MifidResult", "mifid"]

# FID is divided by no less.
_LEAST = 1e-15


@dataclass(frozen=True)
class MifidResult:
    """Memorisation-informed FID (lower is better).

    Parameters
    ----------
    value : float
        ``fid / penalty``.
    fid : float
    memorisation : float
        Mean cosine distance of generated images to the nearest training image.
    penalty : float
        That distance where it is below the threshold, else 1.
    threshold : float
    warnings : tuple of str
        Those of FID.
    """

    value: float
    fid: float
    memorisation: float
    penalty: float
    threshold: float
    warnings: tuple[str, ...] = ()

    def __float__(self) -> float:
        return self.value


def mifid(train: ArrayLike, generated: ArrayLike, *, threshold: float = 0.1) -> MifidResult:
    r"""FID divided by the mean distance to training images, where that is suspiciously small.

    .. math:: m = \frac{1}{n} \sum_i \min_j \big(1 - \cos(g_i, t_j)\big), \qquad
              \mathrm{MiFID} = \mathrm{FID} / m \text{ where } m < \text{threshold}

    What is suspicious depends on the features: new real images tell. Features that are never
    negative lie near to each other, so that a threshold that suits Inception suits others less.

    Parameters
    ----------
    train : array_like, shape (N, d)
        Features of the images that the generator was trained on, at least 2.
    generated : array_like, shape (n, d)
    threshold
        The published 0.1 by default.

    Raises
    ------
    ValueError
        As :func:`rl2qc.fid` and the cosine distance do, and for a negative threshold.

    References
    ----------
    Bai et al., "On training sample memorization: lessons from benchmarking generative modeling
    with a large-scale competition", KDD 2021, section 4.

    Examples
    --------
    >>> train = [[1.0, 0.0], [0.0, 1.0]]
    >>> near = mifid(train, [[1.0, 0.02], [0.02, 1.0]])
    >>> near.value > 1000 * near.fid
    True
    """
    x, y = as_feature_pair(train, generated, ("train", "generated"), min_rows=2)
    if not threshold >= 0:
        raise ValueError(f"threshold must not be negative, got {threshold!r}")
    found = fid(x, y)
    distance = float(np.mean(kneighbors(y, x, 1, distance="cosine").distances))
    penalty = max(distance, _LEAST) if distance < threshold else 1.0
    return MifidResult(
        found.value / penalty, found.value, distance, penalty, threshold, found.warnings
    )

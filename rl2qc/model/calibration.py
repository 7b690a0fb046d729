"""From raw scores to p-values: split conformal prediction against held-out clean patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["conformal_p_values", "smallest_alpha"]


def conformal_p_values(scores: ArrayLike, calibration: ArrayLike) -> NDArray[np.float64]:
    """p = (1 + #{c <= s}) / (m + 1): how many clean patches are as unlikely as this one.

    For a patch exchangeable with the m calibration patches, P(p <= alpha) <= alpha.

    Parameters
    ----------
    scores : (n,)
        Higher is more normal.
    calibration : (m,)
        Scores of clean patches that took no part in training.

    Returns
    -------
    (n,) float64 in [1 / (m + 1), 1]; a score that is not finite has the smallest.

    References
    ----------
    Bates et al., "Testing for outliers with conformal p-values", Annals of Statistics 2023.

    Examples
    --------
    >>> conformal_p_values([0.0, 2.5, 9.0], [1.0, 2.0, 3.0]).tolist()
    [0.25, 0.75, 1.0]
    """
    calibration = np.sort(np.asarray(calibration, dtype=np.float64))
    scores = np.asarray(scores, dtype=np.float64)
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    below = np.searchsorted(calibration, scores, side="right")
    return np.asarray((1 + below) / (len(calibration) + 1), np.float64)


def smallest_alpha(n_calibration: int) -> float:
    """The smallest alpha at which ``n_calibration`` patches can reject anything."""
    return 1.0 / (n_calibration + 1.0)

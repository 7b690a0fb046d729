"""How far the scores of a slide lie from those of the model's reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["DRIFT_ALARM", "MIN_TILES", "score_drift"]

DRIFT_ALARM = 0.25
"""Drift from which a slide is called out of distribution: about what a shift of normal scores by
one standard deviation makes (0.26), and half of what there can be."""
MIN_TILES = 10
"""Fewer tiles are too few for an alarm: by chance alone, ten lie about 0.1 off."""


def score_drift(p_values: ArrayLike) -> float:
    """Wasserstein-1 distance of scores to the reference, both as ranks among the reference.

    A conformal p-value is a score's rank among the held-out clean scores, for which ranks are
    uniform: W = int_0^1 |Q(u) - u| du with Q the quantile function of the p-values. On ranks one
    far-off artifact counts as one tile, where on raw scores it would outweigh all the others.

    Parameters
    ----------
    p_values : (n,)
        In [0, 1].

    Returns
    -------
    float in [0, 0.5]; NaN for none. 0 is the reference itself, 0.5 a slide that is worse (or
    better) than all of it.

    References
    ----------
    Vallender, "Calculation of the Wasserstein distance between probability distributions on the
    line", Theory of Probability and its Applications 1974.

    Examples
    --------
    >>> score_drift([0.0, 0.0]), score_drift([0.25, 0.75])
    (0.5, 0.125)
    """
    p = np.sort(np.asarray(p_values, np.float64))
    if not len(p):
        return float("nan")
    # Q is constant on each of n equal steps, and |v - u| has the antiderivative (u - v)|u - v|/2.
    edges = np.arange(len(p) + 1) / len(p)
    upper, lower = edges[1:] - p, edges[:-1] - p
    return float(np.sum(upper * np.abs(upper) - lower * np.abs(lower)) / 2)

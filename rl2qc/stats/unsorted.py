"""Scores of patches that nobody sorted: how likely each is clean, and which stand for the clean.

To take out what is far and calibrate with the rest makes clean patches look more alike than they
are, and rejects new ones. Here clean and damaged are taken apart as a mixture instead, and what
calibrates is as many of the rare patches as are clean among them. Shortfalls are compared as
ratios: above the median, clean ones fall off exponentially in logarithms, and damaged ones lie
anywhere.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.stats._tail import Tail, clean_part, pareto_density, prior_scales

__all__ = ["clean_probabilities", "stand_for_clean"]

Floats: TypeAlias = NDArray[np.float64]

# Of the logarithms of clean patches' shortfalls above their median (the general model's evidence
# and densities out of fold, five laboratories: .4 to .65), and how sure that is; how far up
# damaged ones lie.
_SCALE, _DEVIATION = 0.55, 0.35
_TAIL = Tail(shape=0.0, reach=5.5)
_LEAST = 1e-9


def clean_probabilities(shortfalls: ArrayLike) -> Floats:
    """Probability (n,) that each patch is clean, most of them being so.

    Parameters
    ----------
    shortfalls : (n,)
        Above 0; higher is worse. What is not finite is damaged.

    Examples
    --------
    >>> clean_probabilities([1.0, 1.0, 1.1, 1.2, 1.3, 1.5, 90.0]).round(1).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    """
    found = np.asarray(shortfalls, np.float64)
    finite = np.isfinite(found)
    x = np.log(np.maximum(found[finite], _LEAST))
    clean = np.zeros(len(found))
    if not len(x):
        return clean
    scales, likely = prior_scales(_SCALE, _DEVIATION)
    middle, likely, damaged = clean_part(np.sort(x), scales, likely, _TAIL)
    excess = x - middle
    # Damaged patches all lie above the median of the clean ones, of which half do.
    share = 2 * damaged / (1 + damaged)
    own = (1 - share) * pareto_density(np.maximum(excess, 0)[:, None], scales, _TAIL.shape) @ likely
    clean[finite] = np.where(excess > 0, own / (own + share / _TAIL.reach), 1.0)
    return clean


def stand_for_clean(probabilities: ArrayLike, shortfalls: ArrayLike) -> NDArray[np.bool_]:
    """Patches (n,) of which, down to any shortfall, as many are taken as are clean.

    Systematic sampling in the order of the shortfalls [1]_, without chance.

    Parameters
    ----------
    probabilities, shortfalls : (n,)

    References
    ----------
    .. [1] Madow, "On the theory of systematic sampling, II", Annals of Mathematical Statistics
       20 (1949) 333-354.

    Examples
    --------
    >>> stand_for_clean([1.0, 0.5, 0.5, 0.5, 0.5], [1.0, 2.0, 3.0, 4.0, 5.0]).tolist()
    [True, True, False, True, False]
    """
    order = np.argsort(np.asarray(shortfalls, np.float64), kind="stable")
    sums = np.cumsum(np.asarray(probabilities, np.float64)[order])
    # Rounded: halves that add up to one must do so.
    steps = np.floor(np.round(sums, 9) + 0.5)
    taken = np.zeros(len(order), np.bool_)
    taken[order] = np.diff(steps, prepend=0.0) > 0
    return taken

"""What a person's corrections teach a general model: small changes of how much evidence weighs."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_weights"]

Floats: TypeAlias = NDArray[np.float64]

# Standard deviations that the changes may have, in log-odds; none at all is the first choice.
_WIDTHS = (1.0, 3.0, 9.0)
# How much better (log-loss a tile) a width must be to be taken for one that changes less.
_BETTER = 0.01
# Log-odds beyond this are no surer: one tile of which the model was sure must not outweigh others.
_SUREST = 6.0


def fit_weights(
    features: Floats, margins: Floats, bad: NDArray[np.bool_], groups: NDArray[np.int64]
) -> Floats:
    r"""Changes of weights by which corrected tiles come to lie on their side of the threshold.

    The most likely :math:`w` of a logistic regression with the model's own margin as offset,
    :math:`P(bad) = \sigma(m + f \cdot w)`, and a Gaussian prior around none [1]_; its width is
    chosen by leaving out one group at a time, and is 0 where changes do not help there, as it is
    where all corrections are of one group, or all call tiles clean, or all bad: these say nothing
    of where the one ends and the other begins.

    Parameters
    ----------
    features : (n, e)
        Evidence of the corrected tiles, relative to what is usual in their slide.
    margins : (n,)
        Log-odds of damage, less the threshold.
    bad : (n,) bool
        What the person said.
    groups : (n,) int64
        The slide of each.

    Returns
    -------
    (e,)

    References
    ----------
    .. [1] Hoerl and Kennard, "Ridge regression", Technometrics 12:55, 1970; as a prior: Hastie,
       Tibshirani and Friedman, "The Elements of Statistical Learning", 2009, section 4.4.4.

    Examples
    --------
    >>> features = np.r_[np.ones((10, 1)), np.zeros((10, 1))]
    >>> w = fit_weights(features, np.full(20, -3.0), features[:, 0] > 0, np.arange(20) % 2)
    >>> bool(w[0] > 2)
    True
    """
    none = np.zeros(features.shape[1])
    # What one slide teaches cannot be tried on another.
    if len(np.unique(groups)) < 2 or len(np.unique(bad)) < 2:
        return none
    margins = np.clip(margins, -_SUREST, _SUREST)
    best, width = _loss(margins, bad), 0.0
    for tried in _WIDTHS:
        left_out = np.concatenate(
            [
                _of_others(features, margins, bad, groups == group, tried)
                for group in np.unique(groups)
            ]
        )
        order = np.concatenate([np.flatnonzero(groups == group) for group in np.unique(groups)])
        found = _loss(left_out, bad[order])
        if found < best - _BETTER:
            best, width = found, tried
    return _fit(features, margins, bad, width) if width else none


def _of_others(
    features: Floats, margins: Floats, bad: NDArray[np.bool_], out: NDArray[np.bool_], width: float
) -> Floats:
    """The margins of what is left out, by what the others teach."""
    weights = _fit(features[~out], margins[~out], bad[~out], width)
    return np.asarray(margins[out] + features[out] @ weights)


def _fit(features: Floats, margins: Floats, bad: NDArray[np.bool_], width: float) -> Floats:
    # Here, since every command would wait for it.
    from scipy.optimize import minimize
    from scipy.special import expit

    sign = np.where(bad, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds = sign * (margins + features @ weights)
        slope = -sign * expit(-odds)
        value = float(np.logaddexp(0, -odds).sum() + 0.5 * weights @ weights / width**2)
        return value, features.T @ slope + weights / width**2

    found = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x, np.float64)


def _loss(margins: Floats, bad: NDArray[np.bool_]) -> float:
    return float(np.logaddexp(0, np.where(bad, -margins, margins)).mean())

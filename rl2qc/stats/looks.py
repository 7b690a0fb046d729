"""Several looks at one thing: the worst decides, corrected for their number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["corrected", "worst_of"]


def worst_of(p_values: NDArray[np.float64], of: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of the smallest p-value of each thing; of equal ones, the first.

    Parameters
    ----------
    p_values : (m,)
    of : (m,)
        Which thing each is about: 0 ... n - 1, each at least once.

    Returns
    -------
    (n,) int64.

    Examples
    --------
    >>> worst_of(np.array([0.5, 0.2, 0.9, 0.2]), np.array([0, 0, 1, 0])).tolist()
    [1, 2]
    """
    order = np.lexsort((p_values, of))
    first = np.searchsorted(of[order], np.arange(of.max() + 1 if len(of) else 0))
    return np.asarray(order[first], np.int64)


def corrected(p_values: NDArray[np.float64], looks: NDArray[np.int64]) -> NDArray[np.float64]:
    r"""The chance of a p-value this small among so many: :math:`1 - (1 - p)^k` [1]_.

    Exact for looks that are independent; where bad ones come together, as next to each other, fewer
    clean things are rejected than alpha allows.

    Parameters
    ----------
    p_values : (n,)
        The smallest of each.
    looks : (n,)
        How many there were.

    References
    ----------
    .. [1] Sidak, "Rectangular confidence regions for the means of multivariate normal
       distributions", JASA 62:626, 1967, corollary 2.

    Examples
    --------
    >>> corrected(np.array([0.01, 0.01]), np.array([1, 4])).round(4).tolist()
    [0.01, 0.0394]
    """
    # As it stands it would lose the digits of small ones.
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(looks * np.log1p(-p_values)), np.float64)

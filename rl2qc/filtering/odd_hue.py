"""Tiles that their hue condemns beyond doubt, whatever the network says.

No mixture of haematoxylin, eosin and blood has the hue that ``odd_hue`` counts
(:mod:`rl2qc.images.quantities`). Where three quarters of the tiles hold practically none of it, a
few thousandths of a tile's area are enough: of 3,018 clean tiles of twelve such laboratories and
organs 5 held more than .5 % beyond the usual, 2 more than 1 %, 1 more than 2 %. Where a stain or a
scanner brings such hues itself, they say nothing, and nothing is said.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["hue_p_values"]

# Fewer tiles do not say what is usual.
_FEWEST = 20
# Share of the area that three quarters of the tiles must not exceed.
_NONE = 0.001
# Beyond the usual, what is beyond doubt, how rare it is among clean tiles, and how that falls.
_SURE, _RARE, _FALL = 0.005, 0.002, 1.3


def hue_p_values(odd_hue: ArrayLike) -> NDArray[np.float64]:
    """Share of clean tiles with as much of a hue that no stain has; 1 where that is not sure.

    Parameters
    ----------
    odd_hue : (n,)
        Share of each tile's area, of all tiles of a slide or folder.

    Returns
    -------
    (n,) float64, at most .002 or 1.

    Examples
    --------
    >>> hue_p_values([0.0] * 30 + [0.004, 0.005, 0.05])[-3:].round(5).tolist()
    [1.0, 0.002, 0.0001]
    >>> float(hue_p_values(np.linspace(0, 0.5, 30)).min())
    1.0
    """
    share = np.asarray(odd_hue, np.float64)
    p = np.ones(len(share))
    if len(share) < _FEWEST:
        return p
    usual = float(np.quantile(share, 0.75))
    if usual > _NONE:
        return p
    sure = share - usual >= _SURE
    p[sure] = _RARE * (_SURE / (share[sure] - usual)) ** _FALL
    return p

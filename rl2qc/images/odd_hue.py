"""Tiles and cells that their hue condemns beyond doubt, whatever the network says.

No mixture of haematoxylin, eosin and blood has the hue that ``odd_hue`` counts
(:mod:`rl2qc.images.quantities`). Where three quarters of the tiles hold practically none of it, a
few thousandths of a tile's area are enough: of 3,018 clean tiles of twelve such laboratories and
organs 5 held more than .5 % beyond the usual, 2 more than 1 %, 1 more than 2 %. Where a stain or a
scanner brings such hues itself, they say nothing, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["hue_p_values", "mark_ink", "reasons_by_hue"]

# A cell with less of such a hue may lie at a border of colours.
_HALF = 0.5
# Fewer tiles do not say what is usual.
_FEWEST = 20
# Share of the area that three quarters of the tiles must not exceed.
_NONE = 0.001
# Beyond the usual, what is beyond doubt, how rare it is among clean tiles, and how that falls.
_SURE, _RARE, _FALL = 0.005, 0.002, 1.3
# Share of the drawings of each class that bring such a hue beyond doubt: what
# scripts/evaluate_odd_hue.py DATA --drawn prints.
_SHOWN: Mapping[str, float] = {
    "ink": 0.74,
    "pen": 0.71,
    "fold": 0.05,
    "dark_spot": 0.47,
    "bubble": 0.64,
    "foreign": 0.11,
    "noise": 0.20,
    "compression": 0.03,
    "other": 0.26,
}
# Rims and spots are grey, which is no stain's hue either, and noise has every hue.
_OF_THEIR_OWN = ("bubble", "dark_spot", "noise", "compression", "out_of_focus")


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
    p, usual = np.ones(len(share)), _usual(share)
    if usual is None:
        return p
    sure = share - usual >= _SURE
    p[sure] = _RARE * (_SURE / (share[sure] - usual)) ** _FALL
    return p


def _usual(share: NDArray[np.float64]) -> float | None:
    """The share that is usual; None where hue says nothing."""
    if len(share) < _FEWEST:
        return None
    usual = float(np.quantile(share, 0.75))
    return None if usual > _NONE else usual


def reasons_by_hue(
    of_classes: ArrayLike, odd_hue: ArrayLike, classes: Sequence[str]
) -> NDArray[np.float64]:
    """How likely each class of damage is, beside what hue says.

    A hue beyond doubt is ink, unless damage is seen that has such hues of its own. Where there is
    none, what mostly brings one is the less likely (Bayes).

    Parameters
    ----------
    of_classes : (n, C)
        How likely each class is without.
    odd_hue : (n,)
        Share of each tile's area, of all tiles of a slide or folder.
    classes
        Their names.

    Returns
    -------
    (n, C) float64
        In proportion to the probabilities; as they were where hue says nothing.

    Examples
    --------
    >>> odds = [[0.6, 0.4, 0.0]] * 29 + [[0.6, 0.4, 0.0], [0.2, 0.1, 0.7]]
    >>> found = reasons_by_hue(odds, [0.0] * 29 + [0.1, 0.1], ("fold", "ink", "bubble"))
    >>> found.argmax(1)[-3:].tolist()
    [0, 1, 2]
    """
    found, share = np.array(of_classes, np.float64), np.asarray(odd_hue, np.float64)
    if _usual(share) is None:
        return found
    sure = hue_p_values(share) < 1
    own = np.isin(np.asarray(classes)[found.argmax(1)], _OF_THEIR_OWN)
    found[~sure] *= 1 - np.array([_SHOWN.get(name, 0.0) for name in classes])
    if "ink" in classes:
        found[sure & ~own] = np.eye(len(classes))[list(classes).index("ink")]
    return found


def mark_ink(
    mask: NDArray[np.uint8], odd_hue: NDArray[np.float64], classes: Sequence[str]
) -> NDArray[np.uint8]:
    """A mask in which what has a hue that no stain has is ink, or pen where it is that already.

    Parameters
    ----------
    mask : (n, h, w) uint8
        The class of each cell, counted from 1; 0 where there is none. Of all tiles of a slide.
    odd_hue : (n, h, w)
        Share of each cell, grey ones left aside: rims and dark spots are grey.
    classes
        Their names.

    Returns
    -------
    (n, h, w) uint8
        ``mask`` itself where hue says nothing.

    Examples
    --------
    >>> odd, mask = np.zeros((30, 4, 4)), np.zeros((30, 4, 4), np.uint8)
    >>> odd[0, 0] = 0, 0.25, 0.5, 1
    >>> mark_ink(mask, odd, ("fold", "ink"))[0, 0].tolist()
    [0, 0, 2, 2]
    """
    if "ink" not in classes or _usual(odd_hue.mean((1, 2))) is None:
        return mask
    inked = odd_hue >= _HALF
    if "pen" in classes:
        inked &= mask != classes.index("pen") + 1
    return np.where(inked, classes.index("ink") + 1, mask).astype(np.uint8)

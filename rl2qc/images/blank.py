"""Tiles that show nothing but glass: no damage, and nothing to learn from either."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["BLANK_P", "blank_tiles"]

BLANK_P = 8e-4
"""p-value of a blank tile: of 1,175 clean tiles of seventeen laboratories none is."""
# Mean optical density (base e), and by how much that of the darkest 2 % of the area exceeds it:
# clean tiles' by .08 at least, and by .04 blurred by 8 px. Glass may have any tint.
_LIGHT, _EVEN = 0.3, 0.02


def blank_tiles(measurements: Mapping[str, ArrayLike]) -> NDArray[np.bool_] | None:
    """Which tiles (n,) are blank; None where that was not measured.

    Parameters
    ----------
    measurements
        (n,) each, by the names of :data:`rl2qc.images.quantity_names.QUANTITIES`.

    Examples
    --------
    >>> blank_tiles({"density": [0.05, 0.03], "darkness": [0.05, 0.08]}).tolist()
    [True, False]
    """
    names = ("density", "darkness")
    if not measurements.keys() >= set(names):
        return None
    density, darkness = (np.asarray(measurements[name]) for name in names)
    return np.asarray((density <= _LIGHT) & (darkness - density <= _EVEN))

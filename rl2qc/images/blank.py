"""Tiles that show nothing but glass: no damage, and nothing to learn from either."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["BLANK_P", "blank_tiles"]

BLANK_P = 8e-4
"""p-value of a blank tile: of 1,175 clean tiles of seventeen laboratories none is, nor has any more
than .78 of its area white."""
# Share of the area that is white; by how much the optical density (base e) of the darkest 2 % of it
# exceeds the mean. Pale tissue may be as white, but is nowhere as even.
_WHITE, _EVEN = 0.98, 0.02


def blank_tiles(measurements: Mapping[str, ArrayLike]) -> NDArray[np.bool_] | None:
    """Which tiles (n,) are blank; None where that was not measured.

    Parameters
    ----------
    measurements
        (n,) each, by the names of :data:`rl2qc.images.quantity_names.QUANTITIES`.

    Examples
    --------
    >>> measured = {"white": [1.0, 1.0], "density": [0.05, 0.03], "darkness": [0.05, 0.08]}
    >>> blank_tiles(measured).tolist()
    [True, False]
    """
    names = ("white", "density", "darkness")
    if not measurements.keys() >= set(names):
        return None
    white, density, darkness = (np.asarray(measurements[name]) for name in names)
    return np.asarray((white >= _WHITE) & (darkness - density <= _EVEN))

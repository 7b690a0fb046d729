"""Images that overlap: neighbouring tiles of one piece of tissue, shifted against each other."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

__all__ = ["overlapping"]

_Floats: TypeAlias = NDArray[np.float32]
_Pairs: TypeAlias = NDArray[np.int64]

# Two thumbnails overlap where they correlate so well on so large a share of their area: of
# 3,000 pairs of tiles apart none correlates by more than 0.92 at its best shift.
CORRELATION, SHARE = 0.95, 0.3
# Grey levels that the part in common must vary by: two pale margins are alike wherever they lie.
_CONTRAST = 4.0
_CHUNK = 256


def overlapping(thumbnails: _Floats, pairs: _Pairs) -> NDArray[np.bool_]:
    """Whether the images of each pair show the same tissue, shifted by any whole number of cells.

    Parameters
    ----------
    thumbnails : (n, s, s) float32
        Brightness in grey levels.
    pairs : (m, 2) int64
        Rows to be held against each other.

    Returns
    -------
    (m,) bool

    References
    ----------
    Padfield, "Masked object registration in the Fourier domain", IEEE Transactions on Image
    Processing 21, 2012 (correlation normalised on the part in common).

    Examples
    --------
    >>> scene = np.random.default_rng(0).normal(128, 30, (48, 48)).astype(np.float32)
    >>> tiles = np.stack([scene[:32, :32], scene[10:42, 6:38], scene[::-1][:32, :32]])
    >>> overlapping(tiles, np.array([[0, 1], [0, 2]])).tolist()
    [True, False]
    """
    found = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _CHUNK):
        chunk = pairs[start : start + _CHUNK]
        rows, at = np.unique(chunk, return_inverse=True)
        found[start : start + _CHUNK] = _correlate(thumbnails[rows], at.reshape(-1, 2)) >= (
            CORRELATION
        )
    return found


def _correlate(images: _Floats, pairs: _Pairs) -> _Floats:
    """The best correlation (m,) of pairs of images (n, s, s) over shifts with enough in common."""
    side = images.shape[-1]
    size = (2 * side, 2 * side)
    whole = rfft2(np.ones((side, side), np.float32), size)

    def back(x: NDArray[np.complex64]) -> _Floats:
        return np.asarray(irfft2(x, size), np.float32)

    x = images - images.mean(axis=(1, 2), keepdims=True)
    at = rfft2(x, size)
    squared = rfft2(x * x, size)
    n = np.maximum(np.rint(back(whole * whole.conj())), 1)
    # Sums over the part in common, for every shift, of the first of a pair; those of the second are
    # those of a first shifted the other way.
    common = back(at * whole.conj())
    spread = back(squared * whole.conj()) - common**2 / n
    i, j = pairs.T
    product = back(at[i] * at[j].conj()) - common[i] * _the_other_way(common)[j] / n
    a, b = spread[i], _the_other_way(spread)[j]
    enough = (n >= SHARE * side**2) & (np.minimum(a, b) >= _CONTRAST**2 * n)
    scale = np.sqrt(np.maximum(a * b, 1e-6))
    best: _Floats = np.where(enough, product / scale, -1.0).max(axis=(1, 2))
    return best


def _the_other_way(x: NDArray[Any]) -> NDArray[Any]:
    """Values (n, 2 s, 2 s) at the opposite of each shift."""
    return np.roll(x[:, ::-1, ::-1], 1, axis=(1, 2))

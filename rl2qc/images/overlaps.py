"""Images that overlap: neighbouring tiles of one piece of tissue, shifted against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

__all__ = ["overlapping"]

_Floats: TypeAlias = NDArray[np.float32]
_Pairs: TypeAlias = NDArray[np.int64]

# Two thumbnails overlap where they correlate so well on so large a share of their area: of
# 3,000 pairs of tiles apart none correlates by more than 0.92 at its best shift.
CORRELATION, SHARE = 0.95, 0.3
# Grey levels that the part in common must vary by: two pale margins are alike wherever they lie.
_CONTRAST = 4.0
# Pairs whose images are transformed at once, and that are held against each other at once.
_MANY, _CHUNK = 2048, 128


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
    shifts = _Shifts(thumbnails.shape[-1])
    for start in range(0, len(pairs), _MANY):
        # What is of one image alone is found once for many pairs.
        rows, at = np.unique(pairs[start : start + _MANY], return_inverse=True)
        images, at = shifts.of_images(thumbnails[rows]), at.reshape(-1, 2)
        for first in range(0, len(at), _CHUNK):
            best = shifts.correlate(images, at[first : first + _CHUNK])
            found[start + first : start + first + len(best)] = best >= CORRELATION
    return found


@dataclass(frozen=True, eq=False)
class _Shifted:
    """Images (n, s, s), transformed, and what the part of each at each of k shifts is like.

    Attributes
    ----------
    transformed : (n, ...) complex64
    mean : (n, k) float32
        Its sum over the square root of its area.
    scale : (n, k) float32
        One over the root of its sum of squares about its mean; 0 where it is too pale.
    """

    transformed: NDArray[np.complex64]
    mean: _Floats
    scale: _Floats


class _Shifts:
    """All shifts of an image (s, s) against another that leave enough in common.

    They are in order, so that the opposite shifts are the same backwards.
    """

    def __init__(self, side: int) -> None:
        reach = np.arange(1 - side, side)
        n = np.multiply.outer(side - np.abs(reach), side - np.abs(reach))
        down, right = np.nonzero(n >= SHARE * side**2)
        self._n = n[down, right].astype(np.float32)
        down, right = reach[down], reach[right]
        # With so much room around an image, none of these comes round to its other side.
        size = next_fast_len(side + int(down.max()), real=True)
        self._size, self._at = (size, size), (down % size) * size + right % size
        self._whole = rfft2(np.ones((side, side), np.float32), self._size).conj()

    def of_images(self, images: _Floats) -> _Shifted:
        """What :meth:`correlate` needs of each of the images (n, s, s)."""
        x = images - images.mean(axis=(1, 2), keepdims=True)
        transformed = rfft2(x, self._size)
        mean = self._back(transformed * self._whole) / np.sqrt(self._n)
        spread = self._back(rfft2(x * x, self._size) * self._whole) - mean**2
        enough = spread >= _CONTRAST**2 * self._n
        scale = enough / np.sqrt(np.maximum(spread, 1))
        return _Shifted(transformed, mean, scale)

    def correlate(self, images: _Shifted, pairs: _Pairs) -> _Floats:
        """The best correlation (m,) of pairs of rows over the shifts; 0 where all are too pale."""
        i, j = pairs.T
        # Sums over the part in common, for every shift, of the first of a pair; those of the second
        # are those of a first shifted the other way.
        product = self._back(images.transformed[i] * images.transformed[j].conj())
        product -= images.mean[i] * images.mean[j, ::-1]
        product *= images.scale[i]
        product *= images.scale[j, ::-1]
        best: _Floats = product.max(axis=1)
        return best

    def _back(self, x: NDArray[np.complex64]) -> _Floats:
        """Values (n, k) at the shifts."""
        back = irfft2(x, self._size, overwrite_x=True).reshape(len(x), -1)
        return np.asarray(back.take(self._at, axis=1), np.float32)

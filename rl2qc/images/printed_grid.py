"""A grid that is printed on the glass, taken off a picture: it is no tissue, and hides none."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.images.components import dilated

__all__ = ["without_grid"]

Mask = NDArray[np.bool_]

# A line is darker, by so many grey levels in one colour, than what is so many px away on both
# sides, along so large a share of so many px; it goes on so for so many px.
_DARKER, _AWAY, _SHARE, _SEEN, _LONG = 8, 4, 0.8, 33, 64
# A grid has lines both ways, which together are so many times as long as the picture.
_LINES = 3.0
# Rows in which a line of one px is seen.
_THICK = 3


def without_grid(rgb: NDArray[np.uint8], counted: Mask) -> NDArray[np.uint8]:
    """The picture with what is beside a line in its place; itself where there is no grid.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8, a few micrometres per pixel.
    counted
        (h, w) bool, pixels that were scanned.

    Examples
    --------
    >>> picture = np.full((200, 300, 3), 240, np.uint8)
    >>> picture[::20] = picture[:, ::20] = (90, 110, 200)
    >>> found = without_grid(picture, np.ones((200, 300), bool))
    >>> bool((picture == 240).all()), bool((found[20:-20, 20:-20] == 240).all())
    (False, True)
    """
    if min(rgb.shape[:2]) < 2 * _LONG:
        return rgb
    across = _lines(rgb, counted)
    if across.sum() < _LINES * _THICK * rgb.shape[1]:
        return rgb
    down = _lines(np.ascontiguousarray(rgb.transpose(1, 0, 2)), counted.T).T
    if down.sum() < _LINES * _THICK * rgb.shape[0]:
        return rgb
    filled = _filled(rgb, across)
    return np.ascontiguousarray(_filled(filled.transpose(1, 0, 2), down.T).transpose(1, 0, 2))


def _lines(rgb: NDArray[np.uint8], counted: Mask) -> Mask:
    """Lines across, aslant by a few hundredths at most, a px or a few wide."""
    # At the edge, the other side stands for both.
    padded = cv2.copyMakeBorder(rgb, _AWAY, _AWAY, 0, 0, cv2.BORDER_REFLECT_101)
    above, below = padded[: -2 * _AWAY], padded[2 * _AWAY :]
    darker = cv2.subtract(cv2.min(above, below), rgb).max(axis=2) > _DARKER
    darker &= counted
    wide = cv2.dilate(darker.astype(np.uint8), np.ones((3, 1), np.uint8))
    # Texture is as dark here and there, and not for long.
    along = cv2.blur(wide.astype(np.float32), (_SEEN, 1)) > _SHARE
    long = cv2.morphologyEx(along.astype(np.uint8), cv2.MORPH_OPEN, np.ones((1, _LONG), np.uint8))
    # Lines that it crosses leave gaps.
    whole = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((1, 2 * _AWAY + 1), np.uint8))
    return np.asarray((long > 0) & (whole > 0), np.bool_)


def _filled(rgb: NDArray[np.uint8], lines: Mask) -> NDArray[np.uint8]:
    """``rgb`` with pixels of lines across taken from above or below them, noise and all."""
    gone, filled = dilated(lines, 3), rgb.copy()
    rows, columns = np.nonzero(gone)
    left = np.ones(len(rows), np.bool_)
    for step in range(2, 2 * _AWAY + 1):
        for other in (rows - step, rows + step):
            found = left & (other >= 0) & (other < len(rgb))
            found[found] = ~gone[other[found], columns[found]]
            filled[rows[found], columns[found]] = rgb[other[found], columns[found]]
            left &= ~found
    return filled

"""From coordinates of square pixels to those of a file whose pixels are not square, and back.

Square pixels are never smaller than those of the file: so each of their places has one of its own
in the file, and the way back is exact. Tiles reach outwards to whole pixels of the file: there is
no gap between neighbours, and none reaches over the edge of the slide.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Stretch",
    "file_corners",
    "file_sides",
    "mpp_again",
    "square_bounds",
    "square_corners",
    "square_tile",
]

Stretch: TypeAlias = tuple[float, float]
"""Pixels of the file that a square one has across and down, each at least 1."""

# More than products of such numbers are rounded by.
_ROUNDING = 1e-6


def file_corners(corners: ArrayLike, stretch: Stretch) -> NDArray[np.int64]:
    """Corners (..., 2) of tiles in pixels of the file.

    Examples
    --------
    >>> file_corners([[3, 5]], (2.0, 1.0)).tolist()
    [[6, 5]]
    """
    exact = np.asarray(corners, np.float64) * np.array(stretch)
    return np.asarray(np.floor(exact + _ROUNDING), np.int64)


def file_sides(side: int, stretch: Stretch) -> tuple[int, int]:
    """Width and height in pixels of the file of what has that side in square ones.

    Examples
    --------
    >>> file_sides(224, (1.2, 1.0))
    (269, 224)
    """
    width, height = np.ceil(side * np.array(stretch) - _ROUNDING).astype(int).tolist()
    return width, height


def square_corners(corners: ArrayLike, stretch: Stretch) -> NDArray[np.int64]:
    """The way back from :func:`file_corners`.

    Examples
    --------
    >>> places = np.arange(100).reshape(-1, 2)
    >>> (square_corners(file_corners(places, (1.2, 1.0)), (1.2, 1.0)) == places).all()
    np.True_
    """
    exact = np.asarray(corners, np.float64) / np.array(stretch)
    return np.asarray(np.ceil(exact - _ROUNDING), np.int64)


def square_tile(tile: tuple[int, int, int], stretch: Stretch) -> tuple[int, int, int]:
    """Corner and side in square pixels of a tile with that corner and width in the file.

    Examples
    --------
    >>> square_tile((1200, 7, 269), (1.2, 1.0))
    (1000, 7, 224)
    """
    x, y = square_corners(tile[:2], stretch).tolist()
    return x, y, int(tile[2] / stretch[0] + _ROUNDING)


def square_bounds(bounds: tuple[int, int, int, int], stretch: Stretch) -> tuple[int, int, int, int]:
    """x, y, width and height of the square pixels that lie wholly within bounds.

    Examples
    --------
    >>> square_bounds((1, 0, 9, 8), (2.0, 1.0))
    (1, 0, 4, 8)
    """
    left, top = square_corners(bounds[:2], stretch).tolist()
    right, bottom = (
        np.floor((np.array(bounds[:2]) + bounds[2:]) / np.array(stretch) + _ROUNDING)
        .astype(int)
        .tolist()
    )
    return left, top, max(1, right - left), max(1, bottom - top)


def mpp_again(mpp: float | None, stretch: Stretch) -> float | None:
    """What a slide that was read before is to be opened with (``mpp_override``): an override makes
    pixels square, so those that were not are told by the file again.

    Examples
    --------
    >>> mpp_again(0.5, (1.0, 1.0)), mpp_again(0.5, (2.0, 1.0))
    (0.5, None)
    """
    return mpp if stretch == (1.0, 1.0) else None

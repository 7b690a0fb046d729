"""The argument check that the pixel metrics share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["as_images"]


def as_images(
    values: ArrayLike, name: str = "images", *, min_side: int = 1, min_count: int = 1
) -> NDArray[np.uint8]:
    """Check that ``values`` is a ``(n, h, w, 3)`` uint8 array and return it, not copied.

    Parameters
    ----------
    values : array_like, shape (n, h, w, 3)
    name : str
        What the caller calls the argument; it opens every error message.
    min_side : int
        Fewest pixels of the shorter side.
    min_count : int
        Fewest images.

    Raises
    ------
    ValueError
        If they are no such array.

    Examples
    --------
    >>> import numpy as np
    >>> as_images(np.zeros((2, 8, 8, 3)))
    Traceback (most recent call last):
        ...
    ValueError: images must be uint8 (0 to 255), got float64
    """
    try:
        array: NDArray[Any] = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must all be of one size") from None
    if array.ndim != 4 or array.shape[3] != 3:
        raise ValueError(f"{name} must have shape (n, height, width, 3), got {array.shape}")
    if array.dtype != np.uint8:
        raise ValueError(f"{name} must be uint8 (0 to 255), got {array.dtype}")
    n, height, width, _ = array.shape
    if n < min_count:
        raise ValueError(f"{name} needs at least {min_count} images, got n = {n}")
    if min(height, width) < min_side:
        raise ValueError(f"{name} must be at least {min_side} px a side, got {height} x {width}")
    return array

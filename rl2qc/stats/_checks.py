"""Argument checks that every metric shares: one clear line, before any work is done."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FloatArray", "as_count", "as_feature_pair", "as_features", "check_k"]

FloatArray: TypeAlias = NDArray[np.floating[Any]]

# KID takes the third power of inner products: beyond this it leaves the range of float64.
_LARGEST = 1e50


def as_count(value: int, name: str, *, at_least: int = 1) -> int:
    """Check that an option is a whole number and no smaller than ``at_least``.

    Raises
    ------
    ValueError
        For anything but an int (or NumPy integer), and for one that is too small.

    Examples
    --------
    >>> as_count(2.5, "n_splits")
    Traceback (most recent call last):
        ...
    ValueError: n_splits must be a whole number, got 2.5
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value}")
    return int(value)


def as_features(values: ArrayLike, name: str = "features", *, min_rows: int = 1) -> FloatArray:
    """Check that ``values`` is a finite ``(n, d)`` array and return it as floats.

    ``float32`` and ``float64`` arrays are returned as they are (no copy is made, and none may be
    written to); every other real dtype is converted to ``float64``.

    Parameters
    ----------
    values : array_like, shape (n, d)
        One row an image.
    name : str
        What the caller calls the argument; it opens every error message.
    min_rows : int
        The fewest images that the metric is defined for.

    Raises
    ------
    ValueError
        If the array is not 2-D, not real, empty, not finite, of values beyond 1e50, or has fewer
        than ``min_rows`` rows.

    Examples
    --------
    >>> as_features([[1, 2], [3, 4]]).dtype
    dtype('float64')
    >>> as_features([1.0, 2.0], "latents")
    Traceback (most recent call last):
        ...
    ValueError: latents must be a 2-D array (images x dimensions), got shape (2,)
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must be a 2-D array, got rows of different lengths") from None
    if array.ndim != 2:
        raise ValueError(
            f"{name} must be a 2-D array (images x dimensions), got shape {array.shape}"
        )
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}")
    n, d = array.shape
    if n == 0 or d == 0:
        raise ValueError(f"{name} is empty: shape {array.shape}")
    if n < min_rows:
        raise ValueError(f"{name} needs at least {min_rows} images, got n = {n}")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    # The extremes carry every NaN and infinity, and finding them allocates nothing.
    least, most = array.min(), array.max()
    if not np.isfinite(least) or not np.isfinite(most):
        bad = np.flatnonzero([not np.isfinite(row).all() for row in array])
        raise ValueError(
            f"{name} must be finite: NaN or infinity in {bad.size} of {n} rows,"
            f" the first is row {bad[0]}"
        )
    if (largest := max(-float(least), float(most))) > _LARGEST:
        raise ValueError(
            f"{name} too large: values up to {largest:.3g}, but their powers overflow beyond"
            f" {_LARGEST:.0e}; scale the features down"
        )
    return array


def as_feature_pair(
    first: ArrayLike,
    second: ArrayLike,
    names: tuple[str, str] = ("real", "generated"),
    *,
    min_rows: int = 1,
) -> tuple[FloatArray, FloatArray]:
    """Check two feature arrays with :func:`as_features`, and that their dimensions match.

    Examples
    --------
    >>> as_feature_pair([[0.0]], [[0.0, 1.0]])
    Traceback (most recent call last):
        ...
    ValueError: real and generated must have the same dimension, got 1 and 2
    """
    a = as_features(first, names[0], min_rows=min_rows)
    b = as_features(second, names[1], min_rows=min_rows)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"{names[0]} and {names[1]} must have the same dimension,"
            f" got {a.shape[1]} and {b.shape[1]}"
        )
    return a, b


def check_k(k: int, n: int, name: str = "") -> None:
    """Raise ``ValueError`` unless ``n`` images hold ``k`` neighbours of each (self excluded).

    Examples
    --------
    >>> check_k(3, 2)
    Traceback (most recent call last):
        ...
    ValueError: k = 3 needs more than 3 images, got n = 2
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k must be a positive integer, got {k!r}")
    if n <= k:
        where = f" in {name}" if name else ""
        raise ValueError(f"k = {k} needs more than {k} images{where}, got n = {n}")

"""Images known again by their pixels."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIGEST_BYTES", "checked_digests", "digests_of", "pixel_digest"]

DIGEST_BYTES = 8


def pixel_digest(image: NDArray[np.uint8]) -> bytes:
    """Eight bytes that are those of equal pixels alone (BLAKE2b), whatever the file is called.

    Parameters
    ----------
    image : (h, w, 3) uint8

    Examples
    --------
    >>> pixel_digest(np.zeros((2, 2, 3), np.uint8)).hex()
    '36d97a632aa15618'
    """
    shape = np.array(image.shape, "<i8").tobytes()
    return hashlib.blake2b(shape + image.tobytes(), digest_size=DIGEST_BYTES).digest()


def digests_of(rows: NDArray[np.uint8]) -> frozenset[bytes]:
    """The digests in the rows (n, 8) of an array.

    Examples
    --------
    >>> digests_of(np.zeros((2, 8), np.uint8)) == {bytes(8)}
    True
    """
    return frozenset(row.tobytes() for row in rows)


def checked_digests(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows that may hold digests.

    Raises
    ------
    ValueError
        They are not (n, 8) uint8.

    Examples
    --------
    >>> checked_digests(np.zeros((2, 8), np.uint8)).shape
    (2, 8)
    """
    if rows.dtype != np.uint8 or rows.shape[1:] != (DIGEST_BYTES,):
        raise ValueError(f"digests are {rows.shape} {rows.dtype}, not (n, {DIGEST_BYTES}) uint8")
    return rows

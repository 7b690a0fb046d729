"""Colour profiles: what the numbers of a picture mean where they are not sRGB's."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

__all__ = ["is_of_other_colours"]

# Red, green and blue of sRGB as profiles have them, adapted to D50: X, Y, Z each.
_SRGB = np.array([[0.436, 0.222, 0.014], [0.385, 0.717, 0.097], [0.143, 0.061, 0.714]])
_NEAR = 0.02
_HEADER, _ENTRY, _MOST_TAGS = 128, 12, 100


def is_of_other_colours(image: Image.Image) -> bool:
    """Whether a picture carries a profile of colours, and not that of sRGB.

    Of a damaged profile nothing can be said; one of tables, as scanners have them, is not sRGB's.

    Examples
    --------
    >>> is_of_other_colours(Image.new("RGB", (8, 8)))
    False
    """
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or profile[16:20] != b"RGB " or profile[36:40] != b"acsp":
        return False
    try:
        primaries = np.array([_xyz(profile, name) for name in (b"rXYZ", b"gXYZ", b"bXYZ")])
    except struct.error:
        return False
    except KeyError:
        return True
    return bool(np.abs(primaries - _SRGB).max() > _NEAR)


def _xyz(profile: bytes, wanted: bytes) -> tuple[float, ...]:
    """A tag of three numbers, in 65,536ths."""
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    for number in range(min(count, _MOST_TAGS)):
        name, start, _ = struct.unpack_from(">4sII", profile, _HEADER + 4 + _ENTRY * number)
        if name == wanted:
            return tuple(value / 65536 for value in struct.unpack_from(">3i", profile, start + 8))
    raise KeyError(wanted)

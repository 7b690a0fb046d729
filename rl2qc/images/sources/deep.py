"""Pictures of more than 8 bits per channel, brought to 8 by what they say or hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from rl2qc.errors import ImageError

__all__ = [
    "Samples",
    "bits_of",
    "head_of",
    "odd_tiff",
    "read_samples",
    "said_white",
    "to_8_bits",
    "white_level",
]

Samples: TypeAlias = NDArray[Any]
"""(h, w) or (h, w, channels) as they are stored, red first."""

# Depths that cameras have; a picture is of the smallest that holds its brightest pixel.
_DEPTHS = (8, 10, 12, 14, 16)
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE, _SAMPLE_FORMAT = 258, 262, 281, 339
_MIN_IS_WHITE = 0


def bits_of(image: Image.Image) -> int:
    """Bits per channel, from the header; 32 of numbers with a fraction, too.

    Examples
    --------
    >>> bits_of(Image.new("RGB", (8, 8)))
    8
    """
    if isinstance(image, TiffImageFile):
        stored = image.tag_v2.get(_BITS_PER_SAMPLE, (8,))
        return max(stored) if isinstance(stored, tuple) else int(stored)
    if image.mode == "F":
        return 32
    tiles: Any = getattr(image, "tile", None)
    tile: Any = tiles[0] if tiles else ()
    arguments = tile[3] if len(tile) > 3 else ()
    if image.format == "PNG":
        return 16 if ";16" in str(arguments) else 8
    if image.format == "PPM" and isinstance(arguments, tuple) and arguments:
        return int(arguments[-1]).bit_length() if isinstance(arguments[-1], int) else 8
    if image.format == "JPEG2000":
        return _jpeg_2000_bits(image)
    return 16 if image.mode.startswith("I") else 8


def _jpeg_2000_bits(image: Image.Image) -> int:
    """The precision that the first component has in the SIZ segment."""
    head = head_of(image, 4096)
    start = head.find(b"\xff\x4f\xff\x51")
    place = start + 2 + 2 + 36 + 2
    return (head[place] & 0x7F) + 1 if start >= 0 and len(head) > place else 8


def head_of(image: Image.Image, count: int) -> bytes:
    """The first bytes of the file of an open picture; none where it is not open any more."""
    fp: Any = getattr(image, "fp", None)
    if fp is None:
        return b""
    position = fp.tell()
    fp.seek(0)
    head: bytes = fp.read(count)
    fp.seek(position)
    return head


def said_white(image: Image.Image) -> int | None:
    """The value that a file calls white, None where it does not say."""
    if isinstance(image, TiffImageFile):
        most = image.tag_v2.get(_MAX_SAMPLE)
        most = max(most) if isinstance(most, tuple) and most else most
        if isinstance(most, int) and most > 255:
            return most
        bits = bits_of(image)
        return 2**bits - 1 if 8 < bits < 16 else None
    if image.format == "PNG":
        # Of 16 significant bits, a file of 16 holds all; of fewer, it may hold them as they are.
        return 65535 if _significant_bits(image) == 16 else None
    if image.format in ("PPM", "JPEG2000"):
        bits = bits_of(image)
        return 2**bits - 1 if 8 < bits < 16 else None
    return None


def _significant_bits(image: Image.Image) -> int | None:
    """What the sBIT chunk of a PNG, which stands before its pixels, says of the first channel."""
    head = head_of(image, 65536)
    place = head.find(b"sBIT", 0, max(0, head.find(b"IDAT")))
    return head[place + 4] if place > 0 else None


def read_samples(path: Path, image: Image.Image, page: int = 0) -> Samples:
    """All bits of a picture: Pillow keeps the upper eight of three channels alone.

    Raises
    ------
    ImageError
        They are packed in a way that cannot be read.
    """
    if image.format == "TIFF":
        found = _tiff_samples(path, page)
    elif image.mode.startswith("I") or image.mode == "F":
        found = np.asarray(image)
    else:
        found = _by_opencv(path, 0)
    if found is None or found.ndim not in (2, 3) or found.shape[:2] != _stored_size(image):
        raise ImageError(
            f"{path} is of {bits_of(image)} bits per channel, packed in a way that "
            "cannot be read: save it uncompressed or as PNG"
        )
    return found


def _stored_size(image: Image.Image) -> tuple[int, int]:
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2[257]), int(image.tag_v2[256])
    return image.height, image.width


def _tiff_samples(path: Path, page: int) -> Samples | None:
    # Here and below, since few pictures need it and each helper would load it.
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            found: Any = tiff.pages[page]
            samples = np.asarray(found.asarray())
            planar = found.planarconfig == tifffile.PLANARCONFIG.SEPARATE
            photometric, several = found.photometric, found.samplesperpixel > 1
    except Exception:  # whatever it stumbles over, another library may not
        return _by_opencv(path, page) if page == 0 else None
    if planar and several and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    if photometric == _MIN_IS_WHITE and samples.dtype.kind == "u":
        samples = np.iinfo(samples.dtype).max - samples
    return samples


def odd_tiff(path: Path) -> str:
    """What kind of TIFF it is that is not read, to be put behind a message; "" of other files."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            return (
                f" that is read: it is a TIFF of {page.samplesperpixel} channels of {page.dtype}, "
                f"compressed by {page.compression.name.lower()}; save it as RGB of 8 or 16 bits"
            )
    except Exception:  # no TIFF
        return ""


def _by_opencv(path: Path, page: int) -> Samples | None:
    import cv2

    content = np.fromfile(path, np.uint8)
    try:
        found = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if found is not None and found.ndim == 3 and found.shape[2] >= 3:
        found[..., :3] = found[..., 2::-1]
    return found


def white_level(samples: Samples, said: int | None) -> int:
    """The value that is white: what the file says, or what its depth reaches that it holds.

    A 12-bit camera saves files of 16 bits in which 4095 is white.

    Examples
    --------
    >>> white_level(np.array([[4000]], np.uint16), None), white_level(np.array([[9, 80]]), None)
    (4095, 255)
    """
    most = samples.max(initial=0)
    if not np.isfinite(most):
        return 65535  # of what is refused
    most = int(most)
    if said is not None and said >= most:
        return said
    return next((2**bits - 1 for bits in _DEPTHS if most < 2**bits), 65535)


def to_8_bits(samples: Samples, white: float, path: Path) -> NDArray[np.uint8]:
    """Samples scaled so that ``white`` becomes 255.

    Raises
    ------
    ImageError
        Negative, endless or larger numbers than 16 bits hold.
    """
    if samples.dtype.kind == "f" and not np.isfinite(samples).all():
        raise ImageError(f"{path} holds values that are no numbers")
    if samples.min(initial=0) < 0 or samples.max(initial=0) > 65535:
        raise ImageError(
            f"{path} holds values of {samples.min():g} to {samples.max():g}: bring them to 8 or 16 "
            "bits per channel"
        )
    if samples.dtype.kind == "f":
        return (samples * (255.0 / white)).clip(0, 255).round().astype(np.uint8)
    values = np.arange(65536, dtype=np.float64) * (255.0 / white)
    table = values.clip(0, 255).round().astype(np.uint8)
    return table[samples]

"""What a TIFF says of its tiles, held against its size before a library takes its word for it.

Of one that says that its tiles are a billion pixels high, C code ends the process in the attempt to
make room for one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import tifffile

from rl2qc.errors import SlideError

__all__ = ["MOST_SIDE", "check_geometry", "is_ndpi"]

# Sides of an image, in px: at 0.1 um/px, half a metre would be 5 million.
MOST_SIDE = 2**24
# Bytes of a tile once it is decoded, of which a reader holds several.
_MOST_TILE = 2**28
# Pages that are looked at.
_MOST_PAGES = 4096
_WIDTH, _LENGTH, _BITS, _SAMPLES, _PLANAR = 256, 257, 258, 277, 284
# Of a number that Hamamatsu gives each of its pages.
_NDPI = 65420
_TILE_WIDTH, _TILE_LENGTH, _OFFSETS, _COUNTS = 322, 323, 324, 325


def check_geometry(file: Path) -> None:
    """Refuse a TIFF in tiles whose sizes cannot be.

    What a damaged file does not say, or what is no TIFF, is for its reader; a file that is cut
    short passes, since what is left of it can be read.

    Raises
    ------
    SlideError
        Its sides, its tiles or what they take in the file are of a size that cannot be true.
    """
    for number, page in _tiled_pages(file):
        wrong = _implausible(page, file.stat().st_size)
        if wrong:
            raise SlideError(
                f"{file} cannot be opened as a slide: it says that {wrong} (page {number}), so "
                "it is damaged: copy it anew from where it came from"
            )


@dataclass(frozen=True)
class _Sizes:
    """What a page says of its tiles, in px, and how many it lists, the largest in bytes."""

    image: tuple[int, int]
    tile: tuple[int, int]
    samples: int
    bits: int
    planes: bool
    listed: int
    largest: int


def _tiled_pages(file: Path) -> list[tuple[int, _Sizes]]:
    """The pages in tiles, from 1, as far as they can be read."""
    found = list[tuple[int, _Sizes]]()
    try:
        with tifffile.TiffFile(file, is_ndpi=is_ndpi(file)) as tiff:
            for number in range(min(len(tiff.pages), _MOST_PAGES)):
                tags = tiff.pages[number].aspage().tags
                if _TILE_WIDTH in tags:
                    found.append((number + 1, _sizes(tags)))
    except Exception:  # no TIFF, or a damaged one
        return found
    return found


def is_ndpi(file: Path) -> bool:
    """Whether a file is Hamamatsu's kind of TIFF, with offsets of 64 bits, whatever its name is.

    OpenSlide asks what is in it, and tifffile its name: one renamed would be read as damaged.
    """
    with file.open("rb") as opened:
        head = opened.read(12)
        if head[:4] != b"II*\0":
            return False
        # The first directory may lie beyond 4 GiB, at a number of eight bytes.
        places = {int.from_bytes(head[4:end], "little") for end in (8, 12)}
        for place in sorted(p for p in places if p < file.stat().st_size):
            opened.seek(place)
            count = int.from_bytes(opened.read(2), "little")
            entries = opened.read(12 * count)
            tags = (entries[i : i + 2] for i in range(0, len(entries), 12))
            if _NDPI in (int.from_bytes(tag, "little") for tag in tags):
                return True
    return False


def _sizes(tags: tifffile.TiffTags) -> _Sizes:
    def value(tag: int, otherwise: int) -> int:
        found = tags.valueof(tag, otherwise)
        return int(max(found) if isinstance(found, tuple) else found)

    return _Sizes(
        (value(_WIDTH, 0), value(_LENGTH, 0)),
        (value(_TILE_WIDTH, 0), value(_TILE_LENGTH, 0)),
        value(_SAMPLES, 1),
        value(_BITS, 1),
        value(_PLANAR, 1) == tifffile.PLANARCONFIG.SEPARATE,
        tags[_OFFSETS].count if _OFFSETS in tags else 0,
        value(_COUNTS, 0),
    )


def _implausible(page: _Sizes, size: int) -> str:
    """What of a page cannot be true, "" if nothing."""
    (width, height), (across, down) = page.image, page.tile
    if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE):
        return f"it has {width} x {height} px"
    samples = 1 if page.planes else page.samples
    if not 0 < across * down * samples * page.bits / 8 <= _MOST_TILE:
        return f"its tiles have {across} x {down} px"
    tiles = math.ceil(width / across) * math.ceil(height / down)
    tiles *= page.samples if page.planes else 1
    if page.listed < tiles:
        return f"it has {tiles} tiles, and it lists {page.listed}"
    if page.largest > size:
        return f"one of its tiles takes {page.largest} of its {size} bytes"
    return ""

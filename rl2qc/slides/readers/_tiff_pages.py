"""What a TIFF holds beside the images that a reader of slides takes from it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tifffile

from rl2qc.errors import SlideError
from rl2qc.slides.readers._tiff_geometry import is_ndpi

__all__ = ["other_pages"]

# Smaller ones are labels, macro pictures and thumbnails.
_SMALLEST = 0.04
# Formats whose pages are parts of one image.
_OF_PARTS = frozenset({"leica", "ventana", "biotek", "dicom", "mirax", "zeiss"})
_CHANNELS = re.compile(r'\bSizeC="(\d+)"')


@dataclass(frozen=True)
class _Page:
    size: tuple[int, int]
    samples: int
    tiled: bool
    reduced: bool


def other_pages(file: Path, levels: Sequence[tuple[int, int]], vendor: str) -> tuple[str, ...]:
    """What is to be said of the pages of a slide that are not read.

    Parameters
    ----------
    file
        The slide; of one that is no TIFF there is nothing to say.
    levels
        Width and height of each level that is read.
    vendor
        The format, as its reader calls it.

    Raises
    ------
    SlideError
        Its channels are pages of their own, so that one of them would be taken for the slide.
    """
    if vendor in _OF_PARTS or not file.is_file():
        return ()
    try:
        with tifffile.TiffFile(file, is_ndpi=is_ndpi(file)) as tiff:
            pages = [_page(page) for page in tiff.pages]
            text = str(getattr(tiff.pages[0], "description", ""))[:100_000]
    except Exception:  # no TIFF, or a damaged one, which its reader opened all the same
        return ()
    others = _full_images(pages, levels)
    channels = max(map(int, _CHANNELS.findall(text)), default=1)
    if pages[0].samples == 1 and (others or channels > 1):
        raise SlideError(
            f"{file} holds {max(channels, 1 + len(others))} pages or channels of one colour each, "
            "and no page of RGB: save it as RGB (bfconvert, vips bandjoin), since one channel is "
            "no stained slide"
        )
    warnings = []
    if others:
        shapes = ", ".join(f"{w} x {h} px" for w, h in [levels[0], *others[:3]])
        warnings.append(
            f"the file holds {1 + len(others)} images of full resolution ({shapes}), of which the "
            "first alone is read: save each section as a file, or as OME-TIFF (pip install "
            "'rl2qc[ome]')"
        )
    if pages[0].samples == 1:
        warnings.append("the slide has a single channel, which is taken for red, green and blue")
    return tuple(warnings)


def _page(page: Any) -> _Page:
    page = page.aspage()
    # Bit 0 of NewSubfileType: a smaller copy of another page.
    return _Page(
        (int(page.imagewidth), int(page.imagelength)),
        int(page.samplesperpixel),
        bool(page.is_tiled),
        bool(page.subfiletype & 1),
    )


def _full_images(
    pages: Sequence[_Page], levels: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Sizes of the pages that are images of their own, and no level of the one that is read."""
    read, found = Counter(levels), list[tuple[int, int]]()
    width, height = levels[0]
    for page in pages:
        w, h = page.size
        if read[page.size]:
            read[page.size] -= 1
        elif page.tiled and not page.reduced and w * h >= _SMALLEST * width * height:
            # A level whose writer did not call it one.
            is_level = w * 1.9 < width and abs(w * height - h * width) <= 2 * max(width, height)
            if not is_level:
                found.append(page.size)
    return found

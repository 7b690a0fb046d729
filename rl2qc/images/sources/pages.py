"""Files that hold several pictures: each page is an image with a name of its own."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from rl2qc.images.sources.formats import TIFF_SUFFIXES, opens_in_c, pillow_formats

__all__ = ["page_names", "pages_of", "split_page"]

_PAGE = re.compile(r"^(.+)@page([1-9]\d{0,6})$", re.DOTALL)
_NEW_SUBFILE, _OLD_SUBFILE, _SAMPLES = 254, 255, 277
# Bits of the tag: a smaller copy, and a mask.
_REDUCED, _MASK = 1, 4


def split_page(name: str | Path) -> tuple[Path, int]:
    """The file of an image, and the number of its page from 0.

    Examples
    --------
    >>> split_page("a/stack.tif@page3")
    (PosixPath('a/stack.tif'), 2)
    >>> split_page("a/one.tif")[1]
    0
    """
    path = Path(name)
    found = _PAGE.match(str(name))
    if found is None or path.exists():
        return path, 0
    return Path(found[1]), int(found[2]) - 1


def page_names(path: Path) -> tuple[list[str], str]:
    """The names of the images in a file, and what is to be said of its other pages.

    A TIFF of several pages of full size is a stack of images; one of a single page goes by its own
    name. What cannot be opened is one image, which fails when it is read.

    Returns
    -------
    Names, and a line without the file's name, "" where there is nothing to say.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES or not path.is_file() or opens_in_c(path):
        return [str(path)], ""
    try:
        with Image.open(path, formats=pillow_formats()) as image:
            count = getattr(image, "n_frames", 1)
            if count == 1:
                return [str(path)], ""
            if not isinstance(image, TiffImageFile):
                return [str(path)], f"holds {count} pages, of which the first is read"
            whole, grey = pages_of(image), image.tag_v2.get(_SAMPLES, 1) == 1
    except Exception:  # it is for the reader to say what is wrong with it
        return [str(path)], ""
    left = count - len(whole)
    said = f"holds {left} smaller copies or masks beside its images, which are left out" * bool(
        left
    )
    # Pages of one channel each may be the colours of one image: its reader says so.
    if whole == [0] or grey:
        return [str(path)], said
    return [f"{path}@page{number + 1}" for number in whole], said


def pages_of(image: Image.Image) -> list[int]:
    """The pages of a TIFF that are images of their own, from 0: no smaller copies, no masks."""
    if not isinstance(image, TiffImageFile):
        return [0]
    whole, sizes = [], []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        tags = image.tag_v2
        reduced = int(tags.get(_NEW_SUBFILE, 0)) & (_REDUCED | _MASK)
        if number == 0 or not (reduced or tags.get(_OLD_SUBFILE) == 2):
            whole.append(number)
            sizes.append(image.size)
    image.seek(0)
    # Pages that shrink step by step are a pyramid, whether they say so or not.
    if len(sizes) > 1 and _is_pyramid(sizes):
        return [0]
    return whole


def _is_pyramid(sizes: list[tuple[int, int]]) -> bool:
    """Whether each size is a smaller one of the same shape."""
    return all(
        b[0] < a[0] and b[1] < a[1] and abs(a[0] * b[1] - a[1] * b[0]) <= 2 * max(*a, *b)
        for a, b in pairwise(sizes)
    )

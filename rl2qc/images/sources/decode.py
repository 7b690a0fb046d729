"""The one way in which a picture becomes pixels, for all commands.

As every viewer shows it: turned as it says, transparency on white, all bits counted. What was done
to it, and what it says of itself, goes along (:class:`About`).
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rl2qc.core.apart import Died, apart
from rl2qc.errors import ImageError
from rl2qc.images.jpeg_quality import quality_of, subsampling_of
from rl2qc.images.sources.deep import (
    Samples,
    bits_of,
    odd_tiff,
    read_samples,
    said_white,
    to_8_bits,
    white_level,
)
from rl2qc.images.sources.formats import opens_in_c, pillow_formats, seen_by_c
from rl2qc.images.sources.images import About
from rl2qc.images.sources.images import Image as Pixels
from rl2qc.images.sources.lossy import lossy
from rl2qc.images.sources.pages import pages_of, split_page
from rl2qc.images.sources.placeholders import why_not_fetched, why_unreadable
from rl2qc.images.sources.profiles import is_of_other_colours
from rl2qc.images.sources.scale import recorded_mpp
from rl2qc.images.sources.turns import turned

__all__ = [
    "MAX_BYTES",
    "about_image",
    "open_picture",
    "read_cutout",
    "read_image",
    "read_mask",
    "read_picture",
    "shown_size",
]

MAX_BYTES = 300 * 10**6
"""Decoded pictures that are larger are refused, before anything is allocated for them."""
# The limit above is ours, and lower than the one that Pillow warns of.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Of damaged headers, the error that follows says enough.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\..*ImagePlugin")

_ORIENTATION = 274

Read = TypeVar("Read")


@contextmanager
def open_picture(
    path: str | Path, content: bytes | None = None
) -> Iterator[tuple[Image.Image, int]]:
    """A picture by its name, open at its page, and the number of the page from 0.

    Parameters
    ----------
    path
        A file, or one page of it; of ``content`` only what it is called.
    content
        The bytes of a file, where it is none by itself.

    Raises
    ------
    ImageError
        It is not there, no picture of a kind that is read, too large, or damaged; so are errors
        within the context.
    """
    file, page = split_page(path) if content is None else (Path(path), 0)
    if reason := why_unreadable(file) if content is None else why_not_fetched(content[:512]):
        raise ImageError(f"{path} {reason}")
    try:
        stream = file if content is None else BytesIO(content)
        with Image.open(stream, formats=pillow_formats()) as image:
            if page:
                image.seek(page)
            _check_size(path, image)
            yield image, page
    except FileNotFoundError as error:
        raise ImageError(f"no such image: {path}") from error
    except UnidentifiedImageError as error:
        empty = not (file.stat().st_size if content is None else content)
        why = ": it is empty, was it copied whole?" if empty else ""
        why = why or (_odd(file) if content is None else "")
        raise ImageError(f"{path} is not an image{why}") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    except ImageError:
        raise
    except Exception as error:
        # What Pillow lets through of files that lie about themselves.
        raise ImageError(f"{path} cannot be read: it is damaged ({error!r})") from error


def _odd(file: Path) -> str:
    try:
        return apart(odd_tiff, file)
    except Died:
        return ""


def _check_size(path: str | Path, image: Image.Image) -> None:
    deep = bits_of(image) > 8
    size = image.width * image.height * max(3, len(image.getbands())) * (1 + deep)
    if size > MAX_BYTES:
        raise ImageError(
            f"{path} of {image.width} x {image.height} px would take {size / 1e6:.0f} MB: more "
            f"than {MAX_BYTES / 1e6:.0f} MB are no image of a patch, so cut it into smaller ones"
        )


def _apart(function: Callable[..., Read], path: str | Path, content: bytes | None = None) -> Read:
    """Decode in a process that a hostile file may end."""
    try:
        return apart(function, path) if content is None else apart(function, path, content)
    except Died as died:
        raise ImageError(
            f"{path} killed the process that decodes it twice ({died.signal}): it is damaged, or "
            "takes more memory than there is"
        ) from None


def read_picture(path: str | Path, content: bytes | None = None) -> tuple[Pixels, About]:
    """A picture as (h, w, 3) uint8 RGB, and what it says of itself.

    Parameters
    ----------
    path
        A file, or one page of it (``stack.tif@page3``).
    content
        As in :func:`open_picture`.

    Raises
    ------
    ImageError
        A file that is no picture, or a damaged one.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.png"
    >>> Image.new("L", (4, 2), 80).save(file)
    >>> pixels, about = read_picture(file)
    >>> pixels.shape, pixels[0, 0].tolist(), about.grey
    ((2, 4, 3), [80, 80, 80], True)
    """
    return _apart(_read_picture, path, content)


def _read_picture(path: str | Path, content: bytes | None = None) -> tuple[Pixels, About]:
    with open_picture(path, content) as (image, page):
        bits = bits_of(image)
        if bits <= 8 and image.format == "PNG":
            # First, since it may say behind its pixels which side is up.
            image.load()
        about = _about(image, page, bits)
        _refuse_planes(path, image, about)
        if about.bits > 8:
            samples, white = _deep(path, image, page, content)
            pixels = _rgb_of_samples(to_8_bits(samples, white, Path(path)))
            return turned(pixels, about.turned), replace(about, white=white)
        # Pillow turns TIFF pictures itself, as it loads them.
        shown = (
            ImageOps.exif_transpose(image) if about.turned > 1 and image.format != "TIFF" else image
        )
        return _to_rgb(shown), about


def read_image(path: str | Path) -> Pixels:
    """:func:`read_picture` without what it says of itself."""
    return read_picture(path)[0]


def about_image(path: str | Path, content: bytes | None = None) -> About:
    """What a picture says of itself, from its header; of one of more than 8 bits per channel, the
    pixels are read to know what is white.

    Raises
    ------
    ImageError
        A file that is no picture.
    """
    if not (opens_in_c(split_page(path)[0]) if content is None else seen_by_c(content)):
        with open_picture(path, content) as (image, page):
            about = _about(image, page)
            _refuse_planes(path, image, about)
            if about.bits <= 8:
                return about
    return _apart(_about_image, path, content)


def _about_image(path: str | Path, content: bytes | None = None) -> About:
    with open_picture(path, content) as (image, page):
        about = _about(image, page)
        _refuse_planes(path, image, about)
        if about.bits > 8:
            about = replace(about, white=_deep(path, image, page, content)[1])
        return about


def read_mask(path: str | Path) -> Samples:
    """A mask with its numbers as they are stored, (h, w) or (h, w, channels), turned as it says.

    Raises
    ------
    ImageError
        A file that is no picture, or one of several pages.
    """
    return _apart(_read_mask, path)


def _read_mask(path: str | Path) -> Samples:
    with open_picture(path) as (image, page):
        about = _about(image, page)
        if about.pages > 1 and split_page(path)[0] == Path(path):
            raise ImageError(f"{path} holds {about.pages} pages: save each mask as a file")
        if about.bits > 8:
            return turned(read_samples(split_page(path)[0], image, page), about.turned)
        image.load()
        shown = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
        return np.asarray(shown)


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Height and width in px of an open picture, after it is turned."""
    # The size of a TIFF is that after the turn already.
    if _orientation(image) >= 5 and image.format != "TIFF":
        return image.width, image.height
    return image.height, image.width


def read_cutout(path: str | Path) -> Pixels:
    """Read a picture with transparency as (h, w, 4) uint8, turned as it says, without its fully
    transparent margin.

    Raises
    ------
    ImageError
        A file that is no image, has no transparency, or shows nothing.
    """
    return _apart(_read_cutout, path)


def _read_cutout(path: str | Path) -> Pixels:
    with open_picture(path) as (image, _):
        if not image.has_transparency_data:
            raise ImageError(f"{path} is no cut-out: it has no transparency")
        shown = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
        layer = shown.convert("RGBA")
    box = layer.getchannel("A").getbbox()
    if box is None:
        raise ImageError(f"{path} is no cut-out: it is transparent everywhere")
    return np.array(layer.crop(box))


def _about(image: Image.Image, page: int, bits: int | None = None) -> About:
    # Asked first: what follows may read the pixels, and forget how they are stored.
    bits = bits_of(image) if bits is None else bits
    height, width = shown_size(image)
    frames = getattr(image, "n_frames", 1)
    pages = len(pages_of(image)) if frames > 1 and image.format == "TIFF" else frames
    if frames > 1:
        image.seek(page)
    return About(
        height=height,
        width=width,
        format=str(image.format),
        lossy=lossy(image),
        quality=quality_of(image),
        subsampling=subsampling_of(image),
        turned=_orientation(image),
        bits=bits,
        grey=len(image.getbands()) - image.mode.endswith("A") < 3 and image.mode != "P",
        pages=pages,
        mpp=recorded_mpp(image),
        other_colours=is_of_other_colours(image),
    )


def _refuse_planes(path: str | Path, image: Image.Image, about: About) -> None:
    """Refuse pages of one channel each: red, green and blue of one image, or images of a stack?"""
    if image.format == "TIFF" and about.pages > 1 and about.grey:
        raise ImageError(
            f"{path} holds {about.pages} pages of one channel each: if they are the colours of one "
            "image, save it as one page of RGB; if they are images, save each as a file"
        )


def _orientation(image: Image.Image) -> int:
    """EXIF's number for the side that is up; 1 is as stored."""
    if image.format == "TIFF":
        found = image.tag_v2.get(_ORIENTATION, 1)  # type: ignore[attr-defined]
    else:
        # Not that of PNG files, which reads all pixels to see what stands behind them.
        found = Image.Image.getexif(image).get(_ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _deep(
    path: str | Path, image: Image.Image, page: int, content: bytes | None = None
) -> tuple[Samples, float]:
    """The samples of a picture of more than 8 bits, and the value that is white."""
    if content is None:
        samples = read_samples(split_page(path)[0], image, page)
    else:  # those who read so many bits want a file
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "image")
            file.write_bytes(content)
            samples = read_samples(file, image, page)
    if samples.dtype.kind == "f" and samples.max(initial=0) <= 1:
        return samples, 1.0
    return samples, float(white_level(samples, said_white(image)))


def _rgb_of_samples(samples: Pixels) -> Pixels:
    if samples.ndim == 2 or samples.shape[2] == 1:
        return np.repeat(samples.reshape(*samples.shape[:2], 1), 3, axis=2)
    modes = {2: "LA", 3: "RGB", 4: "RGBA"}
    if samples.shape[2] not in modes:
        raise ImageError(f"{samples.shape[2]} channels are no colours")
    return _to_rgb(Image.fromarray(np.ascontiguousarray(samples), modes[samples.shape[2]]))


def _to_rgb(image: Image.Image) -> Pixels:
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        glass = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(glass, layer)
    return np.array(image.convert("RGB"))

"""What lies in a folder: slides and images of patches, told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rl2qc.errors import ImageError
from rl2qc.images.sources.decode import open_picture
from rl2qc.images.sources.files import image_size, is_image, list_files
from rl2qc.images.sources.pages import pages_of
from rl2qc.images.sources.placeholders import is_regular
from rl2qc.slides.readers.base import (
    is_ambiguous,
    is_kept_beside,
    is_slide,
    is_slide_folder,
    may_be_slide,
)

__all__ = ["Contents", "is_wanted", "look_into", "tell_apart"]

# Longer sides than this are no patch's; published patches go up to 2048 px.
_PATCH_SIDE = 4096
# A TIFF in tiles that is no larger, and has no pyramid, is a patch and no slide.
_TILED_SIDE = 512


@dataclass(frozen=True)
class Contents:
    """What lies below a folder.

    Attributes
    ----------
    slides, images
        Each in the order of the walk.
    warnings
        What is left out, and what could not be looked into.
    """

    slides: list[Path]
    images: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def look_into(folder: Path, *, as_slides: bool = False) -> Contents:
    """Everything below a folder, by the one listing of files; ``as_slides`` as in
    :func:`tell_apart`.

    Examples
    --------
    >>> import tempfile
    >>> top = Path(tempfile.mkdtemp())
    >>> _ = (top / "a.svs").touch(), (top / "a.png").touch(), (top / "here").symlink_to(top)
    >>> found = look_into(top)
    >>> [file.name for file in found.slides], [file.name for file in found.images]
    (['a.svs'], ['a.png'])
    """
    found = list_files(folder, is_wanted, whole=is_slide_folder)
    beside = {file for file in found.files if is_kept_beside(file)}
    slides, images = tell_apart([f for f in found.files if f not in beside], as_slides=as_slides)
    warnings = list(found.warnings)
    if beside:
        what = "1 store" if len(beside) == 1 else f"{len(beside)} stores"
        which = "" if len(beside) == 1 else ", such as"
        first = min(beside)
        warnings.append(f"left out, since SpatialData is no slide: {what}{which} {first}")
    return Contents(slides, images, warnings)


def is_wanted(file: Path) -> bool:
    """Whether a file is a picture, or for a reader of slides."""
    # A link to a slide that is gone is a slide that fails, and is listed.
    return is_image(file) or (is_regular(file) and may_be_slide(file))


def tell_apart(files: Sequence[Path], *, as_slides: bool = False) -> tuple[list[Path], list[Path]]:
    """The slides and the images of patches among files that lie together.

    Some files, such as TIFF, may be either. A small square one without a pyramid is a patch,
    whether in strips or in tiles, and so are small ones of other shapes beside it, unless there are
    slides that cannot be taken for patches. One that no reader of slides knows is a damaged patch,
    or a large one, where all others are patches; anywhere else a slide, which fails and is listed.

    Parameters
    ----------
    files
    as_slides
        What could be a small slide is one: the user calls them slides, or has coordinates for them.
    """
    slides = {file for file in files if is_slide(file)}
    tested = () if as_slides else slides
    tiled = {file: size for file in tested if (size := _small_tiled(file)) is not None}
    square = {file for file, (height, width) in tiled.items() if height == width}
    # Those at the edge of a slide are often cut off; beside true slides, all are slides.
    if square and slides == tiled.keys():
        slides = set()
    images = [file for file in files if file not in slides]
    if slides or not any(map(_may_be_patch, images)):
        slides |= {image for image in images if not _may_be_patch(image)}
    return (
        [file for file in files if file in slides],
        [image for image in images if image not in slides],
    )


def _small_tiled(file: Path) -> tuple[int, int] | None:
    """Height and width of a TIFF that is as small as a patch and has no pyramid; None of others."""
    if not is_ambiguous(file):
        return None
    try:
        with open_picture(file) as (image, _):
            if max(image.size) > _TILED_SIDE:
                return None
            pages = len(pages_of(image))
            return (image.height, image.width) if pages == getattr(image, "n_frames", 1) else None
    except ImageError:
        return None


def _may_be_patch(image: Path) -> bool:
    """Whether an image could be one patch: False of a TIFF that is damaged or large."""
    if not is_ambiguous(image):
        return True
    try:
        return max(image_size(image)) <= _PATCH_SIDE
    except ImageError:
        return False

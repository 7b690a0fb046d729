"""What lies in a folder: slides and images of patches, told apart."""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rl2qc.errors import ImageError
from rl2qc.images.sources.files import image_size, is_image, list_files
from rl2qc.slides.readers.base import is_ambiguous, is_slide, may_be_slide

__all__ = ["Contents", "look_into", "tell_apart"]

# Longer sides than this are no patch's; published patches go up to 2048 px.
_PATCH_SIDE = 4096


@dataclass(frozen=True)
class Contents:
    """What lies below a folder.

    Attributes
    ----------
    slides, images
        Each in the order of the walk.
    linked
        Whether links to folders led to some of it.
    warnings
        What could not be looked into.
    """

    slides: list[Path]
    images: list[Path] = field(default_factory=list)
    linked: bool = False
    warnings: list[str] = field(default_factory=list)


def look_into(folder: Path) -> Contents:
    """Everything below a folder but hidden files; links to folders are followed, each once.

    Examples
    --------
    >>> import tempfile
    >>> top = Path(tempfile.mkdtemp())
    >>> _ = (top / "a.svs").touch(), (top / "a.png").touch(), (top / "here").symlink_to(top)
    >>> found = look_into(top)
    >>> [file.name for file in found.slides], [file.name for file in found.images]
    (['a.svs'], ['a.png'])
    """
    found = list_files(folder, _is_wanted, follow_links=True)
    slides, images = tell_apart(found.files)
    return Contents(slides, images, found.linked, found.warnings)


def _is_wanted(file: Path) -> bool:
    # A link to a slide that is gone is a slide that fails, and is listed.
    return is_image(file) or may_be_slide(file)


def tell_apart(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The slides and the images of patches among files that lie together.

    Some files, such as TIFF, may be either. One that no reader of slides knows is a damaged patch,
    or a large one, where all others are patches; anywhere else a slide, which fails and is listed.
    """
    slides = {file for file in files if is_slide(file)}
    images = [file for file in files if file not in slides]
    if slides or not any(map(_may_be_patch, images)):
        slides |= {image for image in images if not _may_be_patch(image)}
    return (
        [file for file in files if file in slides],
        [image for image in images if image not in slides],
    )


def _may_be_patch(image: Path) -> bool:
    """Whether an image could be one patch: False of a TIFF that is damaged or large."""
    if not is_ambiguous(image):
        return True
    try:
        with python_warnings.catch_warnings(action="ignore"):  # Pillow's, of many pixels
            return max(image_size(image)) <= _PATCH_SIDE
    except ImageError:
        return False

"""What lies in a folder: slides and images of patches, told apart."""

from __future__ import annotations

import os
import warnings as python_warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import openslide

from rl2qc.errors import ImageError
from rl2qc.images.sources.files import IMAGE_SUFFIXES, image_size
from rl2qc.slides.files import is_dicom

__all__ = ["Contents", "is_slide", "look_into", "real_path", "tell_apart"]

_SLIDE_SUFFIXES = frozenset(
    {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".dcm", ".vms", ".vmu", ".svslide", ".czi"}
)
_TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
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
    top, seen = real_path(folder), set[Path]()
    files: list[Path] = []
    warnings: list[str] = []

    def warn(error: OSError) -> None:
        warnings.append(f"{error.filename} is left out: it cannot be listed ({error.strerror})")

    # Links to folders come last, so that files go by their own places where they have any.
    starts, linked = [folder], False
    for start in starts:
        before = len(files)
        if real_path(start) in seen:
            continue
        if real_path(start) in top.parents:
            warnings.append(f"{start} is left out: it links to a folder that holds {folder}")
            continue
        for place, below, names in os.walk(start, onerror=warn):
            seen.add(real_path(Path(place)))
            below[:] = [
                name
                for name in sorted(below)
                if not name.startswith(".") and real_path(Path(place, name)) not in seen
            ]
            starts += (path for name in below if (path := Path(place, name)).is_symlink())
            files += (
                file
                for name in sorted(names)
                if not name.startswith(".")
                if (file := Path(place, name)).suffix.lower() in IMAGE_SUFFIXES or is_slide(file)
            )
        linked |= start is not folder and len(files) > before
    slides, images = tell_apart(files)
    return Contents(slides, images, linked, warnings)


def tell_apart(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The slides and the images of patches among files that lie together.

    TIFF files may be either. One that OpenSlide does not know is a damaged patch, or a large one,
    where all others are patches; anywhere else a slide, which fails and is listed.
    """
    slides = {file for file in files if is_slide(file)}
    images = [file for file in files if file not in slides]
    if slides or not any(map(_may_be_patch, images)):
        slides |= {image for image in images if not _may_be_patch(image)}
    return (
        [file for file in files if file in slides],
        [image for image in images if image not in slides],
    )


def is_slide(path: Path) -> bool:
    """Whether a file is for OpenSlide rather than an image of one patch.

    Names decide, except that of TIFF files, and of DICOM files of any name, only those that
    OpenSlide knows are slides.
    """
    suffix = path.suffix.lower()
    if suffix in _TIFF_SUFFIXES:
        return openslide.OpenSlide.detect_format(path) is not None
    if suffix in _SLIDE_SUFFIXES:
        return True
    return (
        suffix not in IMAGE_SUFFIXES
        and is_dicom(path)
        and openslide.OpenSlide.detect_format(path) == "dicom"
    )


def real_path(path: Path) -> Path:
    """Where links lead; unlike Path.resolve, without an error for a loop of links."""
    return Path(os.path.realpath(path))


def _may_be_patch(image: Path) -> bool:
    """Whether an image could be one patch: False of a TIFF that is damaged or large."""
    if image.suffix.lower() not in _TIFF_SUFFIXES:
        return True
    try:
        with python_warnings.catch_warnings(action="ignore"):  # Pillow's, of many pixels
            return max(image_size(image)) <= _PATCH_SIDE
    except ImageError:
        return False

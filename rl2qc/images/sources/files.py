"""Image files: the one listing of them, and how they are read as RGB."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.base import ImageSource, Item, PatchSource, register_source
from rl2qc.images.sources.images import Image as Pixels
from rl2qc.images.sources.images import Images

__all__ = [
    "IMAGE_SUFFIXES",
    "Files",
    "Listing",
    "image_size",
    "is_hidden",
    "is_image",
    "list_files",
    "list_images",
    "read_image",
]


IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".ppm"}
)


@dataclass(frozen=True)
class Listing:
    """What was found below a folder.

    Attributes
    ----------
    files
        In the order of the walk: those of a folder by name, then those of its sub-folders.
    linked
        Whether links to folders led to some of it.
    warnings
        What could not be looked into.
    """

    files: list[Path] = field(default_factory=list)
    linked: bool = False
    warnings: list[str] = field(default_factory=list)


def is_image(path: Path) -> bool:
    """Whether a path is an image by its name, in upper or lower case, and a file."""
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def list_files(
    folder: Path, wanted: Callable[[Path], bool] = is_image, *, follow_links: bool = False
) -> Listing:
    """The files below a folder that are wanted: the one listing, whoever asks.

    Hidden files and folders (``._x.png`` of a Macintosh, ``.thumbnails``) are left out, the folder
    itself may be one. Links to files are taken.

    Parameters
    ----------
    folder
    wanted
        Says of a file whether it is.
    follow_links
        Whether links to folders are followed, each once.

    Examples
    --------
    >>> import tempfile
    >>> top = Path(tempfile.mkdtemp())
    >>> for name in ("b.PNG", "a.jpg", "._a.jpg", "notes.txt"):
    ...     (top / name).touch()
    >>> [file.name for file in list_files(top).files]
    ['a.jpg', 'b.PNG']
    """
    found, linked = Listing(), False

    def warn(error: OSError) -> None:
        found.warnings.append(
            f"{error.filename} is left out: it cannot be listed ({error.strerror})"
        )

    top, seen = os.path.realpath(folder), set[str]()
    # Links to folders come last, so that files go by their own places where they have any.
    starts = [folder]
    for start in starts:
        before = len(found.files)
        real = os.path.realpath(start)
        if real in seen:
            continue
        if start is not folder and Path(real) in Path(top).parents:
            found.warnings.append(f"{start} is left out: it links to a folder that holds {folder}")
            continue
        for place, below, names in os.walk(start, onerror=warn):
            seen.add(os.path.realpath(place))
            below[:] = [
                name
                for name in sorted(below)
                if not is_hidden(name) and os.path.realpath(Path(place, name)) not in seen
            ]
            if follow_links:
                starts += (path for name in below if (path := Path(place, name)).is_symlink())
            found.files.extend(
                file
                for name in sorted(names)
                if not is_hidden(name) and wanted(file := Path(place, name))
            )
        linked |= start is not folder and len(found.files) > before
    return Listing(found.files, linked, found.warnings)


def is_hidden(name: str) -> bool:
    """Whether a name is one that file managers do not show."""
    return name.startswith(".")


def list_images(inputs: str | Path | Sequence[str | Path]) -> list[Path]:
    """Image files of folders (searched recursively), files and globs, sorted within each input.

    Links to folders are not followed, unless they are named.

    Raises
    ------
    UsageError
        An input that does not exist, or holds no image.
    """
    inputs = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if not inputs:
        raise UsageError("no images given: name a folder, files or a glob")
    found: dict[Path, None] = {}  # a dict keeps the order and drops files named twice
    for item in inputs:
        if not str(item).strip():  # Path("") is the current folder
            raise UsageError("an input name is empty (an unset variable?): name a folder or files")
        path = Path(item)
        if path.is_dir():
            files = _below(path)
            if not files:
                raise UsageError(f"no images in folder {path}")
        elif path.exists():
            files = [path]
        else:
            files = _matching(str(item))
        found.update(dict.fromkeys(files))
    return list(found)


def _below(folder: Path) -> list[Path]:
    return sorted(list_files(folder).files)


def _matching(pattern: str) -> list[Path]:
    """The images that a glob names, and those in folders that it names."""
    # Path.glob refuses absolute patterns.
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    if not matches:
        raise UsageError(f"no such file or folder: {pattern}")
    files = [
        file
        for match in map(Path, matches)
        for file in (_below(match) if match.is_dir() else [match])
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not files:
        raise UsageError(f"no images match {pattern}")
    return files


class Files(Images):
    """Images in files of their own.

    Parameters
    ----------
    paths
        One an image.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Pixels:
        return read_image(self.paths[index])

    def header(self, index: int) -> tuple[int, int]:
        return image_size(self.paths[index])

    def digest(self, index: int) -> bytes:
        path = self.paths[index]
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error

    def take(self, rows: Sequence[int]) -> Files:
        return Files([self.paths[row] for row in rows])


def _open(item: Item) -> PatchSource:
    paths = list_images(item)
    return PatchSource(Files(paths), 0, tuple(map(str, paths)))


def _identity(name: str) -> str:
    status = Path(name).stat()
    return f"{status.st_size} {status.st_mtime_ns}"


# Asked last: whatever no other source takes is a path.
register_source(
    ImageSource(
        "files", _open, accepts=lambda item: True, identity=_identity, on_disk=True, order=1000
    )
)


def read_image(path: str | Path) -> Pixels:
    """Read an image file as (h, w, 3) uint8 RGB.

    Transparency is laid on white, as glass is; grey is repeated over the channels; 16 bits are
    scaled to 8.

    Raises
    ------
    ImageError
        A file that is no image, or a damaged one.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return _to_rgb(image)
    except FileNotFoundError as error:
        raise ImageError(f"no such image: {path}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not an image") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} cannot be read: {error}") from error


def _to_rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image, dtype=np.float64)
        # Pillow shows 16-bit greys as "I;16" or "I"; 8-bit values in them stay as they are.
        scale = 257.0 if grey.max(initial=0) > 255 else 1.0
        return np.repeat((grey / scale).clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        glass = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(glass, layer)
    return np.array(image.convert("RGB"))


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width in px, from the header alone.

    Raises
    ------
    ImageError
        A file that is no image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} is not an image") from error

"""Image files as a source: folders, files and globs, each page of a stack for itself."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl2qc.core.arguments import check_paths
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.base import ImageSource, Item, PatchSource, register_source, source_of
from rl2qc.images.sources.decode import (
    about_image,
    open_picture,
    read_image,
    read_picture,
    shown_size,
)
from rl2qc.images.sources.digests import decoded_digest
from rl2qc.images.sources.formats import IMAGE_SUFFIXES, is_picture, opens_in_c, other_picture
from rl2qc.images.sources.images import About, Images
from rl2qc.images.sources.images import Image as Pixels
from rl2qc.images.sources.listing import (
    LeftOut,
    Listing,
    is_bin,
    is_hidden,
    is_image,
    list_files,
)
from rl2qc.images.sources.own import own_beside
from rl2qc.images.sources.pages import page_names, split_page
from rl2qc.images.sources.placeholders import is_regular

__all__ = [
    "IMAGE_SUFFIXES",
    "Files",
    "Found",
    "Listing",
    "are_files",
    "expand_glob",
    "find_files",
    "find_images",
    "image_size",
    "is_hidden",
    "is_image",
    "list_files",
    "list_images",
    "names_of",
    "read_image",
]


@dataclass(frozen=True)
class Found:
    """Images that were listed, by name, and what is to be said of those that were not."""

    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def list_images(inputs: str | Path | Sequence[str | Path]) -> list[Path]:
    """Image files of folders (searched recursively), files and globs, sorted within each input.

    Raises
    ------
    UsageError
        An input that does not exist, or holds no image.
    """
    return find_files(inputs).files


def find_files(inputs: str | Path | Sequence[str | Path]) -> Listing:
    """:func:`list_images` with what is left out.

    Links to folders are followed (:func:`~rl2qc.images.sources.listing.list_files`).
    """
    inputs = check_paths("images", inputs)
    if not inputs:
        raise UsageError("no images given: name a folder, files or a glob")
    found: dict[Path, None] = {}  # a dict keeps the order and drops files named twice
    warnings: list[str] = []
    for item in inputs:
        if not str(item).strip():  # Path("") is the current folder
            raise UsageError("an input name is empty (an unset variable?): name a folder or files")
        if "\0" in str(item):
            raise UsageError(f"no file name holds a NUL byte: {str(item)!r}")
        path = Path(item)
        if path.is_dir():
            listed = _below(path)
            if not listed.files:
                raise UsageError("; ".join([f"no images in folder {path}", *listed.warnings]))
        elif path.exists() or path.is_symlink():
            listed = Listing([path])
        else:
            listed = _matching(str(item))
        found.update(dict.fromkeys(listed.files))
        warnings += listed.warnings
    return Listing(list(found), warnings)


def _below(folder: Path) -> Listing:
    found = list_files(folder)
    return Listing(sorted(found.files), found.warnings)


def _matching(pattern: str) -> Listing:
    """The images that a glob names, and those in folders that it names."""
    matches, left = expand_glob(pattern)
    files, warnings = list[Path](), list[str]()
    for match in matches:
        if match.is_dir():
            listed = _below(match)
            files += listed.files
            warnings += listed.warnings
        elif is_image(match):
            files.append(match)
        elif is_picture(match.name):
            left.add("special", match)
        elif is_regular(match) and (suffix := other_picture(match)):
            left.suffixes[suffix] += 1
            left.add("other", match)
    warnings += left.warnings()
    if not files:
        raise UsageError("; ".join([f"no images match {pattern}", *warnings]))
    return Listing(files, warnings)


def expand_glob(
    pattern: str, wanted: Callable[[Path], bool] = is_image
) -> tuple[list[Path], LeftOut]:
    """What a glob matches, in the order of the names, and what of it is left out: deleted files
    that would be wanted, and pictures that rl2qc wrote.

    Raises
    ------
    UsageError
        It matches nothing, or folders too deep to be searched.
    """
    try:
        # Path.glob refuses absolute patterns.
        matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    except RecursionError:
        raise UsageError(f"folders lie too deep for {pattern}: name the folder itself") from None
    except ValueError as error:
        raise UsageError(f"{pattern!r} is no pattern of files: {error}") from None
    if not matches:
        raise UsageError(f"no such file or folder: {pattern}")
    kept, left, own = list[Path](), LeftOut(), dict[str, set[str]]()
    for match in map(Path, matches):
        place = str(match.parent)
        if place not in own:
            own[place] = own_beside(place)
        # What stands in the pattern itself is meant.
        if any(is_bin(part) for part in match.parts if part not in pattern):
            left.add("bin", match, wanted(match))
        elif os.path.normpath(match) in own[place] and is_picture(match.name):
            left.add("own", match)
        else:
            kept.append(match)
    return kept, left


def find_images(inputs: str | Path | Sequence[str | Path]) -> Found:
    """The images of :func:`find_files` by name, each page of a stack for itself."""
    listed = find_files(inputs)
    found = names_of(listed.files)
    return Found(found.names, (*listed.warnings, *found.warnings))


def names_of(files: Iterable[Path]) -> Found:
    """The images in files, by name."""
    names: list[str] = []
    warnings: list[str] = []
    for path in files:
        pages, said = page_names(path)
        names += pages
        if said:
            warnings.append(f"{path} {said}")
    return Found(tuple(names), tuple(warnings))


class Files(Images):
    """Images in files of their own, or pages of files.

    Parameters
    ----------
    paths
        One an image; a page as :func:`~rl2qc.images.sources.pages.page_names` calls it.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._abouts: dict[Path, About] = {}
        self._digests: dict[Path, bytes] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Pixels:
        return read_image(self.paths[index])

    def read(self, index: int) -> tuple[Pixels, About]:
        return read_picture(self.paths[index])

    def header(self, index: int) -> tuple[int, int]:
        about = self.about(index)
        return about.height, about.width

    def about(self, index: int) -> About:
        path = self.paths[index]
        if path not in self._abouts:
            self._abouts[path] = about_image(path)
        return self._abouts[path]

    def digest(self, index: int) -> bytes:
        path = self.paths[index]
        if path not in self._digests:
            self._digests[path] = self._digest(index)
        return self._digests[path]

    def _digest(self, index: int) -> bytes:
        path, page = split_page(self.paths[index])
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256")
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error
        return decoded_digest(found, self.about(index), page)

    def take(self, rows: Sequence[int]) -> Files:
        taken = Files(list(map(self.paths.__getitem__, rows)))
        taken._abouts, taken._digests = self._abouts, self._digests
        return taken


def _open(item: Item) -> PatchSource:
    found = find_images(item)
    return PatchSource(Files(list(map(Path, found.names))), 0, found.names, found.warnings)


def _open_page(item: Item) -> PatchSource:
    return PatchSource(Files([Path(item)]), 0, (str(item),))


def _is_page(item: Item) -> bool:
    return "@page" in str(item) and split_page(item)[0] != Path(item)


def _identity(name: str) -> str:
    status = split_page(name)[0].stat()
    return f"{status.st_size} {status.st_mtime_ns}"


_PAGES = register_source(
    ImageSource("pages", _open_page, accepts=_is_page, identity=_identity, order=999)
)
# Asked last: whatever no other source takes is a path.
_FILES = register_source(
    ImageSource(
        "files", _open, accepts=lambda item: True, identity=_identity, on_disk=True, order=1000
    )
)


def are_files(item: Item) -> bool:
    """Whether an image's name is that of a picture in a file, or of a page of one, and no other
    source's."""
    return source_of(item) in (_PAGES, _FILES)


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width in px as it is shown, from the header alone.

    Raises
    ------
    ImageError
        A file that is no image.
    """
    if opens_in_c(split_page(path)[0]):
        about = about_image(path)
        return about.height, about.width
    with open_picture(path) as (image, _):
        return shown_size(image)

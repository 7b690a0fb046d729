"""Files that hold many images: how such an item is told, split and opened, whatever the kind.

An image in one is called by the file and what it is called in there, ``set.zip/tumour/a.png`` or
``set.npy/12``: a name that is an item of its own. Files that were opened are remembered as long as
they do not change, so that single images of them are found at once.
"""

from __future__ import annotations

import glob
import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from rl2qc.core.apart import Died, apart
from rl2qc.core.registry import Extra
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.base import ImageSource, Item, PatchSource, register_source
from rl2qc.images.sources.decode import about_image, read_picture
from rl2qc.images.sources.digests import decoded_digest
from rl2qc.images.sources.images import About, Image, Images, Joined
from rl2qc.images.sources.listing import is_bin, is_hidden

__all__ = [
    "Container",
    "Encoded",
    "called_apart",
    "inner_name",
    "is_unseen",
    "register_container",
    "split_item",
]

# The braces of WebDataset: shard-{000..012}.tar
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
# Containers that are remembered, each with the names of its images.
_REMEMBERED = 64


class Container(Images):
    """The images of one file.

    Attributes
    ----------
    path
        The file.
    names
        What its images are called in there, each once; a path with forward slashes.
    warnings
        What of it is left out.
    """

    path: Path
    names: Sequence[str]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def rows(self) -> dict[str, int]:
        """The number of each image by its name."""
        return {name: row for row, name in enumerate(self.names)}

    def called(self, index: int) -> str:
        """The name of an image for messages, which is an item of its own."""
        return f"{self.path}/{self.names[index]}"


class Encoded(Container):
    """Images that are stored as the bytes of picture files."""

    def __init__(self) -> None:
        self._abouts: dict[int, About] = {}

    @abstractmethod
    def content(self, index: int) -> bytes:
        """The bytes of an image; ImageError where they are damaged."""

    def __getitem__(self, index: int) -> Image:
        return self.read(index)[0]

    def read(self, index: int) -> tuple[Image, About]:
        return read_picture(self.called(index), self.content(index))

    def header(self, index: int) -> tuple[int, int]:
        about = self.about(index)
        return about.height, about.width

    def about(self, index: int) -> About:
        if index not in self._abouts:
            self._abouts[index] = about_image(self.called(index), self.content(index))
        return self._abouts[index]

    def digest(self, index: int) -> bytes:
        # The same as that of a file with these bytes: features are known again.
        return decoded_digest(hashlib.sha256(self.content(index)), self.about(index))


def register_container(
    name: str,
    suffixes: tuple[str, ...],
    read: Callable[[Path], Container],
    *,
    but_not: tuple[str, ...] = (),
    folders: bool = False,
    extra: Extra | None = None,
) -> ImageSource:
    """Register files of many images: alone, by a glob or braces, an image or a folder in one.

    Parameters
    ----------
    name
        Of the source.
    suffixes
        Ends of the files' names, in lower case.
    read
        Opens a file; ImageError or UsageError says in a line what is wrong with it.
    but_not
        Ends of names that are something else.
    folders
        Whether a folder that directly holds such files, and nothing else but texts, is one.
    extra
        What must be installed for it.
    """

    def is_one(path: Path) -> bool:
        low = path.name.lower()
        return low.endswith(suffixes) and not low.endswith(but_not or ("\0",)) and path.is_file()

    @lru_cache(maxsize=_REMEMBERED)
    def opened(path: Path, size: int, changed: int) -> Container:
        return read(path)

    def files(item: Item) -> list[Path]:
        text, path = str(item), Path(item)
        if folders and path.is_dir():
            inside = sorted(p for p in path.iterdir() if not is_hidden(p.name))
            found = [p for p in inside if is_one(p)]
            rest = [p for p in inside if p not in found]
            texts = (".json", ".txt", ".csv", ".md", ".yaml", ".yml", ".toml")
            return found if all(p.name.lower().endswith(texts) for p in rest) else []
        if text.lower().endswith(suffixes) and not path.exists():
            patterns = _spread(text)
            if patterns != [text]:
                return [Path(p) for p in patterns]
            return [p for p in map(Path, sorted(glob.glob(text, recursive=True))) if is_one(p)]  # noqa: PTH207
        return []

    def accepts(item: Item) -> bool:
        return split_item(item, is_one) is not None or bool(files(item))

    def open_item(item: Item) -> PatchSource:
        split = split_item(item, is_one)
        places = files(item) if split is None else [split[0]]
        inner = "" if split is None else split[1]
        parts = [_part(place, inner, opened) for place in places]
        if not any(len(part) for part in parts):
            said = "; ".join(w for part in parts for w in part.warnings)
            raise UsageError(f"no images in {item}" + (f": {said}" if said else ""))
        if len(parts) == 1:
            return parts[0]
        warnings = tuple(w for part in parts for w in part.warnings)
        names = tuple(n for part in parts for n in part.names)
        return PatchSource(Joined([p.items for p in parts if len(p)]), 0, names, warnings)

    return register_source(
        ImageSource(name, open_item, suffixes=suffixes, accepts=accepts, extra=extra, order=500)
    )


def called_apart(function: Callable[..., Any], path: Path, *args: Any) -> Any:
    """Call what reads a file by a C library in a process of its own, which a hostile file may end.

    Raises
    ------
    ImageError
        It did.
    """
    try:
        return apart(function, path, *args)
    except Died as died:
        raise ImageError(
            f"{path} killed the process that reads it twice ({died.signal}): it is damaged, or "
            "takes more memory than there is"
        ) from None


def split_item(item: Item, is_one: Callable[[Path], bool]) -> tuple[Path, str] | None:
    """The file of an item and what is named in it, "" for all; None where there is no such file.

    Examples
    --------
    >>> split_item("a/set.zip/x/1.png", lambda path: path.name == "set.zip")
    (PosixPath('a/set.zip'), 'x/1.png')
    """
    path = Path(item)
    for place in (path, *path.parents):
        if is_one(place):
            return place, path.relative_to(place).as_posix().removeprefix(".")
    return None


def inner_name(name: str) -> str | None:
    """What a member of an archive is called here; None where its name leads out of the archive.

    Examples
    --------
    >>> inner_name("./x//a.png"), inner_name("../a.png"), inner_name("/etc/a.png")
    ('x/a.png', None, None)
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or ":" in parts[0] or "\0" in name:
        return None
    return "/".join(parts)


def is_unseen(name: str) -> bool:
    """Whether a member is hidden, or lies in a folder of deleted or system files."""
    parts = name.split("/")
    return any(is_hidden(part) for part in parts) or any(is_bin(part) for part in parts[:-1])


def _spread(pattern: str) -> list[str]:
    """The names that braces stand for; WebDataset's ``{000..012}`` alone."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    first, last = found.groups()
    if int(last) < int(first):
        raise UsageError(f"{pattern}: {{{first}..{last}}} counts down")
    return [
        name
        for number in range(int(first), int(last) + 1)
        for name in _spread(
            f"{pattern[: found.start()]}{number:0{len(first)}}{pattern[found.end() :]}"
        )
    ]


def _part(path: Path, inner: str, opened: Callable[[Path, int, int], Container]) -> PatchSource:
    """The images of one file, or those in it that are meant."""
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(f"no such file: {path}") from error
    images = opened(path, status.st_size, status.st_mtime_ns)
    rows: Sequence[int] = range(len(images))
    if inner:
        rows = (
            [images.rows[inner]]
            if inner in images.rows
            else [i for i, name in enumerate(images.names) if name.startswith(f"{inner}/")]
        )
        if not rows:
            raise ImageError(f"{path} holds no image {inner}")
    names = tuple(f"{path}/{images.names[i]}" for i in rows)
    items = images if len(rows) == len(images) else images.take(rows)
    return PatchSource(items, 0, names, () if inner else images.warnings)

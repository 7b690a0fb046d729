"""The one listing of files below a folder, and what it leaves out."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rl2qc.images.sources.formats import is_archive, is_picture, other_picture
from rl2qc.images.sources.own import own_pictures
from rl2qc.images.sources.placeholders import fetched_name, is_regular

__all__ = ["LeftOut", "Listing", "is_bin", "is_hidden", "is_image", "list_files"]

# What systems call the folders of deleted files, of older versions and of small previews.
_BINS = frozenset(
    {"$recycle.bin", "recycler", "recycled", "recycle.bin", "recycle bin", "@recycle", "#recycle"}
    | {"trash", "trashbox", "network trash folder", "lost+found", "system volume information"}
    | {"@eadir", "#snapshot", "~snapshot", "@recently-snapshot", "@sharesnap", "__macosx"}
)
# Folders of version control: what they hold is no copy that anybody opened.
_UNSEEN = frozenset({".git", ".svn", ".hg", ".bzr", ".dvc", ".datalad"})
# More entries than this are not counted in a folder that is left out.
_COUNTED = 20_000


def is_image(path: Path) -> bool:
    """Whether a path is a picture by its name, and a file; a link to one that is not there is one,
    too, which cannot be read."""
    return is_picture(path.name) and is_regular(path)


def is_hidden(name: str) -> bool:
    """Whether a name is one that file managers do not show."""
    return name.startswith(".")


def is_bin(name: str) -> bool:
    """Whether a folder of that name holds what was deleted, or a system's own copies.

    Examples
    --------
    >>> is_bin("$RECYCLE.BIN"), is_bin("tumour")
    (True, False)
    """
    return name.casefold() in _BINS


@dataclass
class LeftOut:
    """What is left out of a listing, counted, with the first of each kind by name."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    suffixes: Counter[str] = field(default_factory=Counter)
    more: list[str] = field(default_factory=list)

    def add(self, kind: str, name: object, count: int = 1) -> None:
        """Count what is left out for a reason; see :data:`_WORDS`."""
        if count:
            self.counts[kind] += count
            self.first.setdefault(kind, str(name))

    def warnings(self) -> list[str]:
        """One line a kind."""
        kinds = " (" + ", ".join(f"{s} {n}" for s, n in sorted(self.suffixes.items())) + ")"
        lines = list(self.more)
        for kind, (one, many, advice) in _WORDS.items():
            if count := self.counts[kind]:
                what = f"1 {one} is" if count == 1 else f"{count} {many} are"
                of = kinds if kind == "other" else ""
                lines.append(f"{what} left out{of}, such as {self.first[kind]}{advice}")
        return lines


_WORDS = {
    "hidden": ("picture in a hidden folder", "pictures in hidden folders", ""),
    "hidden file": ("hidden picture", "hidden pictures", ""),
    "bin": (
        "picture in a folder of deleted or system files",
        "pictures in folders of deleted or system files",
        ": name the folder itself if it is meant",
    ),
    "own": ("picture that rl2qc wrote", "pictures that rl2qc wrote", ""),
    "other": (
        "file of a kind that is not read as images of patches",
        "files of kinds that are not read as images of patches",
        ": save them as PNG or TIFF to have them judged",
    ),
    "archive": (
        "archive",
        "archives",
        ": name it as an input of its own if it is meant",
    ),
    "cloud": (
        "picture that was not fetched from the cloud",
        "pictures that were not fetched from the cloud",
        "",
    ),
    "special": ("pipe, socket or device", "pipes, sockets and devices", ""),
}


@dataclass(frozen=True)
class Listing:
    """What was found.

    Attributes
    ----------
    files
        In order: those of a folder by name, then those of its sub-folders, those behind links
        to folders last.
    warnings
        What is left out, and what could not be looked into.
    """

    files: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def _none(folder: Path) -> bool:
    return False


def list_files(
    folder: Path,
    wanted: Callable[[Path], bool] = is_image,
    *,
    whole: Callable[[Path], bool] = _none,
) -> Listing:
    """The files below a folder that are wanted: the one listing, whoever asks.

    Links to files and to folders are followed, each folder once. Left out, and counted if they are
    pictures, are hidden files and folders (``._x.png`` of a Macintosh, ``.ipynb_checkpoints``),
    folders of deleted files, what rl2qc wrote itself, and kinds of pictures that are not read. The
    folder itself may be any of these.

    Parameters
    ----------
    folder
    wanted
        Says of a file whether it is.
    whole
        Says of a folder whether it is one item, that is not looked into.

    Examples
    --------
    >>> import tempfile
    >>> top = Path(tempfile.mkdtemp())
    >>> for name in ("b.PNG", "a.jpg", "._a.jpg", "notes.txt"):
    ...     (top / name).touch()
    >>> [file.name for file in list_files(top).files]
    ['a.jpg', 'b.PNG']
    """
    walk = _Walk(folder, wanted, whole)
    walk.run()
    return Listing(walk.not_ours(), walk.left_out.warnings())


class _Walk:
    """One walk through a folder. Without recursion: folders may lie deeper than Python's stack."""

    def __init__(
        self, folder: Path, wanted: Callable[[Path], bool], whole: Callable[[Path], bool]
    ) -> None:
        self.top, self.wanted, self.whole = str(folder), wanted, whole
        self.files: list[Path] = []
        self.left_out = LeftOut()
        self._own: set[str] = set()
        self._seen: set[object] = set()
        self._links: deque[str] = deque()

    def run(self) -> None:
        """Look into everything."""
        self._below(self.top)
        above = set(Path(os.path.realpath(self.top)).parents)
        # Links to folders come last, so that files go by their own places where they have any.
        while self._links:
            start = self._links.popleft()
            if Path(os.path.realpath(start)) in above:
                self.left_out.more.append(
                    f"{start} is left out: it links to a folder that holds {self.top}"
                )
            else:
                self._below(start)

    def not_ours(self) -> list[Path]:
        """The files, without what a record that was met on the way calls ours."""
        if not self._own:
            return self.files
        kept = []
        for file in self.files:
            places = (os.path.normpath(file), *map(os.path.normpath, file.parents))
            if any(place in self._own for place in places):
                self.left_out.add("own", file)
            else:
                kept.append(file)
        return kept

    def _below(self, start: str) -> None:
        waiting = [start]
        while waiting:
            place = waiting.pop()
            if self._is_known(place):
                continue
            folders, files = _entries(place, self._cannot_list)
            self._own |= own_pictures(place, files)
            for name in files:
                self._file(place, name)
            below = []
            for name, is_link in folders.items():
                path = os.path.join(place, name)  # noqa: PTH118
                if is_hidden(name):
                    if name not in _UNSEEN:
                        self.left_out.add("hidden", path, _count(path, self.wanted))
                elif is_bin(name):
                    self.left_out.add("bin", path, _count(path, self.wanted))
                elif self.whole(Path(path)):
                    self.files.append(Path(path))
                elif is_link:
                    self._links.append(path)
                else:
                    below.append(path)
            waiting += reversed(below)

    def _file(self, place: str, name: str) -> None:
        path = Path(place, name)
        if is_hidden(name):
            if is_picture(fetched_name(name)):
                self.left_out.add("cloud", path)
            # Those of a Macintosh are no pictures; ours are not complete yet.
            elif not name.startswith(("._", ".tmp-")) and self.wanted(path):
                self.left_out.add("hidden file", path)
        elif not is_regular(path):
            self.left_out.add("special", path)
        elif self.wanted(path):
            self.files.append(path)
        elif is_archive(name):
            self.left_out.add("archive", path)
        elif is_regular(path) and (suffix := other_picture(path)):
            self.left_out.suffixes[suffix] += 1
            self.left_out.add("other", path)

    def _is_known(self, place: str) -> bool:
        """Whether a folder was looked into, by this path or by another."""
        try:
            status = os.stat(place)  # noqa: PTH116
        except OSError:
            return False
        key = (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(place)
        known = key in self._seen
        self._seen.add(key)
        return known

    def _cannot_list(self, error: OSError) -> None:
        self.left_out.more.append(
            f"{error.filename} is left out: it cannot be listed ({error.strerror})"
        )


def _entries(place: str, refused: Callable[[OSError], None]) -> tuple[dict[str, bool], list[str]]:
    """The folders in a folder by name, with whether each is a link, and the names of its files."""
    folders: dict[str, bool] = {}
    files: list[str] = []
    try:
        with os.scandir(place) as found:
            for entry in sorted(found, key=lambda entry: entry.name):
                if _is_dir(entry):
                    folders[entry.name] = entry.is_symlink()
                else:
                    files.append(entry.name)
    except OSError as error:
        refused(error)
    return folders, files


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _count(folder: str, wanted: Callable[[Path], bool]) -> int:
    """How many files that are wanted lie below a folder that is left out, up to a point."""
    count, looked, waiting = 0, 0, [folder]
    while waiting and looked < _COUNTED:
        place = waiting.pop()
        folders, files = _entries(place, lambda error: None)
        waiting += [f"{place}/{name}" for name, is_link in folders.items() if not is_link]
        count += sum(not n.startswith("._") and wanted(Path(place, n)) for n in files)
        looked += len(files) + len(folders) + 1
    return count

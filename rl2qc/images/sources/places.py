"""Where things lie, as seen from a folder: results and slides that move together find each other,
and nobody reads from results whose disk they were on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from rl2qc.images.sources.base import from_anywhere

__all__ = ["reached_from", "seen_from", "without_places"]


def seen_from(folder: Path, item: str | Path) -> str:
    """A file as seen from a folder, where there is a way; what is no file, and a relative path that
    leads nowhere from here, as it is.

    Examples
    --------
    >>> seen_from(Path("/study/out"), Path("/study/slides/a.svs"))
    '../slides/a.svs'
    """
    path = from_anywhere(Path(item))
    if not path.is_absolute() or not (Path(item).is_absolute() or _is_there(item)):
        return str(item)
    try:
        return os.path.relpath(path, folder.absolute())
    except ValueError:
        # On another drive.
        return str(path)


def _is_there(item: str | Path) -> bool:
    """Whether a file is there, or the file that it is a page, a scene or a member of."""
    whole = Path(str(item).rpartition("@")[0] or item)
    return any(map(os.path.exists, (item, whole))) or any(map(os.path.isfile, whole.parents))


def reached_from(folder: Path, name: str) -> Path:
    """The way back; of what is gone, the whole path, which leads there from anywhere.

    Examples
    --------
    >>> str(reached_from(Path("/study/out"), "../slides/a.svs"))
    '/study/slides/a.svs'
    """
    path = Path(name)
    if not name or not from_anywhere(path).is_absolute():
        return path
    found = Path(os.path.normpath(folder / path))
    return found if os.path.exists(found) else Path(os.path.abspath(found))  # noqa: PTH100, PTH110


def without_places(text: str, places: Iterable[str | Path]) -> str:
    """A text for others: of files in these folders, it says the names.

    Folders that are no absolute paths say nothing of where they are, and stay.

    Examples
    --------
    >>> without_places("/home/ann/a.svs is gone, /data/b.svs is not", ["/home/ann"])
    'a.svs is gone, /data/b.svs is not'
    >>> without_places("../../home/ann/a.svs", ["/home/ann"])
    '../../home/ann/a.svs'
    """
    # Of two folders, one may lie in the other.
    for place in sorted({str(place) for place in places}, key=len, reverse=True):
        if len(place) > 1 and Path(place).is_absolute():
            # Not within a longer path, such as one that is seen from elsewhere.
            start = re.escape(place.rstrip(os.sep) + os.sep)
            text = re.sub(rf"(?<![\w.]){start}", "", text)
    return text

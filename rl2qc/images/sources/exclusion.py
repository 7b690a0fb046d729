"""Patches to leave out, named in a file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from rl2qc.core.csv_files import first_line, read_csv, read_text
from rl2qc.core.files import plain_cell
from rl2qc.errors import UsageError
from rl2qc.images.sources.base import PatchSource
from rl2qc.images.sources.pages import split_page
from rl2qc.images.sources.tiles import whole_image

__all__ = ["Exclusion", "read_paths"]

_COLUMN, _LABEL, _BAD, _CLEAN = "file", "label", "bad", "clean"


def read_paths(path: str | Path, label: str = _BAD, option: str = "--exclude") -> list[str]:
    """The paths that a file lists: one a line, or the column "file" of a CSV file; where that has
    a column "label", those that are called ``label``: bad or clean.

    Raises
    ------
    UsageError
        The file is missing, cannot be read, or lists nothing.

    Examples
    --------
    >>> import tempfile
    >>> listed = Path(tempfile.mkdtemp()) / "mine.review.csv"
    >>> _ = listed.write_text("rank,file\\n1,a.png\\n2,b.png\\n")
    >>> read_paths(listed)
    ['a.png', 'b.png']
    """
    text = read_text(path, option)
    lines = text.splitlines()
    names = [name.strip(' "').lower() for name in re.split(r"[,;\t|]", first_line(text))]
    if _COLUMN in names:
        table = read_csv(path, [_COLUMN, _LABEL], option)
        header = [name.lower() for name in table.header]
        column = header.index(_COLUMN)
        rows = [cells for _, cells in table.rows]
        if _LABEL in header:
            said = header.index(_LABEL)
            rows = [cells for cells in rows if cells[said].strip().lower() == label]
            if not rows:
                raise UsageError(f"{option} {path} calls no patch {label}")
        lines = [plain_cell(cells[column]) for cells in rows]
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise UsageError(f"{option} {path} names no patch: one path a line, or a column file")
    return names


class Exclusion:
    """Leaves out of sources what files list.

    A patch is known by its path as it was given or as it resolves; listed paths start at the
    current folder or at that of the list. An image stands for all tiles that are cut from it.
    Patches without a path are known by their row number.

    Parameters
    ----------
    lists
        Files that :func:`read_paths` reads.
    include
        Files of those that stay in, whatever the others say: of corrections, what is clean.

    Attributes
    ----------
    count
        Patches that were left out so far.
    """

    def __init__(self, lists: Sequence[str | Path], include: Sequence[str | Path] = ()) -> None:
        staying = {
            key
            for path in include
            for name in read_paths(path, _CLEAN, "--include")
            for key in _keys_from(path, name)
        }
        listed = {name: _keys_from(path, name) for path in lists for name in read_paths(path)}
        self._keys = {name: keys for name, keys in listed.items() if not keys & staying}
        self._missing = set(self._keys)
        self.count = 0

    def __len__(self) -> int:
        return len(self._keys)

    def __call__(self, source: PatchSource) -> PatchSource:
        """The patches that no list names."""
        by_key: dict[str, set[str]] = {}
        for name, keys in self._keys.items():
            for key in keys:
                by_key.setdefault(key, set()).add(name)
        kept = []
        for row, name in enumerate(source.names):
            image = whole_image(name)
            # A file that is named stands for all of its pages.
            keys = _keys(name) | _keys(image) | _keys(str(split_page(image)[0]))
            found = set().union(*(by_key.get(key, ()) for key in keys))
            self._missing -= found
            if not found:
                kept.append(row)
        self.count += len(source) - len(kept)
        return source.take(kept)

    @property
    def missing(self) -> list[str]:
        """What was listed and found in no source so far."""
        return sorted(self._missing)


def _keys_from(path: str | Path, name: str) -> set[str]:
    """Of what a list names, from the current folder or from that of the list."""
    return _keys(name) | _keys(os.path.join(Path(path).parent, name))  # noqa: PTH118


def _keys(name: str) -> set[str]:
    image = whole_image(name)
    tile = name[len(image) :]
    return {f"{Path(image)}{tile}", f"{os.path.realpath(image)}{tile}"}

"""Names that become files: one place says whether they stay where they belong.

Names come from slides, from records of others and from the headers of their files; none of them may
lead out of the folder that a result is for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from rl2qc.errors import WorkError

__all__ = ["folder_name", "inside", "leads_outside", "stays_inside"]

# What a name is called that has no letter of its own.
_NAMELESS = "unnamed"


def folder_name(name: str) -> str:
    """A name as that of one folder: itself, but for names that lead elsewhere.

    Examples
    --------
    >>> folder_name("case.1"), folder_name(".."), folder_name("a/../b"), folder_name("")
    ('case.1', '__', 'a_.._b', 'unnamed')
    """
    for mark in filter(None, (os.sep, os.altsep, "\0")):
        name = name.replace(mark, "_")
    if not name.strip("."):
        return "_" * len(name) or _NAMELESS
    return name


def stays_inside(name: str | os.PathLike[str]) -> bool:
    """Whether a name, seen from a folder, leads to something in it, whatever links there are.

    Examples
    --------
    >>> [stays_inside(name) for name in ("patches/a.h5", "a/../../b", "/a", ".")]
    [True, False, False, False]
    """
    text = os.fspath(name)
    if not text or "\0" in text or Path(text).is_absolute():
        return False
    parts = Path(os.path.normpath(text)).parts
    return bool(parts) and parts[0] != os.pardir


def inside(folder: Path, name: str | os.PathLike[str]) -> Path:
    """``folder / name``.

    Raises
    ------
    WorkError
        The name leads out of the folder.

    Examples
    --------
    >>> inside(Path("results"), "../x")
    Traceback (most recent call last):
    rl2qc.errors.WorkError: '../x' leads out of results: nothing is written there
    """
    if not stays_inside(name):
        raise WorkError(f"{os.fspath(name)!r} leads out of {folder}: nothing is written there")
    return folder / name


def leads_outside(folder: Path, paths: Iterable[Path]) -> Path | None:
    """The first of some paths below a folder that links lead out of it; None without one."""
    root = Path(os.path.realpath(folder))
    real = ((path, Path(os.path.realpath(path))) for path in paths)
    return next((path for path, there in real if not there.is_relative_to(root)), None)

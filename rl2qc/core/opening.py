"""Open what is a file: a named pipe in its place would be waited for without end."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import TextIO

from rl2qc.errors import UsageError

__all__ = ["LARGEST_TEXT", "need_file", "open_file", "open_table", "read_file_text"]

LARGEST_TEXT = 64 * 2**20
"""Bytes of the largest text that is read whole. No JSON of ours comes near it: a record has some
kilobytes, a manifest of a thousand a megabyte."""


def need_file(path: str | Path, named: str = "", *, pipes: bool = False) -> None:
    """Say what a path is that should be a file and is none.

    Parameters
    ----------
    path
    named
        How messages call it.
    pipes
        Whether a shell's ``<(command)`` will do. A named pipe that nobody writes to would be waited
        for without end, and some devices never end.

    Raises
    ------
    UsageError
        It is none.

    Examples
    --------
    >>> need_file("/", "--also /")
    Traceback (most recent call last):
    rl2qc.errors.UsageError: --also / is a folder: give a file
    """
    named = named or str(path)
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        raise UsageError(f"no such file: {named}") from None
    of_a_shell = str(path).startswith(("/dev/", "/proc/"))
    if stat.S_ISREG(mode) or (pipes and of_a_shell and stat.S_ISFIFO(mode)):
        return
    kinds = {"a folder": stat.S_ISDIR, "a named pipe": stat.S_ISFIFO}
    kind = next((kind for kind, holds in kinds.items() if holds(mode)), "a device")
    raise UsageError(f"{named} is {kind}: give a file")


def open_file(path: str | Path) -> io.BufferedReader:
    """Open a file to read its bytes.

    Raises
    ------
    OSError
        It is not there, cannot be read, or is a pipe, a device or a folder.

    Examples
    --------
    >>> open_file(os.curdir)
    Traceback (most recent call last):
    OSError: [Errno 22] it is no file: '.'
    """
    # Asked of what was opened, so that nobody can put another in its place in between; a pipe
    # answers at once if it need not be waited for.
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return os.fdopen(number, "rb")


def open_table(path: str | Path) -> TextIO:
    """As :func:`open_file`, a CSV file of ours: file names that are no text keep their bytes."""
    return io.TextIOWrapper(open_file(path), newline="", encoding="utf-8", errors="surrogateescape")


def read_file_text(path: str | Path) -> str:
    """The text of a file in UTF-8.

    Raises
    ------
    OSError
        As :func:`open_file`; or it is larger than :data:`LARGEST_TEXT`.
    ValueError
        It is no text.
    """
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST_TEXT:
            raise OSError(errno.EFBIG, "it is larger than any that rl2qc writes", str(path))
        return file.read().decode("utf-8")

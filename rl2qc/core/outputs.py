"""Where a file goes that somebody names: what stands there is kept unless it may be replaced.

One place decides for all commands: ``-`` is standard output, links are written through, pipes and
devices are written to and never replaced, and of what is there already nothing is replaced unasked.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from rl2qc.errors import UsageError

__all__ = [
    "STDOUT",
    "behind_links",
    "check_folder",
    "check_is_folder",
    "check_targets",
    "is_stdout",
    "is_stream",
    "pour",
    "refuse_to_replace",
]

STDOUT = "-"
"""The name of standard output."""

_STREAMS = (stat.S_ISCHR, stat.S_ISFIFO)
_NO_FILE = (stat.S_ISBLK, stat.S_ISSOCK)


def is_stdout(path: str | Path) -> bool:
    """Whether a path means standard output, by the name ``-`` or any other.

    Examples
    --------
    >>> is_stdout("-"), is_stdout("./scores.json")
    (True, False)
    """
    return str(path) == STDOUT or _is_descriptor(path, 1)


def is_stream(path: str | Path) -> bool:
    """Whether what is written to a path flows away: standard output, a device, a pipe.

    Examples
    --------
    >>> is_stream("-"), is_stream(os.devnull), is_stream(os.curdir)
    (True, True, False)
    """
    if is_stdout(path) or _is_descriptor(path, 2):
        return True
    with suppress(OSError):
        mode = Path(path).stat().st_mode
        return any(check(mode) for check in _STREAMS)
    return False


def behind_links(path: Path) -> Path:
    """What a path leads to, so that a link stays where it is.

    Raises
    ------
    UsageError
        Links that lead in a circle.
    """
    if not path.is_symlink():
        return path
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise UsageError(f"{path} is a link that leads in a circle")
    return real


def pour(file: Path, target: str | Path) -> None:
    """Write what a file holds to standard output, a device or a pipe."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        if not (_is_descriptor(target, number) or (number == 1 and str(target) == STDOUT)):
            continue
        if stream is None:
            raise UsageError(f"{target} is closed")
        stream.flush()
        if (buffer := getattr(stream, "buffer", None)) is None:
            # As in a notebook, which shows text alone.
            stream.write(file.read_text(encoding="utf-8", errors="replace"))
        else:
            with file.open("rb") as opened:
                shutil.copyfileobj(opened, buffer)
        stream.flush()
        return
    with file.open("rb") as opened, Path(target).open("wb") as sink:
        shutil.copyfileobj(opened, sink)


def refuse_to_replace(
    files: Iterable[str | Path], *, overwrite: bool, option: str = "file"
) -> None:
    """Nothing that is there is replaced unasked.

    Parameters
    ----------
    files
        What is about to be written.
    overwrite
        Whether it was asked for.
    option
        What of the call names these files.

    Raises
    ------
    UsageError
        One is there, and ``overwrite`` is False; or it is a folder or a disk.

    Examples
    --------
    >>> refuse_to_replace([os.curdir], overwrite=True)
    Traceback (most recent call last):
    rl2qc.errors.UsageError: . is a folder: name a file in it
    """
    for path in map(Path, files):
        if is_stream(path):
            continue
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name a file in it")
        with suppress(OSError):
            mode = path.stat().st_mode
            if any(check(mode) for check in _NO_FILE):
                raise UsageError(f"{path} is a device that no file can be written to")
        if behind_links(path).exists() and not overwrite:
            raise UsageError(f"{path} exists: choose another {option} or pass --overwrite")


def check_targets(files: Mapping[str, str | Path | None], *, overwrite: bool) -> None:
    """Refuse what cannot, or must not, be written, before any work is done.

    Parameters
    ----------
    files
        What is to be written, by the option that names it; None where nothing is.
    overwrite
        Whether files that are there may be replaced.

    Raises
    ------
    UsageError
        A file that is there and may not be replaced, a folder, a place that cannot be written to,
        or one place for two files.
    """
    taken: dict[str, str] = {}
    for option, file in files.items():
        if file is None:
            continue
        if str(file) != STDOUT and Path(file).is_dir():
            raise UsageError(f"{option} {file} is a folder: name a file in it")
        refuse_to_replace([file], overwrite=overwrite, option=option)
        place = STDOUT if is_stdout(file) else os.path.realpath(file)
        if place in taken and not (is_stream(file) and place != STDOUT):
            raise UsageError(f"{taken[place]} and {option} are the same place, {file}: name two")
        taken[place] = option
        if not is_stream(file):
            _check_place(option, behind_links(Path(file)))


def check_folder(
    folder: str | Path, files: Iterable[str], *, overwrite: bool, option: str = "--out"
) -> None:
    """Refuse a folder that the named files cannot, or must not, be written into.

    Raises
    ------
    UsageError
        It is standard output, a file, or a place that cannot be written to; or it holds one of
        ``files``, and ``overwrite`` is False.
    """
    folder = check_is_folder(folder, option)
    refuse_to_replace((folder / name for name in files), overwrite=overwrite, option=option)
    _check_place(option, behind_links(folder) / "file")


def check_is_folder(folder: str | Path, option: str = "--out") -> Path:
    """The folder that several files are to go to; UsageError for standard output or a file.

    Examples
    --------
    >>> check_is_folder("-")
    Traceback (most recent call last):
    rl2qc.errors.UsageError: --out -: this writes several files, so name a folder
    """
    folder = Path(folder)
    if str(folder) == STDOUT:
        raise UsageError(f"{option} {folder}: this writes several files, so name a folder")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{option} {folder} is a file: name a folder")
    return folder


def _check_place(option: str, file: Path) -> None:
    """UsageError where a file cannot come to be, as far as that can be told beforehand."""
    there = next((place for place in file.absolute().parents if place.exists()), None)
    if there is None or not there.is_dir():
        raise UsageError(f"{option} {file}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{option} {file}: {there} cannot be written to")


def _is_descriptor(path: str | Path, number: int) -> bool:
    """Whether a path is what a standard stream of this process already writes to."""
    with suppress(OSError, ValueError):
        there, ours = Path(path).stat(), os.fstat(number)
        # A terminal and the null device are told by what they are.
        return os.path.samestat(there, ours) and not stat.S_ISDIR(ours.st_mode)
    return False

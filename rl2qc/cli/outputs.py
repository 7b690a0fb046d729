"""The files that a command was asked for, and what it says beside them."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from rl2qc.cli.console import say
from rl2qc.core.outputs import check_targets, is_stdout, is_stream
from rl2qc.errors import Rl2qcError, UsageError, WorkError

__all__ = ["Outputs"]


class Outputs:
    """The files that a command was asked for: checked before its work, written after it.

    Parameters
    ----------
    files
        The file, or None, by the option that names it.
    overwrite
        Whether files that are there may be replaced.
    inputs
        What the command reads: files, folders and globs of images, names of models.

    Raises
    ------
    UsageError
        One cannot be written, or is there and must not be replaced; what is read never is.
    """

    def __init__(
        self,
        files: Mapping[str, Path | None],
        *,
        overwrite: bool,
        inputs: Iterable[str | Path | None] = (),
    ) -> None:
        check_targets(files, overwrite=overwrite)
        read = [item for item in inputs if item is not None]
        for option, file in files.items():
            if file is not None and (item := _read_from(file, read)):
                raise UsageError(
                    f"{option} {file} is read as part of {item}: name another file to write to"
                )
        self._files = {option: file for option, file in files.items() if file is not None}
        self._overwrite = overwrite

    def finish(
        self,
        text: str,
        warnings: Iterable[str],
        *writers: tuple[str, str, Callable[[Path], None]],
    ) -> None:
        """Write the files, then say what was found and where it is.

        Parameters
        ----------
        text, warnings
            For a person to read: on standard output, unless a file goes there.
        *writers
            What a file is called, its option, and what writes it.

        Raises
        ------
        WorkError
            Files that could not be written; all others are.
        """
        # First the files: what is printed may meet a full disk, too.
        failed, written = [], []
        for title, option, write in writers:
            if (file := self._files.get(option)) is None:
                continue
            try:
                # Another program may have made it while this one was at work.
                check_targets({option: file}, overwrite=self._overwrite)
                write(file)
                written.append((title, file))
            except Rl2qcError as error:
                failed.append(str(error))
            except OSError as error:
                failed.append(f"{option} {file}: {error.strerror or error}")
        taken = any(map(is_stdout, self._files.values()))
        place = sys.stderr if taken else sys.stdout
        print(text, file=place)
        for warning in warnings:
            say(f"warning: {warning}")
        self._list([(title, file) for title, file in written if not is_stdout(file)], place)
        if failed:
            raise WorkError(f"not written: {'; '.join(failed)}")

    @staticmethod
    def _list(written: list[tuple[str, Path]], place: object) -> None:
        width = max((len(title) for title, _ in written), default=0)
        if written:
            print(file=place)  # type: ignore[call-overload]
        for title, file in written:
            print(f"{title:<{width}}  {file}", file=place)  # type: ignore[call-overload]


def _read_from(file: Path, inputs: Iterable[str | Path]) -> str | Path:
    """Of what is read, that which holds a file; "" where none does."""
    if is_stream(file) or not file.exists():
        return ""
    from rl2qc.images.sources.formats import is_picture  # loads Pillow

    real = Path(os.path.realpath(file))
    for item in inputs:
        place = Path(os.path.realpath(item))
        if real == place or (is_picture(real.name) and place in real.parents and place.is_dir()):
            return item
        if is_picture(real.name) and not place.exists() and glob.has_magic(str(item)):
            pattern = str(Path(item).absolute())
            if any(fnmatch(str(path), pattern) for path in (real, file.absolute())):
                return item
    return ""

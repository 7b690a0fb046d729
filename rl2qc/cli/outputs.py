"""The files that a command was asked for, and what it says beside them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rl2qc.cli.console import say
from rl2qc.core.outputs import check_targets, is_stdout
from rl2qc.errors import Rl2qcError, WorkError

__all__ = ["Outputs"]


class Outputs:
    """The files that a command was asked for: checked before its work, written after it.

    Parameters
    ----------
    files
        The file, or None, by the option that names it.
    overwrite
        Whether files that are there may be replaced.

    Raises
    ------
    UsageError
        One cannot be written, or is there and must not be replaced.
    """

    def __init__(self, files: Mapping[str, Path | None], *, overwrite: bool) -> None:
        check_targets(files, overwrite=overwrite)
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

"""Standard output and error that cost no work: letters that they lack, readers that go away."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TextIO

__all__ = ["prepare_streams"]

_ERRORS = "rl2qc.terminal"
# What tables are drawn with; a name keeps its letters' numbers, and is told from any other.
_PLAIN = str.maketrans({"↑": "^", "↓": "v", "µ": "u", "≤": "<", "≥": ">", "·": "."})


def prepare_streams() -> None:
    """Let nothing that is printed end a run.

    Letters that the terminal, or the code page of a pipe, does not have are replaced; and where the
    reader of a pipe has gone away (``| head``), what is printed is lost, and nothing else.
    """
    codecs.register_error(_ERRORS, _replace)
    # In a notebook, or under a test, they are other people's.
    sys.stdout = _patient(sys.stdout, sys.__stdout__, 1)
    sys.stderr = _patient(sys.stderr, sys.__stderr__, 2)


class _PatientFile(io.FileIO):
    """A stream whose reader may go away, and whose failures are told once."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise
            return len(memoryview(data).cast("B"))  # type: ignore[arg-type]


def _patient(stream: TextIO, original: TextIO | None, number: int) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if stream is not original or isinstance(getattr(stream.buffer, "raw", None), _PatientFile):
        stream.reconfigure(errors=_ERRORS)
        return stream
    stream.flush()
    file = io.BufferedWriter(_PatientFile(number, "w", closefd=False))
    return io.TextIOWrapper(
        file,
        encoding=stream.encoding,
        errors=_ERRORS,
        line_buffering=stream.line_buffering or number == 2,
        write_through=stream.write_through,
    )


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    plain = error.object[error.start : error.end].translate(_PLAIN)
    return plain.encode("ascii", "backslashreplace").decode(), error.end

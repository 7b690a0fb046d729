"""Errors meant for the user: one line that says what is wrong and what to do.

The command line prints the message alone and leaves with ``exit_code``; in Python they are
ordinary exceptions.
"""

from __future__ import annotations

import re
from enum import IntEnum

__all__ = [
    "CheckpointError",
    "ExitCode",
    "ImageError",
    "Rl2qcError",
    "SlideError",
    "UsageError",
    "WorkError",
    "shortened",
]

# Paths and the command that leads on are said whole.
_MOST = 2000
_LONG_WORD = re.compile(r"\S{161,}")


class ExitCode(IntEnum):
    """What a command ends with.

    Examples
    --------
    >>> UsageError("no such folder").exit_code
    <ExitCode.WRONG_USAGE: 2>
    """

    DONE = 0
    """All is done."""
    FAILED = 1
    """The call is right, and the work, or a part of it, failed."""
    WRONG_USAGE = 2
    """The call itself is wrong, and nothing was done."""
    FLAGGED = 3
    """All is done, and a slide is flagged."""
    NOT_MET = 4
    """All is done, and a requirement is not met."""
    HUNG_UP = 129
    """Stopped since its terminal was closed; what is finished is kept."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; what is finished is kept."""
    TERMINATED = 143
    """Stopped by SIGTERM, as a batch system does; what is finished is kept."""


def shortened(message: str) -> str:
    """A message of at most 2,000 letters: what it repeats of a call or a file may be of any length.

    Long words go first, so that what is wrong and what to do about it stay.

    Examples
    --------
    >>> shortened(f"no model {'a' * 6000}: name a file").replace("a" * 30, "A")
    'no model AA...Aaaaaaaaaa: name a file'
    """
    if len(message) <= _MOST:
        return message
    message = _LONG_WORD.sub(lambda word: f"{word[0][:60]}...{word[0][-40:]}", message)
    if len(message) <= _MOST:
        return message
    return f"{message[: _MOST * 2 // 3]}...{message[-_MOST // 3 + 3 :]}"


class Rl2qcError(Exception):
    """Base of every error that is the user's to read; its message is :func:`shortened`.

    Examples
    --------
    >>> import rl2qc
    >>> try:
    ...     rl2qc.QualityModel.load("no_such_model")
    ... except rl2qc.Rl2qcError as error:
    ...     print(int(error.exit_code))
    2
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: object = "") -> None:
        super().__init__(shortened(str(message)))


class UsageError(Rl2qcError, ValueError):
    """The call itself is wrong: a missing folder, an impossible option.

    Examples
    --------
    >>> import rl2qc
    >>> rl2qc.FilterSettings(alpha=2)
    Traceback (most recent call last):
    rl2qc.errors.UsageError: alpha must lie in [0, 1), got 2
    """

    exit_code = ExitCode.WRONG_USAGE


class WorkError(Rl2qcError, RuntimeError):
    """The call is right and the work failed.

    Examples
    --------
    >>> issubclass(SlideError, WorkError), int(WorkError.exit_code)
    (True, 1)
    """


class ImageError(WorkError):
    """A file is no image, or an image cannot be used as a patch.

    Examples
    --------
    >>> import numpy as np
    >>> from rl2qc.images.sources.images import center_crop
    >>> center_crop(np.zeros((32, 32, 3), np.uint8), 64)
    Traceback (most recent call last):
    rl2qc.errors.ImageError: 32 x 32 px is smaller than the patch, 64 x 64 px
    """


class SlideError(WorkError):
    """A slide cannot be read, or not at the resolution asked for.

    Examples
    --------
    >>> import rl2qc
    >>> rl2qc.open_slide("nothing.svs")
    Traceback (most recent call last):
    rl2qc.errors.SlideError: nothing.svs cannot be opened as a slide: no such file
    """


class CheckpointError(WorkError):
    """A model file is truncated, foreign or of an unknown version.

    Examples
    --------
    >>> import tempfile
    >>> import rl2qc
    >>> with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
    ...     try:
    ...         rl2qc.QualityModel.load(file.name)
    ...     except CheckpointError as error:
    ...         print(int(error.exit_code))
    1
    """

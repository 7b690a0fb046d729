"""Errors meant for the user: one line that says what is wrong and what to do.

The command line prints the message alone and leaves with ``exit_code``; in Python they are
ordinary exceptions.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "CheckpointError",
    "ExitCode",
    "ImageError",
    "Rl2qcError",
    "SlideError",
    "UsageError",
    "WorkError",
]


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
    INTERRUPTED = 130
    """Stopped by Ctrl-C; what is finished is kept."""


class Rl2qcError(Exception):
    """Base of every error that is the user's to read.

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


class UsageError(Rl2qcError, ValueError):
    """The call itself is wrong: a missing folder, an impossible option."""

    exit_code = ExitCode.WRONG_USAGE


class WorkError(Rl2qcError, RuntimeError):
    """The call is right and the work failed."""


class ImageError(WorkError):
    """A file is no image, or an image cannot be used as a patch."""


class SlideError(WorkError):
    """A slide cannot be read, or not at the resolution asked for."""


class CheckpointError(WorkError):
    """A model file is truncated, foreign or of an unknown version."""

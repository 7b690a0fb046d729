"""Errors meant for the user: one line that says what is wrong and what to do.

The command line prints the message alone and leaves with ``exit_code``; in Python they are
ordinary exceptions.
"""

from __future__ import annotations

__all__ = ["CheckpointError", "ImageError", "Rl2qcError", "SlideError", "UsageError", "WorkError"]


class Rl2qcError(Exception):
    """Base of every error that is the user's to read."""

    exit_code = 1


class UsageError(Rl2qcError, ValueError):
    """The call itself is wrong: a missing folder, an impossible option (exit code 2)."""

    exit_code = 2


class WorkError(Rl2qcError, RuntimeError):
    """The call is right and the work failed (exit code 1)."""


class ImageError(WorkError):
    """A file is no image, or an image cannot be used as a patch."""


class SlideError(WorkError):
    """A slide cannot be read, or not at the resolution asked for."""


class CheckpointError(WorkError):
    """A model file is truncated, foreign or of an unknown version."""

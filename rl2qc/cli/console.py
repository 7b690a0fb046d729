"""Lines for a terminal: names in them are made printable."""

from __future__ import annotations

import os
import sys

__all__ = ["printable", "say"]


def printable(text: str) -> str:
    """File names need not be valid text, nor one line; terminals and tables insist on it.

    Example
    -------
    >>> print(printable("a\\nb"))
    a\N{REPLACEMENT CHARACTER}b
    """
    valid = os.fsencode(text).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in valid)


def say(line: str) -> None:
    """Print a line for a person to read on stderr."""
    print(f"rl2qc: {printable(line)}", file=sys.stderr)

"""Lines for a terminal: names in them are made printable."""

from __future__ import annotations

import sys

from rl2qc.core.text import printable
from rl2qc.errors import shortened

__all__ = ["say"]


def say(line: str) -> None:
    """Print a line for a person to read on stderr."""
    print(f"rl2qc: {printable(shortened(line))}", file=sys.stderr)

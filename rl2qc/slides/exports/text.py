"""Names for files that hold valid text only."""

from __future__ import annotations

import os

__all__ = ["valid_text"]


def valid_text(value: object) -> str:
    """A name with the bytes replaced that are no UTF-8.

    Example
    -------
    >>> valid_text("caf\\udce9") == "caf\N{REPLACEMENT CHARACTER}"
    True
    """
    return os.fsencode(str(value)).decode("utf-8", "replace")

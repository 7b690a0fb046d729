"""By what a stored picture is known again."""

from __future__ import annotations

from typing import Any

from rl2qc.images.sources.images import About

__all__ = ["decoded_digest"]

# Changes with the pixels that turned or deep pictures give.
_DECODING = "2026"


def decoded_digest(stored: Any, about: About, page: int = 0) -> bytes:
    """The digest of a picture's pixels: that of its bytes, and of what else they depend on.

    Parameters
    ----------
    stored
        The hash of its bytes so far; it is gone on with.
    about, page
        What it says of itself, and which page it is.
    """
    # What is decoded from the same bytes depends on the page, and on how odd ones are read.
    if page or about.turned > 1 or about.bits > 8:
        stored.update(f"page {page}, decoded by the rules of {_DECODING}".encode())
    digest: bytes = stored.digest()
    return digest

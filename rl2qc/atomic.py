"""Files appear under their final name complete or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_path"]


@contextmanager
def atomic_path(final: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``final``; rename it there on success.

    The temporary name keeps the suffix, since writers choose the format by it. On any error the
    temporary file is removed and a file that already stood at ``final`` stays as it was.

    Example
    -------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "note.txt") as path:
    ...     _ = path.write_text("done")
    >>> [p.name for p in folder.iterdir()]
    ['note.txt']
    """
    final = Path(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    # A short name of its own: a very long final name must not overflow the file system's limit.
    temporary = final.parent / f".tmp-{secrets.token_hex(6)}{final.suffix[-16:]}"
    try:
        yield temporary
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)

"""Files appear under their final name complete or not at all."""

from __future__ import annotations

import csv
import json
import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["atomic_path", "plain", "read_json", "write_csv", "write_json"]


@contextmanager
def atomic_path(final: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``final``; rename it there on success.

    The temporary name keeps the suffix, since writers choose the format by it. On any error the
    temporary file is removed and a file that already stood at ``final`` stays as it was.

    Examples
    --------
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


def read_json(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds; {} where it holds none, or is not there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file; numbers that are not finite become null."""
    with atomic_path(path) as temporary:
        text = json.dumps(plain(content), indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """Nested data as JSON holds it: paths are text, tuples are lists, and what is no finite number
    is None.

    Examples
    --------
    >>> plain({"low": math.nan, "files": (Path("a"),)})
    {'low': None, 'files': ['a']}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file; file names that are no text keep their bytes."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        plain = csv.writer(file, lineterminator="\n")
        # Before Python 3.13, a carriage return is not put in quotes for its own sake.
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for row in (header, *rows):
            (quoted if any("\r" in str(cell) for cell in row) else plain).writerow(row)

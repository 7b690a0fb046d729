"""Files appear under their final name complete or not at all, wherever that name leads."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rl2qc.core.opening import open_file, read_file_text
from rl2qc.core.outputs import behind_links, is_stream, pour

__all__ = [
    "atomic_path",
    "file_digest",
    "plain",
    "plain_cell",
    "read_json",
    "safe_cell",
    "write_csv",
    "write_json",
    "write_text",
]


@contextmanager
def atomic_path(final: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``final``; rename it there on success.

    The temporary name keeps the suffix, since writers choose the format by it. On any error the
    temporary file is removed and a file that already stood at ``final`` stays as it was. A link is
    written through: it stays, and what it leads to is new. ``-`` is standard output, and a device
    or a pipe is written to when all is there; neither is ever replaced. A folder is made alike, and
    takes the place of a folder.

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
    if is_stream(final):
        with TemporaryDirectory(prefix="rl2qc-") as folder:
            temporary = Path(folder) / f"whole{final.suffix[-16:]}"
            yield temporary
            pour(temporary, final)
        return
    final = behind_links(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    # A short name of its own: a very long final name must not overflow the file system's limit.
    temporary = final.parent / f".tmp-{secrets.token_hex(6)}{final.suffix[-16:]}"
    try:
        yield temporary
        if final.is_file():
            # Who may read it stays the owner's decision.
            shutil.copymode(final, temporary)
        if temporary.is_dir():
            _replace_folder(temporary, final)
        else:
            temporary.replace(final)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def _replace_folder(new: Path, final: Path) -> None:
    """No system call puts a folder in the place of one that holds something."""
    aside = final.parent / f".tmp-{secrets.token_hex(6)}"
    if final.is_dir():
        final.replace(aside)
    try:
        new.replace(final)
    except OSError:
        if aside.is_dir():
            aside.replace(final)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def file_digest(path: Path) -> str:
    """sha256 of a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     file_digest(Path(file.name))[:12]
    'e3b0c44298fc'
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# What a cell begins with that a spreadsheet computes, whatever quotes stand before it.
_FORMULA = re.compile(r"'*[=+\-@\t\r].")


def read_json(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds; {} where it holds none, or is not there."""
    try:
        content = json.loads(read_file_text(path))
    except (OSError, ValueError, RecursionError):
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


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins like one is quoted.

    Numbers stay; :func:`plain_cell` is the way back.

    Examples
    --------
    >>> [safe_cell(cell) for cell in ("=1+1", "-2.5", -2.5, "@a", "a=b", "-", "'=1+1")]
    ["'=1+1", '-2.5', -2.5, "'@a", 'a=b', '-', "''=1+1"]
    """
    if isinstance(value, str | Path) and _FORMULA.match(str(value)) and not _is_number(str(value)):
        return f"'{value}"
    return value


def plain_cell(text: str) -> str:
    """The text that :func:`safe_cell` made safe.

    Examples
    --------
    >>> [plain_cell(safe_cell(text)) for text in ("=1+1", "'=1+1", "'a", "")]
    ['=1+1', "'=1+1", "'a", '']
    """
    quoted = text.startswith("'") and _FORMULA.match(text[1:]) and not _is_number(text[1:])
    return text[1:] if quoted else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file; file names that are no text keep their bytes, and none is a formula."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        plain = csv.writer(file, lineterminator="\n")
        # Before Python 3.13, a carriage return is not put in quotes for its own sake.
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        for cells in (header, *rows):
            row = [safe_cell(cell) for cell in cells]
            (quoted if any("\r" in str(cell) for cell in row) else plain).writerow(row)

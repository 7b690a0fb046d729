"""Tables that users bring as CSV, from spreadsheets of any country."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl2qc.core.opening import need_file
from rl2qc.errors import UsageError

__all__ = ["CsvTable", "decimal", "first_line", "read_csv", "read_text"]

_DELIMITERS = ",;\t|"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class CsvTable:
    """The cells of a file.

    Attributes
    ----------
    header
        The names in its first line, without spaces around them.
    rows
        The number of its line, and the cells, of each row that is not empty; as many as the header
        has.
    delimiter
        What stands between cells.
    """

    header: list[str]
    rows: list[tuple[int, list[str]]]
    delimiter: str


def read_text(path: str | Path, what: str = "") -> str:
    """The text of a list, in UTF-8 or as spreadsheets write it; names need not be valid text.

    Parameters
    ----------
    path
    what
        The option that named it, for messages.

    Raises
    ------
    UsageError
        It is not there, cannot be read, or is no text.
    """
    path, named = Path(path), f"{what} {path}".strip()
    try:
        if path.exists():
            need_file(path, named, pipes=True)
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {named}: {getattr(error, 'strerror', error)}") from error
    if content.startswith(_UTF_16):
        text = content.decode("utf-16", "replace")
    else:
        text = content.decode("utf-8-sig", "surrogateescape")
    if (place := text.find("\0")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise UsageError(f"{named} is no text: line {line} holds a NUL byte")
    return text


def read_csv(path: str | Path, columns: Sequence[str], what: str = "") -> CsvTable:
    """A CSV file; what separates cells is told by its header.

    Parameters
    ----------
    path
    columns
        Names of which the header has one, in lower case; by them the delimiter is told.
    what
        The option that named it, for messages.

    Raises
    ------
    UsageError
        It cannot be read, a quote is not closed, a cell is endless, one of ``columns`` is there
        twice, or a row has more cells than the header.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "list.csv"
    >>> _ = file.write_text("wsi;mpp\\na.svs;0,25\\n")
    >>> read_csv(file, ["wsi"]).rows
    [(2, ['a.svs', '0,25'])]
    """
    named = f"{what} {path}".strip()
    text = read_text(path, what)
    skipped = int(_says_delimiter(text))
    if skipped:
        text = text.partition("\n")[2]
    delimiter = _delimiter(first_line(text), columns)
    # Not by splitlines: a name in quotes may hold the end of a line.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        known = [name.lower() for name in header]
        if twice := [name for name in columns if known.count(name) > 1]:
            raise UsageError(f"{named} has more than one column {twice[0]!r}: keep one")
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if any(cell.strip() for cell in cells[len(header) :]):
                    raise UsageError(
                        f"{named} has more cells in line {reader.line_num + skipped} than in its "
                        "header: put names that hold commas in quotes, and write numbers with a dot"
                    )
                cells = cells[: len(header)] + [""] * (len(header) - len(cells))
                rows.append((reader.line_num + skipped, cells))
    except csv.Error as error:
        line = reader.line_num + skipped
        raise UsageError(f"{named} is no CSV file: {error} (line {line})") from None
    return CsvTable(header, rows, delimiter)


def first_line(text: str) -> str:
    """The first line of a list, behind Excel's own, which says what stands between cells.

    Examples
    --------
    >>> first_line("sep=;\\nwsi;mpp\\n")
    'wsi;mpp'
    """
    if _says_delimiter(text):
        text = text.partition("\n")[2]
    return next(iter(text.splitlines()), "")


def _says_delimiter(text: str) -> bool:
    return text[:4].lower() == "sep=" and text[4:5] in tuple(_DELIMITERS)


def _delimiter(header: str, columns: Sequence[str]) -> str:
    for delimiter in _DELIMITERS:
        try:
            names = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error:
            continue
        if any(name.strip().lower() in columns for name in names):
            return delimiter
    return _DELIMITERS[0]


def decimal(text: str, delimiter: str) -> float:
    """A number, written with a comma where something else stands between cells.

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> decimal("0,25", ";"), decimal("0.25", ",")
    (0.25, 0.25)
    """
    # Python reads 1_0 as ten, and digits of any script.
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no number")
    return float(text if delimiter == "," else text.replace(",", "."))

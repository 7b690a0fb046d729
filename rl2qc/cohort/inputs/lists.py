"""Lists of slides and of their resolutions, as CSV files."""

from __future__ import annotations

from pathlib import Path

from rl2qc.core.csv_files import decimal, read_csv
from rl2qc.core.text import brief
from rl2qc.errors import UsageError
from rl2qc.images.resolution import PLAUSIBLE_MPP, is_plausible_mpp
from rl2qc.slides.scenes import split_scene

__all__ = ["read_mpp_table", "read_slide_list"]

_SLIDE_COLUMNS = ("wsi", "slide", "path")
_MPP_COLUMN = "mpp"


def read_slide_list(path: str | Path) -> list[tuple[Path, float | None]]:
    """The slides of a CSV file and the resolutions that it gives.

    Parameters
    ----------
    path
        A CSV file with a column "wsi", "slide" or "path", and perhaps one "mpp" (microns per pixel
        at level 0; empty where the slide records it); commas, semicolons or tabs between cells.
        Relative paths start at the folder of the
        file or, if there is nothing there, at the current one.

    Raises
    ------
    UsageError
        No such column, no row, or an mpp that is no microscope's.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "cohort.csv"
    >>> _ = file.write_text("wsi,mpp\\n/slides/a.svs,\\n/slides/b.tif,0.25\\n")
    >>> [(slide.name, mpp) for slide, mpp in read_slide_list(file)]
    [('a.svs', None), ('b.tif', 0.25)]
    """
    path = Path(path)
    found = []
    for number, name, mpp in _rows(path):
        if not name:
            raise UsageError(f"{path} names no slide in line {number}")
        beside = path.parent / name
        here = not split_scene(beside)[0].exists() and split_scene(Path(name))[0].exists()
        found.append((Path(name) if here else beside, mpp))
    if not found:
        raise UsageError(f"{path} lists no slides")
    return found


def read_mpp_table(path: str | Path) -> dict[str, float]:
    """Microns per pixel at level 0 by slide, from a CSV file with the columns ``wsi,mpp``.

    Raises
    ------
    UsageError
        No such file or columns, an mpp that is no microscope's, or two for one slide.
    """
    path, table = Path(path), dict[str, float]()
    for number, name, mpp in _rows(path):
        if mpp is None:
            raise UsageError(f"{path} gives no mpp in line {number}")
        if table.setdefault(name, mpp) != mpp:
            raise UsageError(f"{path} gives {table[name]:g} and {mpp:g} um/px for {name}")
    return table


def _rows(path: Path) -> list[tuple[int, str, float | None]]:
    """Line number, slide and mpp of each row."""
    table = read_csv(path, (*_SLIDE_COLUMNS, _MPP_COLUMN))
    header = [name.lower() for name in table.header]
    column = next((header.index(name) for name in _SLIDE_COLUMNS if name in header), None)
    if column is None:
        raise UsageError(
            f"{path} has no column wsi, slide or path in its first line: it has "
            f"{', '.join(header[:5]) or 'none'}"
        )
    mpp_column = header.index(_MPP_COLUMN) if _MPP_COLUMN in header else None
    rows = []
    for line, cells in table.rows:
        text = cells[mpp_column].strip() if mpp_column is not None else ""
        rows.append((line, cells[column].strip(), _mpp(text, path, line, table.delimiter)))
    return rows


def _mpp(text: str, path: Path, line: int, delimiter: str) -> float | None:
    if not text:
        return None
    value: float | None
    try:
        value = decimal(text, delimiter)
    except ValueError:
        value = None
    if value is None or not is_plausible_mpp(value):
        raise UsageError(
            f"{path} gives {brief(text)!r} for mpp in line {line}: microns per pixel expected, "
            f"{PLAUSIBLE_MPP[0]:g} to {PLAUSIBLE_MPP[1]:g}"
        )
    return value

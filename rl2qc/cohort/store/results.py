"""A table of tiles in the folder of its results: what its record says, and the way back."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from rl2qc.cohort.store.record import Record, read_record
from rl2qc.errors import WorkError
from rl2qc.filtering.table import TileTable
from rl2qc.images.reasons import ReferenceQuantities

__all__ = ["describe_table", "read_table"]

# Told by the columns of tiles.csv, and by files of their own.
_ELSEWHERE = frozenset(
    {"x", "y", "width", "height", "tissue_fraction", "measurements", "keep", "image_paths"}
    | {"thumbnail", "failures"}
)
_NUMBER = "float"
_WHOLE = ("x", "y", "width", "height")
_TUPLES = ("dimensions", "bounds", "level_dimensions", "warnings")


def describe_table(table: TileTable) -> dict[str, Any]:
    """What a record keeps of a table: all that ``tiles.csv`` and the other files do not hold."""
    about = {f.name: getattr(table, f.name) for f in fields(table) if f.name not in _ELSEWHERE}
    if table.reference is not None:
        about["reference"] = {k: v.tolist() for k, v in table.reference.state().items()}
    about["coords"] = _named(table.coords)
    return about


def read_table(folder: str | Path, record: Record | None = None) -> TileTable:
    """The table that ``rl2qc filter`` left in ``folder``, to the last digit.

    The thumbnail is as large as the overlay shows it, and None where none was stored.

    Parameters
    ----------
    folder
        The folder of one slide or set of patches.
    record
        Its record, if that was read before.

    Raises
    ------
    WorkError
        The result is incomplete or damaged.
    """
    folder = Path(folder)
    record = record or read_record(folder)
    if record is None:
        raise WorkError(f"{folder} holds no complete result: run rl2qc filter again")
    try:
        return _read(folder, record)
    except (OSError, ValueError, KeyError, TypeError, UnidentifiedImageError) as error:
        raise WorkError(
            f"{folder} holds a damaged result ({error}): run rl2qc filter --overwrite"
        ) from error


def _read(folder: Path, record: Record) -> TileTable:
    with (folder / "tiles.csv").open(
        newline="", encoding="utf-8", errors="surrogateescape"
    ) as file:
        header, *rows = csv.reader(file)
    cells = dict(zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True))
    paths: Sequence[str] = cells.pop("path", ())
    cells.pop("reason", None)  # it follows from the quantities
    keep = np.array([cell == "true" for cell in cells.pop("keep")], np.bool_)
    whole: dict[str, Any] = {
        name: np.array([int(c) for c in cells.pop(name)], np.int64) for name in _WHOLE
    }
    floats = {name: np.array([float(c) for c in column]) for name, column in cells.items()}
    return TileTable(
        **{**_about(record), "path": Path(record.slide["path"])},
        **whole,
        tissue_fraction=floats.pop("tissue_fraction"),
        measurements=floats,
        keep=keep,
        image_paths=tuple(map(Path, paths)),
        failures=_failures(folder / "failures.csv"),
        thumbnail=_thumbnail(folder / "thumbnail.png"),
    )


def _about(record: Record) -> dict[str, Any]:
    known = {f.name for f in fields(TileTable)}
    about = {name: value for name, value in record.slide.items() if name in known}
    for name in _TUPLES:
        if about.get(name) is not None:
            about[name] = tuple(about[name])
    if about.get("reference") is not None:
        about["reference"] = ReferenceQuantities.from_state(about["reference"])
    about["coords"] = _numbers(about.get("coords"))
    return about


def _named(value: Any) -> Any:
    """Imported attributes may be any numbers, and JSON knows finite ones only."""
    if isinstance(value, dict):
        return {name: _named(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_named(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {_NUMBER: str(value)}
    return value


def _numbers(value: Any) -> Any:
    """The way back."""
    if isinstance(value, dict):
        if value.keys() == {_NUMBER}:
            return float(value[_NUMBER])
        return {name: _numbers(item) for name, item in value.items()}
    return [_numbers(item) for item in value] if isinstance(value, list) else value


def _failures(path: Path) -> tuple[tuple[str, str], ...]:
    if not path.exists():
        return ()
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        _, *rows = csv.reader(file)
    return tuple((what, reason) for what, reason in rows)


def _thumbnail(path: Path) -> Any:
    if not path.exists():
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))

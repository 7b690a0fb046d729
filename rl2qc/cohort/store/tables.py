"""A table of tiles in the folder of its results: what its record says, and the way back."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.record import FAILURES, Record, ResultFolder
from rl2qc.errors import WorkError
from rl2qc.filtering.evidence import EVIDENCE, Evidence
from rl2qc.filtering.exports.overlay import THUMBNAIL
from rl2qc.filtering.exports.tables import TILES
from rl2qc.filtering.table import ADAPTATIONS, TileTable
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.stats.adaptation import Adaptation

__all__ = ["describe_table", "read_table", "seen_size"]

# Told by the columns of tiles.csv, and by files of their own.
_ELSEWHERE = frozenset(
    {"x", "y", "width", "height", "tissue_fraction", "measurements", "keep", "image_paths"}
    | {"thumbnail", "failures", "evidence"}
)
_NUMBER = "float"
_WHOLE = ("x", "y", "width", "height")
_TUPLES = ("dimensions", "bounds", "level_dimensions", "warnings")


def describe_table(table: TileTable) -> dict[str, Any]:
    """What a record keeps of a table: all that ``tiles.csv`` and the other files do not hold."""
    about = {f.name: getattr(table, f.name) for f in fields(table) if f.name not in _ELSEWHERE}
    if table.reference is not None:
        about["reference"] = {k: v.tolist() for k, v in table.reference.state().items()}
    for name in ADAPTATIONS:
        about[name] = about[name] and about[name].to_dict()
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
    result = ResultFolder(Path(folder))
    record = record or result.read_record()
    if record is None:
        raise WorkError(f"{folder} holds no complete result: run rl2qc filter again")
    try:
        return _read(result.path, record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkError(
            f"{folder} holds a damaged result ({error}): run rl2qc filter --overwrite"
        ) from error


def seen_size(folder: Path, about: dict[str, Any]) -> int | None:
    """Side in px of what the model saw of each tile, from a record of any day.

    Parameters
    ----------
    folder
        Of the result: records of before two sizes were told apart hold that of the tiles, which is
        the model's but for imported ones, and for those the manifest of the run has the model's.
    about
        What the record says of the table.

    Returns
    -------
    None where neither says it.
    """
    if "tile_size" in about or about.get("coords") is None:
        size = about.get("patch_size")
    else:
        manifest = RunFolder(folder.resolve().parent).manifest()
        size = (manifest.get("model") or {}).get("patch_size")
    return int(size) if isinstance(size, int) else None


def _read(folder: Path, record: Record) -> TileTable:
    with (folder / TILES).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
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
        **_about(folder, record),
        **whole,
        tissue_fraction=floats.pop("tissue_fraction"),
        measurements=floats,
        keep=keep,
        image_paths=tuple(map(Path, paths)),
        failures=_failures(folder / FAILURES),
        thumbnail=_thumbnail(folder / THUMBNAIL),
        evidence=_evidence(folder, record, len(keep)),
    )


def _evidence(folder: Path, record: Record, tiles: int) -> Evidence | None:
    if EVIDENCE not in record.files:
        return None
    evidence = Evidence.load(folder / EVIDENCE)
    if len(evidence) != tiles:
        raise ValueError(f"{EVIDENCE} is of {len(evidence)} tiles, {TILES} of {tiles}")
    return evidence


def _about(folder: Path, record: Record) -> dict[str, Any]:
    known = {f.name for f in fields(TileTable)}
    about = {name: value for name, value in record.slide.items() if name in known}
    about["tile_size"] = about.get("tile_size", about.get("patch_size"))
    about["patch_size"] = seen_size(folder, record.slide)
    for name in _TUPLES:
        if about.get(name) is not None:
            about[name] = tuple(about[name])
    if about.get("reference") is not None:
        about["reference"] = ReferenceQuantities.from_state(about["reference"])
    for name in ADAPTATIONS:
        if about.get(name) is not None:
            about[name] = Adaptation.from_dict(about[name])
    about["coords"] = _numbers(about.get("coords"))
    about["path"] = Path(about["path"])
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
    from PIL import Image

    with Image.open(path, formats=("PNG",)) as image:
        return np.asarray(image.convert("RGB"))

"""A table of tiles in the folder of its results: what its record says, and the way back."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from rl2qc.cohort.store.naming import Naming
from rl2qc.cohort.store.record import FAILURES, FROM_RUN, Record, ResultFolder
from rl2qc.cohort.store.seen_size import seen_size
from rl2qc.core.files import file_digest, plain_cell
from rl2qc.core.opening import open_file, open_table
from rl2qc.core.text import one_line
from rl2qc.errors import WorkError
from rl2qc.filtering.areas import AREA, SHARE
from rl2qc.filtering.corrected import Corrected
from rl2qc.filtering.evidence import EVIDENCE, Evidence
from rl2qc.filtering.exports.overlay import THUMBNAIL
from rl2qc.filtering.exports.tables import TILES
from rl2qc.filtering.table import ADAPTATIONS, TileTable
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.stats.adaptation import Adaptation

__all__ = [
    "check_tiles",
    "describe_table",
    "kept_tiles",
    "read_evidence",
    "read_table",
]

# Told by the columns of tiles.csv, and by files of their own.
_ELSEWHERE = frozenset(
    {"x", "y", "width", "height", "tissue_fraction", "measurements", "keep", "image_paths"}
    | {"thumbnail", "failures", "evidence", "shown"}
)
_NUMBER = "float"
_WHOLE = ("x", "y", "width", "height")
_WORDS = {"true": True, "false": False}
# A pixel farther away lies on no slide.
_FARTHEST = 2**31 - 1
_LONGEST_THUMBNAIL = 2**14
_DAMAGED = (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError, csv.Error)
_TUPLES = ("dimensions", "bounds", "level_dimensions", "warnings", "stretch")


def describe_table(table: TileTable) -> dict[str, Any]:
    """What a record keeps of a table: all that ``tiles.csv`` and the other files do not hold."""
    about = {f.name: getattr(table, f.name) for f in fields(table) if f.name not in _ELSEWHERE}
    if table.reference is not None:
        about["reference"] = {k: v.tolist() for k, v in table.reference.state().items()}
    for name in ADAPTATIONS:
        about[name] = about[name] and about[name].to_dict()
    about["corrected"] = table.corrected and table.corrected.to_dict()
    about["coords"] = _marked(table.coords)
    return about


def read_table(
    folder: str | Path, record: Record | None = None, *, thumbnail: bool = True
) -> TileTable:
    """The table that ``rl2qc filter`` left in ``folder``, to the last digit.

    The thumbnail is as large as the overlay shows it, and None where none was stored.

    Parameters
    ----------
    folder
        The folder of one slide or set of patches.
    record
        Its record, if that was read before.
    thumbnail
        Whether to read that, too.

    Raises
    ------
    WorkError
        The result is incomplete or damaged.
    """
    result = ResultFolder(Path(folder))
    try:
        record = record or result.check_record()
    except WorkError as error:
        raise WorkError(f"{folder} holds no complete result: {error}") from error
    with _named(result.path):
        return _read(result.path, record, thumbnail)


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """WorkError, with the folder's name, for whatever a damaged file brings about."""
    try:
        yield
    except _DAMAGED as error:
        raise WorkError(
            f"{folder} holds a damaged result ({one_line(error)}): run rl2qc filter --overwrite"
        ) from error


@contextmanager
def _tiles(folder: Path, record: Record) -> Iterator[Iterator[list[str]]]:
    """The lines of ``tiles.csv``, the header first: as they were when the record was written.

    Raises
    ------
    ValueError
        They are not; of their number, that is known when the last one is read.
    """
    about, count = record.tables.get(TILES), -1
    _check_unchanged(folder, record, TILES)

    def lines(file: TextIO) -> Iterator[list[str]]:
        nonlocal count
        for line in csv.reader(file):
            count += 1
            yield line

    with open_table(folder / TILES) as file:
        yield lines(file)
    expected = about["rows"] if about is not None else record.row.get("tiles", count)
    if count != expected:
        raise ValueError(f"{TILES} holds {count} rows, and the record counts {expected}")


def _check_unchanged(folder: Path, record: Record, name: str) -> None:
    """ValueError for a file that is not as it was when the record was written."""
    about = record.tables.get(name)
    if about is not None and file_digest(folder / name) != about["sha256"]:
        raise ValueError(f"{name} was changed after it was written")


def kept_tiles(folder: Path, record: Record) -> Iterator[tuple[int, int, int, float, Path | None]]:
    """Place, width, p-value and image of each kept tile, one after the other.

    Raises
    ------
    WorkError
        The result is damaged.
    """
    reached = _reached(folder, record)
    with _named(folder), _tiles(folder, record) as lines:
        names = [plain_cell(name) for name in next(lines, ())]
        keep, *places = (names.index(name) for name in ("keep", "x", "y", "width", "p_value"))
        image = names.index("path") if "path" in names else None
        for line in lines:
            if len(line) != len(names):
                raise ValueError(f"a row of {TILES} has {len(line)} cells of {len(names)}")
            x, y, width, p_value = (line[i] for i in places)
            tile = int(x), int(y), int(width), float(p_value)
            if not (max(map(abs, tile[:2])) <= _FARTHEST and 1 <= tile[2] <= _FARTHEST):
                raise ValueError(f"a tile at {x}, {y} of {width} px lies on no slide")
            if not 0 <= tile[3] <= 1:
                raise ValueError("p_value of a tile lies outside [0, 1]")
            if _WORDS[line[keep]]:
                yield *tile, None if image is None else reached(plain_cell(line[image]))


def check_tiles(folder: Path, record: Record) -> dict[str, tuple[str, ...]]:
    """The columns of ``tiles.csv``, which are as they were when the record was written.

    Raises
    ------
    ValueError
        They are not.
    """
    with _tiles(folder, record) as lines:
        header, *rows = lines
    if len(set(header)) < len(header):
        raise ValueError(f"{TILES} names a column twice")
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    cells = dict(zip(map(plain_cell, header), columns, strict=True))
    return {**cells, "path": tuple(map(plain_cell, cells["path"]))} if "path" in cells else cells


@dataclass(frozen=True)
class _Columns:
    """What ``tiles.csv`` holds, checked: columns of :class:`TileTable`."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    tissue_fraction: NDArray[np.float64]
    measurements: dict[str, NDArray[np.float64]]
    keep: NDArray[np.bool_]
    image_paths: tuple[Path, ...]


def _columns(folder: Path, record: Record) -> _Columns:
    cells = check_tiles(folder, record)
    paths: Sequence[str] = cells.pop("path", ())
    cells.pop("reason", None)  # it follows from the quantities
    cells.pop("shifted", None)  # from the grid
    keep = np.array([_WORDS[cell] for cell in cells.pop("keep")], np.bool_)
    whole: dict[str, Any] = {
        name: np.array([int(c) for c in cells.pop(name)], np.int64) for name in _WHOLE
    }
    # How much of each class a tile shows follows from its evidence.
    cells = {name: column for name, column in cells.items() if not name.startswith((SHARE, AREA))}
    floats = {name: np.array([float(c) for c in column]) for name, column in cells.items()}
    _check_values(whole, floats)
    if record.slide["kind"] == "patches" and len(paths) != len(keep):
        raise ValueError(f"{TILES} names no images")
    return _Columns(
        **whole,
        tissue_fraction=floats.pop("tissue_fraction"),
        measurements=floats,
        keep=keep,
        image_paths=tuple(map(_reached(folder, record), paths)),
    )


def _reached(folder: Path, record: Record) -> Callable[[str], Path]:
    return Naming(folder.parent).reached if record.paths == FROM_RUN else Path


def _read(folder: Path, record: Record, thumbnail: bool) -> TileTable:
    return TileTable(
        **_about(folder, record),
        **vars(_columns(folder, record)),
        failures=_failures(folder / FAILURES),
        shown=Naming(folder.parent).shown,
        thumbnail=_thumbnail(folder / THUMBNAIL) if thumbnail else None,
        evidence=read_evidence(folder, record),
    )


def read_evidence(folder: Path, record: Record) -> Evidence | None:
    """The evidence of a result; None without any.

    Raises
    ------
    WorkError
        It is damaged, or does not belong to the record.
    """
    if EVIDENCE not in record.files:
        return None
    with _named(folder):
        _check_unchanged(folder, record, EVIDENCE)
        evidence, tiles = Evidence.load(folder / EVIDENCE), record.row["tiles"]
        if len(evidence) != tiles:
            raise ValueError(f"{EVIDENCE} is of {len(evidence)} tiles, {TILES} of {tiles}")
        for name in ADAPTATIONS:
            about = record.slide.get(name)
            sizes = about and (len(about["usual"]), len(about["high"]))
            if sizes and sizes != (len(evidence.prior.names), len(evidence.prior.classes)):
                raise ValueError(f"{name} is that of another model")
        weights = (record.slide.get("corrected") or {}).get("weights", ())
        if weights and len(weights) != len(evidence.prior.weights):
            raise ValueError("corrections are those of another model")
    return evidence


def _check_values(whole: dict[str, Any], floats: dict[str, Any]) -> None:
    """ValueError for a number that no tile has."""
    for name in ("x", "y"):
        if (np.abs(whole[name]) > _FARTHEST).any():
            raise ValueError(f"{name} of a tile lies outside of any slide")
    for name in ("width", "height"):
        if ((whole[name] < 1) | (whole[name] > _FARTHEST)).any():
            raise ValueError(f"{name} of a tile is {whole[name].min()}")
    for name in ("p_value", "tissue_fraction"):
        column = floats[name]
        if not ((column >= 0) & (column <= 1)).all():
            raise ValueError(f"{name} of a tile lies outside [0, 1]")


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
    if about.get("corrected") is not None:
        about["corrected"] = _corrected(about["corrected"], record.row["tiles"])
    about["coords"] = _numbers(about.get("coords"))
    about["path"] = Path(about["path"])
    return about


def _corrected(about: dict[str, Any], tiles: int) -> Corrected:
    found = Corrected.from_dict(about)
    if max((*found.clean, *found.bad), default=0) >= tiles:
        raise ValueError("corrections of tiles that are not there")
    return found


def _marked(value: Any) -> Any:
    """Imported attributes may be any numbers, and JSON knows finite ones only."""
    if isinstance(value, dict):
        return {name: _marked(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
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
    with open_table(path) as file:
        _, *rows = csv.reader(file)
    return tuple((plain_cell(what), plain_cell(reason)) for what, reason in rows)


def _thumbnail(path: Path) -> Any:
    if not path.exists():
        return None
    from PIL import Image

    try:
        with open_file(path) as file, Image.open(file, formats=("PNG",)) as image:
            # Drawn by us, so that a larger one is not.
            if max(image.size) > _LONGEST_THUMBNAIL:
                raise ValueError(f"{path.name} is {image.width} x {image.height} px")
            return np.asarray(image.convert("RGB"))
    except (SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.name} is damaged") from error

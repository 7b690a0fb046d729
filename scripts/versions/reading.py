"""Every output of a run as arrays by key."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from versions.names import IGNORED_FILES, VERDICTS, canonical, is_ignored, reword

__all__ = ["Arrays", "read_outputs", "texts_of"]

Arrays: TypeAlias = dict[str, NDArray[Any]]
# Percentiles of real against real beyond which a value is not like real.
_ORDINARY = (2.5, 97.5)


def read_outputs(folder: Path, prefix: str) -> Arrays:
    """All files of a folder; keys begin with ``prefix``, in the new version's names."""
    found: Arrays = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if IGNORED_FILES.search(name):
            continue
        key = canonical(f"{prefix}/{name}")
        found[f"{key}/files"] = np.array(True)
        reader = _READERS.get(path.suffix.lower())
        if reader is not None and not _is_drawing(name):
            found |= _settled(key, reader(path))
    return found


def texts_of(folder: Path, prefix: str) -> dict[str, str]:
    """The verdicts in words, by key: not compared, but shown on request."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.json")):
        metrics = _load(path).get("metrics", {})
        for name, row in metrics.items() if isinstance(metrics, dict) else ():
            if isinstance(row, dict) and row.get("verdict"):
                found[f"{prefix}/{path.relative_to(folder).as_posix()}/{name}"] = row["verdict"]
    return found


def _is_drawing(name: str) -> bool:
    """Curves and contact sheets hold text, whose words may change."""
    return bool(re.search(r"(?<!overlay)(?<!thumbnail)(?<!mask_use)\.png$", name)) and (
        "tiles/" not in name
    )


def _settled(prefix: str, arrays: Arrays) -> Arrays:
    """Numbers as float64, text in the new words; without what is not compared."""
    settled = {}
    for name, array in arrays.items():
        key = canonical(f"{prefix}/{name}" if name else prefix)
        if is_ignored(key):
            continue
        if array.dtype.kind in "biuf":
            settled[key] = array if array.dtype == np.uint8 else array.astype(np.float64)
        else:
            words = [reword(key, str(text)) for text in array.ravel()]
            settled[key] = np.array(words, np.str_).reshape(array.shape)
    return settled


# ------------------------------------------------------------------ nested data


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Arrays of nested dicts and lists; lists of like dicts become columns."""
    if isinstance(value, dict):
        if "verdict" in value:
            value = {**value, **_verdict(value)}
        for name, item in value.items():
            yield from _flat(item, f"{path}/{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        if value and all(isinstance(item, dict) for item in value):
            yield from _columns([dict(_flat(item)) for item in value], path)
        elif (array := _array(value)) is not None:
            yield path, array
        else:
            for i, item in enumerate(value):
                yield from _flat(item, f"{path}/{i}")
    else:
        yield path, _leaf(value)


def _columns(rows: Sequence[Arrays], path: str) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in dict.fromkeys(name for row in rows for name in row):
        cells = [row.get(name) for row in rows]
        known = [cell for cell in cells if cell is not None]
        if len(known) == len(cells) and len({(c.shape, c.dtype.kind) for c in known}) == 1:
            yield f"{path}/{name}", np.stack(known)
        else:
            for i, cell in enumerate(cells):
                if cell is not None:
                    yield f"{path}/{i}/{name}", cell


def _array(values: Sequence[Any]) -> NDArray[Any] | None:
    """The array of a list of numbers or of text, nested or not; None where it is neither."""
    plain = _without_null(values)
    try:
        array = np.array(plain)
    except ValueError:  # rows of different length
        return None
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "U" and all(isinstance(item, str) for item in plain):
        return array
    return None


def _without_null(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_null(item) for item in value]
    return math.nan if value is None else value


def _leaf(value: Any) -> NDArray[Any]:
    return np.array(math.nan if value is None else value)


def _verdict(row: dict[str, Any]) -> dict[str, Any]:
    """The direction that the numbers say, and what the words say where they say another thing."""
    text = row["verdict"]
    names = {canonical(name): value for name, value in row.items()}
    percentile = names.get("percentile")
    direction = "none"
    if percentile is not None:
        low, high = _ORDINARY
        direction = "below" if percentile < low else "above" if percentile > high else "within"
    said = next((said for begin, said in VERDICTS if re.match(begin, text)), direction)
    return {"direction": direction, "verdict": said}


# ------------------------------------------------------------------ files


def _load(path: Path) -> dict[str, Any]:
    loaded = json.loads(path.read_text(encoding="utf-8"))
    return loaded if isinstance(loaded, dict) else {"": loaded}


def _read_json(path: Path) -> Arrays:
    return dict(_flat(_load(path)))


def _read_geojson(path: Path) -> Arrays:
    """Features by their ids: those of classes come in the order of a legend."""
    content = _load(path)
    content["features"] = sorted(content["features"], key=lambda feature: str(feature["id"]))
    return dict(_flat(content))


def _read_csv(path: Path) -> Arrays:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    # HistoQC's table has its header in the last of its comments.
    comments = [i for i, row in enumerate(rows) if row and row[0].startswith("#")]
    rows = rows[comments[-1] :] if comments else rows
    header, *body = rows
    # A scorecard's verdicts are compared in its JSON.
    columns = {name: [row[i] for row in body] for i, name in enumerate(header)}
    columns.pop("verdict", None)
    return {"rows": np.array(len(body)), **{name: _column(v) for name, v in columns.items()}}


def _column(cells: Sequence[str]) -> NDArray[Any]:
    try:
        return np.array([float(cell) if cell else math.nan for cell in cells])
    except ValueError:
        return np.array(cells, np.str_)


def _read_parquet(path: Path) -> Arrays:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        return {}
    table = parquet.read_table(path)
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}


def _read_hdf5(path: Path) -> Arrays:
    try:
        import h5py
    except ImportError:
        return {}
    found: Arrays = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            values = np.asarray(item[()])
            found[name] = values.astype(str) if values.dtype.kind == "O" else values
        for key, value in item.attrs.items():
            found[f"{name}/{key}"] = np.asarray(value)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return {name: a.astype(str) if a.dtype.kind in "OS" else a for name, a in found.items()}


def _read_model(path: Path) -> Arrays:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        found = {name.replace(".", "/"): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for text in (file.metadata() or {}).values():
            found |= {f"header/{name}": array for name, array in _flat(json.loads(text))}
    return found


def _read_arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _read_picture(path: Path) -> Arrays:
    with Image.open(path) as image:
        return {"": np.asarray(image.convert("RGB"))}


_READERS: dict[str, Callable[[Path], Arrays]] = {
    ".json": _read_json,
    ".geojson": _read_geojson,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".h5": _read_hdf5,
    ".safetensors": _read_model,
    ".npz": _read_arrays,
    ".png": _read_picture,
    ".jpg": _read_picture,
}

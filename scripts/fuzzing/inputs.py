"""Coordinates, features, the cache and lists that somebody altered."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fuzzing.common import VALUES, Outcome, alter_bytes, judged, one_of
from rl2qc.cohort.inputs.lists import read_mpp_table, read_slide_list
from rl2qc.features.base import FeatureExtractor
from rl2qc.features.cache import FeatureCache
from rl2qc.features.precomputed import load_precomputed
from rl2qc.images.resolution import is_plausible_mpp
from rl2qc.images.sources.base import PatchSource, as_source
from rl2qc.images.sources.exclusion import read_paths
from rl2qc.scoring.other_scores import read_scores
from rl2qc.slides.coords import read_coords

__all__ = ["fuzz_cache", "fuzz_coords", "fuzz_features", "fuzz_lists"]

XY = np.array([[256, 128], [0, 0], [64, 64]], np.int64)
_TRIDENT = {
    "patch_size": 64,
    "patch_size_level0": 128,
    "level0_magnification": 40,
    "target_magnification": 20,
    "level0_width": 384,
    "level0_height": 256,
    "name": "case",
}
_CLAM = {"patch_size": 64, "patch_level": 1, "downsample": (2.0, 2.0), "level_dim": (192, 128)}
# Sides, levels and places beyond these are no slide's.
_LARGEST, _FARTHEST = 2**20, 2**31
# What headers of arrays claim.
_SHAPES = (
    *("(10**12, 8)", "(2000000000000, 8)", "(20, 9)", "(19, 8)", "(-20, 8)", "(20, -8)", "()"),
    *("(20, 8, 1)", "'x'", "(20.0, 8)", "(True, 8)", "((20, 8),)", "[" * 900 + "]" * 900),
)


def _repeated(count: int, seed: int, kind: str, alter: Any, read: Any) -> list[Outcome]:
    """Alter and read so many times, each time in a folder of its own."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    outcomes = []
    for _ in range(count):
        folder = Path(tempfile.mkdtemp())
        what = alter(folder, rng)
        outcomes.append(judged(kind, what, lambda f=folder: read(f)))  # type: ignore[misc]
        shutil.rmtree(folder)
    return outcomes


# ---------------------------------------------------------------- coordinates


def fuzz_coords(count: int, seed: int) -> list[Outcome]:
    """Files of TRIDENT and CLAM."""
    return _repeated(count, seed, "coordinates", _alter_coords, _read_coords)


def _alter_coords(folder: Path, rng: np.random.Generator) -> str:
    path = folder / "a.h5"
    attributes: dict[str, Any] = dict(one_of(rng, (_TRIDENT, _CLAM)))
    way: str = one_of(rng, ("attribute",) * 4 + ("dataset", "lie", "link") * 2 + ("cut",))
    name = one_of(rng, attributes)
    if way == "attribute":
        attributes[name] = one_of(rng, (*VALUES, np.zeros(10**6), np.arange(3), b"\xff", -4.0))
    _write_coords(path, attributes)
    if way == "attribute":
        return f"{name} = {str(attributes[name])[:30]!r}"
    if way == "cut":
        content = path.read_bytes()
        path.write_bytes(content[: rng.integers(len(content))])
        return str(way)
    with h5py.File(path, "r+") as file:
        given = dict(file["coords"].attrs)
        del file["coords"]
        what = {"dataset": _odd_dataset, "lie": _lying_dataset, "link": _linked}[way](file, rng)
        made = file.get("coords", getlink=True)
        if isinstance(made, h5py.HardLink):
            file["coords"].attrs.update(given)
    return f"{way}: {what}"


def _write_coords(path: Path, attributes: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("coords", data=XY, maxshape=(None, 2))
        for name, value in attributes.items():
            try:
                dataset.attrs[name] = value
            # What HDF5 does not take.
            except (TypeError, ValueError, OSError, RuntimeError, OverflowError):
                dataset.attrs[name] = str(type(value))


def _odd_dataset(file: Any, rng: np.random.Generator) -> str:
    odd: dict[str, Any] = {
        "text": np.array([[b"1", b"2"]]),
        "NaN": np.full((3, 2), np.nan),
        "inf": np.full((3, 2), np.inf),
        "halves": XY + 0.5,
        "three columns": np.zeros((3, 3), int),
        "flat": np.arange(6),
        "a number": np.array(3),
        "far": np.full((2, 2), 2**62),
        "farther": np.full((2, 2), 2**64 - 1, np.uint64),
        "far floats": np.full((2, 2), 1e300),
        "compound": np.zeros((3, 2), [("a", "<i4")]),
        "complex": np.zeros((3, 2), complex),
        "bool": np.ones((3, 2), bool),
        "empty": h5py.Empty("i8"),
    }
    what: str = one_of(rng, odd)
    file["coords"] = odd[what]
    return what


def _lying_dataset(file: Any, rng: np.random.Generator) -> str:
    rows = int(one_of(rng, (10**8, 2 * 10**8, 10**12, 2**59)))
    chunks = one_of(rng, (None, (1000, 2)))
    more = {"chunks": chunks, "compression": "gzip"} if chunks else {}
    file.create_dataset("coords", (rows, 2), "i8", fillvalue=0, **more)
    return f"{rows} rows in {chunks}"


def _linked(file: Any, rng: np.random.Generator) -> str:
    other = Path(file.filename).with_name("other.h5")
    _write_coords(other, _TRIDENT)
    what: str = one_of(rng, ("external", "soft", "a pipe", "virtual", "external data", "a group"))
    if what == "external":
        file["coords"] = h5py.ExternalLink(str(other), "coords")
    elif what == "a pipe":
        file["coords"] = h5py.ExternalLink("/dev/stdin", "coords")
    elif what == "soft":
        file["away"] = h5py.ExternalLink(str(other), "/")
        file["coords"] = h5py.SoftLink("/away/coords")
    elif what == "virtual":
        layout = h5py.VirtualLayout((3, 2), "i8")
        layout[:] = h5py.VirtualSource(str(other), "coords", (3, 2))
        file.create_virtual_dataset("coords", layout)
    elif what == "external data":
        file.create_dataset("coords", (3, 2), "i8", external=[("/etc/passwd", 0, 48)])
    else:
        file.create_group("coords")
    return what


def _read_coords(folder: Path) -> str:
    coords = read_coords(folder / "a.h5")
    corners, side = coords.corners(), coords.side((1.0, 2.0))
    if not 1 <= side <= _LARGEST or np.abs(corners).max(initial=0) > _FARTHEST:
        return f"side {side}, corners to {np.abs(corners).max(initial=0)}"
    if len(corners) and not np.array_equal(corners, XY) and corners.tolist() != [[1, 1]] * 3:
        return f"corners {corners[:3].tolist()}"
    return ""


# ---------------------------------------------------------------- features


def fuzz_features(count: int, seed: int) -> list[Outcome]:
    """Arrays of features that were computed elsewhere."""
    return _repeated(count, seed, "features", _alter_features, _read_features)


def _features(title: str) -> NDArray[np.float32]:
    return np.random.default_rng(len(title)).normal(size=(20, 8)).astype(np.float32)


def _alter_features(folder: Path, rng: np.random.Generator) -> str:
    for title in ("real", "generated"):
        np.save(folder / f"{title}.npy", _features(title))
    path = folder / f"{one_of(rng, ('real', 'generated'))}.npy"
    array = np.load(path)
    odd: dict[str, Callable[[], Any]] = {
        "nan": lambda: np.where(array == array.max(), np.nan, array),
        "inf": lambda: np.where(array == array.max(), np.inf, array),
        "far": lambda: array.astype(np.float64) * 1e300,
        "objects": lambda: array.astype(object),
        "text": lambda: array.astype("U9"),
        "flat": lambda: array.ravel(),
        "deep": lambda: array[None],
        "empty": lambda: array[:0],
        "thin": lambda: array[:, :0],
        "a number": lambda: np.float32(3),
        "complex": lambda: array.astype(complex),
        "records": lambda: np.zeros((20, 8), [("a", "f4")]),
    }
    way: str = one_of(rng, (*odd, *("header",) * 10, "cut", "longer", "folder", "pickle"))
    if way in odd:
        np.save(path, odd[way](), allow_pickle=True)
    elif way == "header":
        return _alter_npy(path, rng)
    elif way == "cut":
        content = path.read_bytes()
        path.write_bytes(content[: rng.integers(len(content))])
    elif way == "longer":
        path.write_bytes(path.read_bytes() + b"\x00" * 4)
    elif way == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(b"\x80\x04K\x03.")
    return f"{path.name} {way}"


def _alter_npy(path: Path, rng: np.random.Generator) -> str:
    shape = one_of(rng, _SHAPES)
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    body = path.read_bytes()[-20 * 8 * 4 :]
    version = one_of(rng, (1, 1, 1, 2, 3, 9))
    width = 2 if version == 1 else 4
    text = head.encode() + b"\n"
    length = one_of(rng, (len(text),) * 4 + (0, 2**16 - 1))
    path.write_bytes(
        b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(width, "little") + text + body
    )
    return f"{path.name} of version {version}, shape {shape[:30]}, length {length}"


def _read_features(folder: Path) -> str:
    found = load_precomputed(folder, ["real", "generated"])
    for title, features in found.items():
        images = as_source(np.zeros((20, 64, 64, 3), np.uint8))
        if not np.array_equal(features.extract(images), _features(title)):
            return f"{title} holds other numbers"
    return ""


# ---------------------------------------------------------------- the cache


class _Means(FeatureExtractor):
    name, dim, identity = "means", 3, "means, version 1"

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        return np.array([source[i].mean((0, 1)) for i in range(len(source))], np.float32)


def _images() -> PatchSource:
    return as_source(np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8))


def fuzz_cache(count: int, seed: int) -> list[Outcome]:
    """The database of features."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _repeated(count, seed, "cache", _alter_cache, _read_cache)


def _alter_cache(folder: Path, rng: np.random.Generator) -> str:
    cache = FeatureCache(folder)
    cache.features(_Means(), _images())
    way: str = one_of(rng, ("bytes", "nan", "inf", "short", "text", "table", "swapped", "folder"))
    if way == "bytes":
        return alter_bytes(cache.path, rng)
    if way == "folder":
        cache.path.unlink()
        cache.path.mkdir()
        return way
    with sqlite3.connect(cache.path) as db:
        rows = db.execute("SELECT key, value FROM features").fetchall()
        key = one_of(rng, rows)[0]
        if way == "table":
            db.execute("ALTER TABLE features RENAME TO others")
        else:
            values = np.full(3, np.nan if way == "nan" else np.inf, "<f4").tobytes()
            values = values[:5] if way == "short" else values
            blob: Any = zlib.crc32(key + values).to_bytes(4, "little") + values
            blob = "text" if way == "text" else blob
            blob = rows[0][1] if way == "swapped" else blob
            db.execute("UPDATE features SET value = ? WHERE key = ?", (blob, key))
    return way


def _read_cache(folder: Path) -> str:
    found = FeatureCache(folder).features(_Means(), _images())
    return "" if np.array_equal(found, _Means().extract(_images())) else "other features"


# ---------------------------------------------------------------- lists

_LISTS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "slides": ("wsi,mpp\na.svs,0.25\nb.svs,\n", read_slide_list),
    "mpp": ("wsi,mpp\na.svs,0.25\nb.svs,0.5\n", read_mpp_table),
    "exclude": ("file,p\na.png,1\nb.png,1\n", read_paths),
    "also": ("generator,dice,loss:lower\na,0.25,1\nb,0.5,2\n", read_scores),
}


def fuzz_lists(count: int, seed: int) -> list[Outcome]:
    """Lists of slides, resolutions, images and scores."""
    return _repeated(count, seed, "lists", _alter_list, _read_list)


def _alter_list(folder: Path, rng: np.random.Generator) -> str:
    name: str = one_of(rng, _LISTS)
    path = folder / f"{name}.csv"
    text = _LISTS[name][0]
    rows = [line.split(",") for line in text.splitlines()]
    row, column = int(rng.integers(len(rows))), int(rng.integers(len(rows[0])))
    cells = (*VALUES, "a" * 200_000, '"', '"a\nb', "1e999", "0,25", "NaN", "\ufeff", "\r")
    way = one_of(rng, ("cell",) * 6 + ("more cells", "fewer cells", "bytes", "empty", "folder"))
    if way == "cell":
        rows[row][column] = str(one_of(rng, cells))
    elif way == "more cells":
        rows[row] += ["x"] * 3
    elif way == "fewer cells":
        del rows[row][column:]
    text = "\n".join(",".join(line) for line in rows)
    path.write_text("" if way == "empty" else text, encoding="utf-8", errors="surrogateescape")
    if way == "bytes":
        alter_bytes(path, rng)
    elif way == "folder":
        path.unlink()
        path.mkdir()
    return f"{name}: {way} at {row}, {column}: {rows[row][column : column + 1]!r:.60}"


def _read_list(folder: Path) -> str:
    (path,) = folder.iterdir()
    found = _LISTS[path.stem][1](path)
    numbers: list[float] = []
    if path.stem == "slides":
        numbers = [mpp for _, mpp in found if mpp is not None]
    elif path.stem == "mpp":
        numbers = list(found.values())
    odd = [number for number in numbers if not is_plausible_mpp(number)]
    if path.stem == "also":
        odd = [v for s in found.values() for v in s.values.values() if not np.isfinite(v)]
    return f"numbers {odd}" if odd else ""

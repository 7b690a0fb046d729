"""Folders of results that somebody altered, given to all that reads them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import rl2qc
from fuzzing.common import VALUES, Outcome, alter_bytes, alter_json, alter_kind, judged, one_of
from rl2qc.errors import Rl2qcError, WorkError

__all__ = ["fuzz_results", "make_results"]

ALPHA = 0.35
_FILES = ("record.json", "tiles.csv", "tiles.csv", "thumbnail.png", "evidence.npz", "../run.json")


class Reds:
    """The p-value of a tile is its mean share of red light."""

    patch_size, mpp, name, sha256 = 64, 0.5, "reds", "ab" * 32

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        red = images[..., 0].mean(axis=(1, 2)) / 255
        return {"log_likelihood": red * 100, "p_value": red}


def make_results(place: Path, model: Any = None) -> Path:
    """A folder of results of two sets of six patches, "bad" and "good"."""
    for name in ("bad", "good"):
        (place / name).mkdir(parents=True)
        for i in range(6):
            picture = Image.new("RGB", (64, 64), (round(25.5 * (i + 2)), 120, 120))
            picture.save(place / name / f"{i}.png")
    inputs = [place / "bad", place / "good"]
    judge: Any = model or Reds()
    rl2qc.filter_cohort(inputs, place / "out", judge, alpha=0.1, mpp=0.5)
    return place / "out"


def fuzz_results(count: int, seed: int, model: Any = None) -> list[Outcome]:
    """Alter a folder of results so many times, and read it each time.

    ``model`` makes the results; one with evidence has more files to alter.
    """
    rng, outcomes = np.random.default_rng([seed, 1]), []
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        original = make_results(place / "made", model)
        rl2qc.decide(original, ALPHA)
        expected = _tables(original)
        for number in range(count):
            work = place / "work"
            shutil.copytree(place / "made", work)
            # The page is drawn again now and then, since that takes longest.
            if number % 10:
                (work / "out" / "report.html").unlink()
            what = _alter(work / "out", rng)
            before = _outside(work)
            found = judged("results", what, lambda w=work: _read(w / "out", expected))  # type: ignore[misc]
            if _outside(work) != before:
                found = Outcome("results", what, "wrong", "something was written outside")
            outcomes.append(found)
            shutil.rmtree(work)
    return outcomes


def _alter(out: Path, rng: np.random.Generator) -> str:
    files = [file for name in _FILES if (file := out / "bad" / name).exists()]
    file = one_of(rng, [*files, out / "bad" / "record.json"]).resolve()
    chosen = rng.random()
    if chosen < 0.1:
        what = alter_bytes(file, rng)
    elif chosen < 0.2:
        what = alter_kind(file, rng, out.parent / "away")
    elif file.suffix == ".json":
        content = json.loads(file.read_text())
        what = alter_json(content, rng)
        file.write_text(json.dumps(content))
    elif file.suffix == ".csv":
        what = _table(file, rng)
    elif file.suffix == ".npz":
        what = _arrays(file, rng)
    else:
        what = alter_bytes(file, rng)
    if rng.random() < 0.3 and file.suffix in (".csv", ".npz"):
        # As who lies on purpose would: with a record that fits.
        _forget_hashes(out / "bad" / "record.json")
        what += ", and the record says nothing of it"
    return f"{file.name}: {what}"


def _table(file: Path, rng: np.random.Generator) -> str:
    rows = [line.split(",") for line in file.read_text().splitlines()]
    row, column = int(rng.integers(len(rows))), int(rng.integers(len(rows[0])))
    way = one_of(rng, ("cell", "cell", "cell", "row gone", "row twice", "swapped"))
    if way == "cell":
        rows[row][column] = str(one_of(rng, VALUES))
    elif way == "row gone":
        del rows[row]
    elif way == "row twice":
        rows.append(rows[row])
    else:
        other = int(rng.integers(len(rows[0])))
        rows[row][column], rows[row][other] = rows[row][other], rows[row][column]
    text = "\n".join(",".join(cells) for cells in rows) + "\n"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    return f"{way} at row {row}, column {column}"


def _arrays(file: Path, rng: np.random.Generator) -> str:
    with np.load(file) as archive:
        arrays = dict(archive)
    name = one_of(rng, arrays)
    array = arrays[name]
    way = one_of(rng, ("gone", "nan", "longer", "shorter", "other type", "far"))
    if way == "gone":
        del arrays[name]
    elif way == "longer":
        arrays[name] = np.stack([array, array])
    elif way == "shorter":
        arrays[name] = array[..., :-1] if array.ndim else array[None]
    elif way == "other type":
        arrays[name] = array.astype("U9") if array.dtype.kind != "U" else np.arange(len(array))
    elif array.dtype.kind == "f":
        arrays[name] = array + (np.nan if way == "nan" else 1e30)
    else:
        arrays[name] = array[:0] if array.ndim else array[None]
    np.savez_compressed(file, **arrays)
    return f"{name} {way}"


def _forget_hashes(record: Path) -> None:
    try:
        content = json.loads(record.read_text())
        content["tables"] = {}
        record.write_text(json.dumps(content))
    except (OSError, ValueError, KeyError, TypeError):
        return


def _outside(place: Path) -> dict[str, bytes]:
    """Everything outside the folder of results."""
    found = (path for path in place.rglob("*") if path.is_file() and not path.is_symlink())
    return {
        str(path): path.read_bytes()
        for path in found
        if place / "out" not in path.parents and path.stat().st_size < 2**20
    }


def _read(out: Path, expected: Mapping[str, list[bool]]) -> str:
    """What is wrong with what is read of a folder; an error of rl2qc where a part is refused."""
    refused = ""
    try:
        decided = rl2qc.decide(out, ALPHA)
        refused = "; ".join(decided.errors)
        if any(name == "good" for name, _ in decided.failures):
            return f"the other result pays: {refused}"
    except Rl2qcError as error:
        refused = str(error)
    for read in (_tables, _kept):
        try:
            seen = read(out)
        except Rl2qcError as error:
            refused = refused or str(error)
            continue
        for name, keep in seen.items():
            if not refused and keep != expected[name]:
                return f"{name} is decided otherwise in silence"
    if refused:
        raise WorkError(refused)
    return ""


def _tables(out: Path) -> dict[str, list[bool]]:
    result = rl2qc.read_results(out)
    return {name: table.keep.tolist() for name, table in result.tables.items()}


def _kept(out: Path) -> dict[str, list[bool]]:
    tiles = rl2qc.KeptTiles(out)
    for i in range(len(tiles)):
        tiles.tile(i)
    return {}

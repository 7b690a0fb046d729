"""Every export format holds what is asked of all, one from outside among them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as parquet
import pytest
from contracts.format import Corners, check_format
from PIL import Image

import rl2qc as package
from rl2qc.filtering.exports.registry import BOTH, FORMATS, ExportedRun, ExportFormat
from rl2qc.filtering.table import TileTable


def of_csv(path: Path) -> Corners:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [(int(row["x"]), int(row["y"])) for row in rows if row["keep"] == "true"]


def of_parquet(path: Path) -> Corners:
    rows = parquet.read_table(path).to_pylist()
    return [(row["x"], row["y"]) for row in rows if row["keep"]]


def of_geojson(path: Path) -> Corners:
    for feature in json.loads(path.read_text())["features"]:
        about = feature["properties"]
        if about["objectType"] == "tile" and about["classification"]["name"] == "QC: kept":
            yield tuple(feature["geometry"]["coordinates"][0][0])


def of_h5(path: Path) -> Corners:
    with h5py.File(path) as file:
        return [tuple(corner) for corner in file["coords"][:].tolist()]


def of_wsinfer(path: Path) -> Corners:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [(int(r["minx"]), int(r["miny"])) for r in rows if r["prob_rejected"] == "0"]


def of_mask(path: Path) -> Corners:
    """Of 0.5 um/px, the mask has 8."""
    mask = np.asarray(Image.open(path))
    return [(16 * x, 16 * y) for y, x in np.argwhere(mask) if not (x % 4 or y % 4)]


def of_pictures(path: Path) -> Corners:
    for file in path.glob("x*_y*"):
        x, y = file.stem.split("_")
        yield int(x[1:]), int(y[1:])


def of_spatialdata(path: Path) -> Corners:
    import spatialdata

    bounds = spatialdata.read_zarr(path).shapes["tiles"].bounds
    return [(int(x), int(y)) for x, y in bounds[["minx", "miny"]].to_numpy()]


READ_BACK = {
    "csv": of_csv,
    "parquet": of_parquet,
    "geojson": of_geojson,
    "trident": of_h5,
    "clam": of_h5,
    "wsinfer": of_wsinfer,
    "histoqc": of_mask,
    "spatialdata": of_spatialdata,
    "tiles": of_pictures,
    "tiles-jpeg": of_pictures,
}


@pytest.mark.parametrize("name", FORMATS.names())
def test_contract(name: str, tmp_path: Path) -> None:
    spec = FORMATS.get(name)
    if spec.extra is not None and not spec.extra.installed:
        pytest.skip(f"{spec.extra.package} is not installed")
    check_format(spec, tmp_path, read=READ_BACK.get(name))


# ---------------------------------------------------------------- one from outside


def write_corners(table: TileTable, path: Path) -> None:
    corners = np.stack([table.x, table.y], axis=1)[table.keep]
    np.savetxt(path, corners, "%d", header=table.name)


def write_list(run: ExportedRun) -> None:
    names = [result.name for result in run.exported()]
    (run.path / "corners.list").write_text("corners of " + ", ".join(names))


def is_list(out: Path) -> bool:
    file = out / "corners.list"
    return file.exists() and file.read_text().startswith("corners of ")


@pytest.fixture
def corners() -> Iterator[ExportFormat]:
    yield package.register_format(
        ExportFormat(
            "corners",
            "corners/{name}.txt",
            write_corners,
            kinds=BOTH,
            shared=True,
            finish=write_list,
            run_file="corners.list",
            is_ours=is_list,
        )
    )
    FORMATS.unregister("corners")


def test_a_format_from_outside(corners: ExportFormat, tmp_path: Path) -> None:
    def read(path: Path) -> Corners:
        return [tuple(corner) for corner in np.loadtxt(path, int, ndmin=2).tolist()]

    check_format(corners, tmp_path, read=read)


def test_a_format_from_outside_by_the_command_line(
    corners: ExportFormat, rl2qc: Callable, slide: Path, tmp_path: Path, red_model: None
) -> None:
    out = tmp_path / "out"
    words = rl2qc("filter", "--help").out.replace("│", " ").split()
    assert "tiles-jpeg, corners." in " ".join(words)
    assert rl2qc("filter", slide, "-o", out, "--format", "csv,corners").code == 0
    assert len((out / "corners" / "case.txt").read_text().splitlines()) == 1 + 6
    assert (out / "corners.list").read_text() == "corners of case"
    assert rl2qc("decide", out, "--alpha", 0.35).code == 0
    assert len((out / "corners" / "case.txt").read_text().splitlines()) == 1 + 4
    # Added later, and another tool's file in its place.
    assert rl2qc("filter", slide, "-o", tmp_path / "two", "--format", "csv").code == 0
    assert rl2qc("decide", tmp_path / "two", "--format", "corners").code == 0
    assert (tmp_path / "two" / "corners" / "case.txt").is_file()
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / "corners.list").write_text("of a lab")
    refused = rl2qc("filter", slide, "-o", tmp_path / "three", "--format", "corners")
    assert (refused.code, "corners.list" in refused.error) == (2, True)


def test_a_name_that_is_taken(corners: ExportFormat) -> None:
    with pytest.raises(package.UsageError, match="there is a format 'corners' already"):
        package.register_format(ExportFormat("corners", "other.txt", write_corners))

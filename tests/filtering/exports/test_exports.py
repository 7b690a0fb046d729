from __future__ import annotations

import csv
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import shapely
from cohort_helpers import replace_writer
from slide_helpers import MappedModel
from toy_general import CLASSES, toy_prior

from rl2qc.errors import UsageError
from rl2qc.filtering.evidence import Evidence
from rl2qc.filtering.exports.files import export, remove_exports
from rl2qc.filtering.exports.qupath import geojson_features
from rl2qc.filtering.exports.registry import FORMATS, check_formats, parse_formats
from rl2qc.filtering.table import TileTable
from rl2qc.images.cells import CellMap
from rl2qc.images.reasons import REASONS

POINT = {
    "type": "array",
    "prefixItems": [{"type": "integer"}, {"type": "integer"}],
    "items": False,
    "minItems": 2,
}
POLYGON = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "array", "minItems": 5, "items": POINT},
}
QUPATH = {
    "type": "object",
    "required": ["type", "features"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {"type": "array", "items": {"$ref": "#/$defs/feature"}},
    },
    "$defs": {
        "feature": {
            "type": "object",
            "required": ["type", "id", "geometry", "properties"],
            "additionalProperties": False,
            "properties": {
                "type": {"const": "Feature"},
                "id": {"type": "string", "format": "uuid"},
                "geometry": {
                    "oneOf": [
                        {
                            "properties": {"type": {"const": "Polygon"}, "coordinates": POLYGON},
                            "required": ["type", "coordinates"],
                            "additionalProperties": False,
                        },
                        {
                            "properties": {
                                "type": {"const": "MultiPolygon"},
                                "coordinates": {"type": "array", "minItems": 2, "items": POLYGON},
                            },
                            "required": ["type", "coordinates"],
                            "additionalProperties": False,
                        },
                    ]
                },
                "properties": {
                    "type": "object",
                    "required": ["objectType", "classification"],
                    "additionalProperties": False,
                    "properties": {
                        "objectType": {"enum": ["tile", "annotation"]},
                        "name": {"type": "string"},
                        "classification": {
                            "type": "object",
                            "required": ["name", "color"],
                            "additionalProperties": False,
                            "properties": {
                                "name": {"type": "string"},
                                "color": {
                                    "type": "array",
                                    "minItems": 3,
                                    "maxItems": 3,
                                    "items": {"type": "integer", "minimum": 0, "maximum": 255},
                                },
                            },
                        },
                        "isLocked": {"type": "boolean"},
                        # Numbers only: JSON Schema, unlike Python, takes no boolean for one.
                        "measurements": {
                            "type": "object",
                            "additionalProperties": {"type": "number"},
                        },
                    },
                },
            },
        }
    },
}
"""What QuPath asks of a file of objects that it imports."""
QUPATH_RULES = jsonschema.Draft202012Validator(
    QUPATH, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def assert_qupath_takes(content: dict[str, Any]) -> None:
    QUPATH_RULES.validate(content)
    for feature in content["features"]:
        geometry = feature["geometry"]
        polygons = geometry["coordinates"]
        for polygon in [polygons] if geometry["type"] == "Polygon" else polygons:
            assert all(ring[0] == ring[-1] for ring in polygon)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: f.update(id="1"),
        lambda f: f.update(objectType=f["properties"].pop("objectType")),
        lambda f: f["properties"]["measurements"].update(keep=True),
        lambda f: f["properties"]["measurements"].update(score=None),
        lambda f: f["properties"]["classification"].pop("color"),
        lambda f: f["geometry"]["coordinates"][0][0].append(0),
    ],
)
def test_the_schema_refuses_what_qupath_refuses(
    table: TileTable, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    feature = next(geojson_features(table))
    QUPATH_RULES.validate({"type": "FeatureCollection", "features": [feature]})
    spoil(feature)
    with pytest.raises(jsonschema.ValidationError):
        QUPATH_RULES.validate({"type": "FeatureCollection", "features": [feature]})


def test_csv_round_trip(table: TileTable, tmp_path: Path) -> None:
    (path,) = export(table, tmp_path, ["csv"])
    assert path == tmp_path / "tiles.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "x",
        "y",
        "width",
        "height",
        "tissue_fraction",
        "log_likelihood",
        "p_value",
        "keep",
        "reason",
    ]
    for name, column in table.columns().items():
        read = [row[name] for row in rows]
        if name == "keep":
            assert read == ["true" if keep else "false" for keep in column]
        elif name == "reason":
            assert read == column.tolist()
        elif name in {"x", "y", "width", "height"}:
            assert [int(v) for v in read] == column.tolist()
        else:
            np.testing.assert_array_equal([float(v) for v in read], column)


def test_csv_of_patches_names_the_files(table_of_patches: TileTable, tmp_path: Path) -> None:
    written = export(table_of_patches, tmp_path)
    # A patch has no place on a slide.
    assert [p.name for p in written] == ["tiles.csv"]
    with written[0].open(newline="", encoding="utf-8") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [
            str(p) for p in table_of_patches.image_paths
        ]


def test_csv_takes_names_that_are_no_text(table_of_patches: TileTable, tmp_path: Path) -> None:
    odd = "caf\udce9.png"  # how Python shows a byte that is not UTF-8
    odd_table = replace(table_of_patches, image_paths=(Path(odd),) * 6)
    (path,) = export(odd_table, tmp_path, ["csv"])
    assert b"caf\xe9.png" in path.read_bytes()


def geojson(table: TileTable, folder: Path) -> dict[str, Any]:
    (path,) = export(table, folder, ["geojson"])
    content: dict[str, Any] = json.loads(
        path.read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    return content


def test_geojson_is_what_qupath_takes(table: TileTable, tmp_path: Path) -> None:
    content = geojson(table, tmp_path)
    assert set(content) == {"type", "features"}
    assert content["type"] == "FeatureCollection"
    features = content["features"]
    assert len({f["id"] for f in features}) == len(features)
    assert all(str(uuid.UUID(f["id"])) == f["id"] for f in features)
    assert_qupath_takes(content)
    kinds = [f["properties"]["objectType"] for f in features]
    assert kinds == ["tile"] * 6 + ["annotation"] * 2


def test_geojson_tiles(table: TileTable, tmp_path: Path) -> None:
    tiles = geojson(table, tmp_path)["features"][:6]
    # QuPath crops slides to their bounds, which begin at (100, 50).
    assert tiles[1]["geometry"]["coordinates"] == [
        [[64, 0], [128, 0], [128, 64], [64, 64], [64, 0]]
    ]
    assert tiles[0]["properties"]["measurements"] == {
        "log_likelihood": -1.5,
        "p_value": 0.5,
        "tissue_fraction": 1.0,
    }
    # What is not a number is left out.
    assert "log_likelihood" not in tiles[2]["properties"]["measurements"]
    assert "log_likelihood" not in tiles[4]["properties"]["measurements"]
    names = [t["properties"]["classification"]["name"] for t in tiles]
    assert names == [("QC: kept" if keep else "QC: rejected") for keep in table.keep]


def test_geojson_annotations(table: TileTable, tmp_path: Path) -> None:
    kept, rejected = geojson(table, tmp_path)["features"][6:]
    assert kept["properties"]["classification"]["name"] == "QC: kept"
    assert kept["properties"]["measurements"] == {"tiles": 3}
    # Two tiles in a column, and one apart.
    assert kept["geometry"]["type"] == "MultiPolygon"
    assert kept["geometry"]["coordinates"][0] == [[[0, 0], [64, 0], [64, 128], [0, 128], [0, 0]]]
    assert rejected["geometry"]["type"] == "MultiPolygon"


def test_every_class_of_tiles_has_its_annotation(table: TileTable) -> None:
    n = 4 * (len(REASONS) + 1)
    reasons = np.tile(["", *REASONS], 4)
    many = replace(
        table,
        x=100 + 64 * (np.arange(n) % 7),
        y=50 + 64 * (np.arange(n) // 7),
        width=np.full(n, 64),
        height=np.full(n, 64),
        tissue_fraction=np.ones(n),
        measurements={"p_value": np.ones(n)},
        keep=reasons == "",
    )
    vars(many)["reasons"] = reasons
    features = list(geojson_features(many))
    assert_qupath_takes({"type": "FeatureCollection", "features": features})
    tiles, annotations = features[:n], features[n:]
    assert len({feature["id"] for feature in features}) == len(features)
    expected = {"QC: kept", *(f"QC: rejected: {reason}" for reason in REASONS)}
    names = [annotation["properties"]["name"] for annotation in annotations]
    assert names[0] == "QC: kept"
    assert sorted(names) == sorted(expected)
    for annotation in annotations:
        kind = annotation["properties"]["classification"]
        assert kind["name"] == annotation["properties"]["name"]
        own = [t for t in tiles if t["properties"]["classification"] == kind]
        assert annotation["properties"]["measurements"] == {"tiles": len(own)} == {"tiles": 4}
        union = shapely.union_all([shapely.geometry.shape(tile["geometry"]) for tile in own])
        assert shapely.geometry.shape(annotation["geometry"]).equals(union)


def test_tiles_of_the_same_place_are_numbered(table: TileTable) -> None:
    chosen = np.array([0, 1, 0, 2, 0, 1])
    names = ("x", "y", "width", "height", "tissue_fraction", "keep")
    doubled = replace(
        table,
        **{name: getattr(table, name)[chosen] for name in names},
        measurements={name: values[chosen] for name, values in table.measurements.items()},
    )
    features = list(geojson_features(doubled))
    assert_qupath_takes({"type": "FeatureCollection", "features": features})
    assert len({feature["id"] for feature in features}) == len(features)
    assert [f["properties"]["name"] for f in features[:6]] == [
        "x0_y0",
        "x64_y0",
        "x0_y0_2",
        "x128_y0",
        "x0_y0_3",
        "x64_y0_2",
    ]
    # The first of each is as if it were alone.
    alone = {f["properties"]["name"]: f["id"] for f in geojson_features(table)}
    assert all(
        f["id"] == alone[f["properties"]["name"]]
        for f in features
        if f["properties"]["name"] in alone
    )


def test_one_part_is_a_polygon_and_no_tile_is_nothing(table: TileTable) -> None:
    keep = np.ones(6, bool)
    keep[5] = False
    features = list(geojson_features(replace(table, keep=keep)))
    assert [f["geometry"]["type"] for f in features[6:]] == ["Polygon", "Polygon"]
    assert list(geojson_features(emptied(table))) == []


def test_geojson_ids_are_stable_and_differ_between_slides(table: TileTable) -> None:
    def ids(table: TileTable) -> list[str]:
        return [feature["id"] for feature in geojson_features(table)]

    assert ids(table) == ids(table.decide(0.2))[: len(ids(table))]
    assert not set(ids(table)) & set(ids(replace(table, name="case 2")))


# ---------------------------------------------------------------- files


# Those that write one file; tiles are written one by one.
SINGLE = [
    spec.name
    for spec in FORMATS
    if spec.sort is None and (spec.extra is None or spec.extra.installed)
]


@pytest.mark.parametrize("name", SINGLE)
def test_nothing_half_written(
    table: TileTable, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(table: TileTable, path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    table = suited(table, name)
    (path,) = export(table, tmp_path / table.name, [name])
    assert path.is_file()
    before = files(tmp_path)
    replace_writer(monkeypatch, name, fail)
    with pytest.raises(OSError, match="disk full"):
        export(table, tmp_path / table.name, [name])
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", SINGLE)
def test_the_same_table_is_the_same_file(table: TileTable, tmp_path: Path, name: str) -> None:
    for run in ("a", "b"):
        export(suited(table, name), tmp_path / run / table.name, [name])
    assert files(tmp_path / "a") == files(tmp_path / "b")


@pytest.mark.parametrize("name", SINGLE)
def test_a_slide_without_tiles_can_be_written(table: TileTable, tmp_path: Path, name: str) -> None:
    (path,) = export(emptied(suited(table, name)), tmp_path / table.name, [name])
    assert path.stat().st_size


def test_removing_leaves_other_slides_and_foreign_files(table: TileTable, tmp_path: Path) -> None:
    other = replace(table, name="case [1]")
    ours: dict[str, list[str]] = {}
    for slide in (other, table):
        folder = tmp_path / slide.name
        ours[slide.name] = [os.path.relpath(p, folder) for p in export(slide, folder, SINGLE)]
    (tmp_path / "case 1" / "notes.txt").write_text("mine")
    before = files(tmp_path)
    remove_exports(tmp_path / "case 1", [])
    assert files(tmp_path) == before
    remove_exports(tmp_path / "case 1", ours["case 1"])
    left = files(tmp_path)
    assert left["case 1/notes.txt"] == b"mine"
    assert {name for name in before if "[1]" in name} == set(left) - {"case 1/notes.txt"}
    remove_exports(tmp_path / "case [1]", ours["case [1]"])
    assert set(files(tmp_path)) == {"case 1/notes.txt"}


def test_formats_are_checked_before_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_formats(" trident,csv ,,csv") == ("trident", "csv")
    with pytest.raises(UsageError, match=r"no format 'xml': Choose from csv, .*histoqc"):
        parse_formats("csv,xml")
    with pytest.raises(UsageError, match="at least one of csv"):
        parse_formats(" , ")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs pyarrow: pip install 'rl2qc\[parquet\]'"):
        check_formats(["csv", "parquet"])
    for name in ("trident", "clam"):
        with pytest.raises(UsageError, match=r"needs h5py: pip install 'rl2qc\[h5\]'"):
            check_formats([name])
    check_formats(["csv", "wsinfer", "histoqc", "tiles"])


def files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def suited(table: TileTable, name: str) -> TileTable:
    """The table with a map, where the format asks for one."""
    if not FORMATS.get(name).maps:
        return table
    measured = MappedModel().measure(np.zeros((len(table), 64, 64, 3), np.uint8))
    cells = CellMap(CLASSES, measured["cells"])
    return replace(table, evidence=Evidence(toy_prior(), measured["evidence"], cells, adapts=False))


def emptied(table: TileTable) -> TileTable:
    return replace(
        table,
        **{name: getattr(table, name)[:0] for name in ("x", "y", "width", "height", "keep")},
        tissue_fraction=np.empty(0),
        measurements={name: values[:0] for name, values in table.measurements.items()},
        evidence=table.evidence and table.evidence.take(np.empty(0, np.int64)),
    )

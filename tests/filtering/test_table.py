"""A table of tiles is shown, written down and decided anew."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.filtering.exports.files import export
from rl2qc.filtering.patches import filter_patches
from rl2qc.filtering.slide import filter_slide
from rl2qc.filtering.table import TileTable


@pytest.fixture
def table(tmp_path: Path, rng: np.random.Generator) -> TileTable:
    pixels = tissue_like(rng, 128, 192)
    pixels[:64, :64] = np.clip(pixels[:64, :64] - 60.0, 0, 255)
    return filter_slide(write_slide(tmp_path / "case.tif", pixels), BrightnessModel(), alpha=0.6)


@pytest.fixture
def patches(tmp_path: Path, rng: np.random.Generator) -> TileTable:
    (tmp_path / "set").mkdir()
    Image.fromarray(tissue_like(rng, 64, 64)).save(tmp_path / "set" / "a.png")
    return filter_patches(tmp_path / "set", BrightnessModel(), mpp=0.5)


def test_it_is_shown_in_a_line(table: TileTable, patches: TileTable) -> None:
    assert repr(table) == "<TileTable 'case': 5 of 6 tiles kept, alpha 0.6>"
    assert repr(patches) == "<TileTable 'set': 1 of 1 patches kept, alpha 0.05>"
    other = table.decide(0.99, method="bh")
    assert repr(other) == "<TileTable 'case': 0 of 6 tiles kept, alpha 0.99 (bh); over-rejected>"


def test_its_table_names_reasons_and_warnings(table: TileTable) -> None:
    first, *others = table.decide(0.99).table().splitlines()
    assert first == "'case': 0 of 6 tiles kept, alpha 0.99; over-rejected"
    assert any(line.startswith("  rejected: ") for line in others)
    assert any(line.startswith("  warning: 100% of the tissue is rejected") for line in others)
    counted = sum(int(line.split()[-1]) for line in others if line.startswith("  rejected: "))
    assert counted == 6


def test_a_notebook_shows_the_slide(table: TileTable, patches: TileTable) -> None:
    shown = table._repr_html_()
    assert shown.startswith("<pre>&#x27;case&#x27;: 5 of 6")
    assert '<img src="data:image/' in shown
    assert "<img" not in patches._repr_html_()


@pytest.mark.parametrize("name", ["csv", "geojson"])
def test_it_is_written_as_a_run_does(table: TileTable, tmp_path: Path, name: str) -> None:
    (written,) = export(table, tmp_path / "case", [name])
    path = tmp_path / f"mine.{name}"
    (table.to_csv if name == "csv" else table.to_geojson)(path)
    assert path.read_bytes() == written.read_bytes()


def test_rows_and_json_hold_what_the_csv_does(table: TileTable, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table.csv_rows()) == 6
    for row, ours in zip(rows, table.csv_rows(), strict=True):
        assert list(row) == list(ours)
        assert float(row["p_value"]) == ours["p_value"]
    table.to_json(tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert (content["schema_version"], content["name"], content["patch_size"]) == (2, "case", 64)
    assert content["columns"]["keep"] == table.keep.tolist()


def test_its_overlay(table: TileTable, patches: TileTable) -> None:
    assert table.overlay().size[0] >= 800
    for make in (patches.overlay, lambda: patches.to_geojson("no.geojson")):
        with pytest.raises(ValueError, match="set"):
            make()
    assert not Path("no.geojson").exists()


def test_what_is_written_is_whole_or_not_there(
    table: TileTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rl2qc.filtering.exports.qupath as module

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(module.json, "dumps", fail)
    with pytest.raises(OSError, match="disk full"):
        table.to_geojson(tmp_path / "a.geojson")
    assert not list(tmp_path.glob("*.geojson"))


def test_another_decision(table: TileTable) -> None:
    again: Callable[..., TileTable] = table.decide
    assert again(0.0).keep.all()
    assert not again(0.99).keep.any()
    assert table.keep.sum() == 5

"""From a slide to its verdict, its map and its tiles with their masks, by a small general model."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from page_helpers import Page
from slide_helpers import tissue_like, write_slide
from torch.utils.data import DataLoader
from toy_general import toy_prior

import rl2qc
from rl2qc.cohort.adapt import cohort_adaptations
from rl2qc.cohort.page import write_cohort_page
from rl2qc.cohort.store.record import ResultFolder
from rl2qc.cohort.store.summary import SummaryRow, describe_verdicts
from rl2qc.cohort.store.tables import read_table
from rl2qc.core.text import area
from rl2qc.errors import UsageError
from rl2qc.stats.adaptation import unadapted


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, general_file: Path) -> Path:
    place = tmp_path_factory.mktemp("verdicts")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        write_slide(place / f"{name}.tif", tissue_like(rng, 192, 256))
    formats = ["csv", "overlay", "map"]
    rl2qc.filter_cohort(
        [place / "a.tif", place / "b.tif"], place / "out", general_file, formats=formats
    )
    return place / "out"


def test_what_is_written_says_the_same(out: Path) -> None:
    result = rl2qc.read_results(out)
    with (out / "summary.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    page = (out / "report.html").read_text()
    for name, table in result.tables.items():
        word, why = table.verdict
        assert (rows[name]["verdict"], rows[name]["why"]) == (word, why)
        shares = dict(part.rsplit(" ", 1) for part in rows[name]["areas"].split("; ") if part)
        assert {k: float(v) for k, v in shares.items()} == pytest.approx(table.areas, abs=1e-4)
        sizes = dict(part.rsplit(" ", 1) for part in rows[name]["area_um2"].split("; ") if part)
        assert {k: float(v) for k, v in sizes.items()} == pytest.approx(table.area_um2, abs=0.1)
        assert sizes.keys() == shares.keys()
        for kind, size in table.area_um2.items():
            assert f"{kind} {table.areas[kind]:.1%} ({area(size)})" in Page(page).text
        assert f"{word}: " in page
    assert page.index("Which slides to drop") < page.index("<h2>Inputs")
    assert result.verdicts.splitlines()[0].startswith("verdicts: ")
    assert "verdict" in result.table().splitlines()[0]


def test_the_map_of_each_slide(out: Path) -> None:
    for name in ("a", "b"):
        table = read_table(out / name)
        legend = json.loads((out / name / "mask.json").read_text())
        assert (legend["height"], legend["width"]) == (24, 32)
        with (out / name / "tiles.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        shares = np.array([[float(row[f"share_{c}"]) for c in table.classes] for row in rows])
        expected = [(table.artifact_mask == k).mean((1, 2)) for k in (1, 2, 3)]
        np.testing.assert_array_equal(shares.T, expected)
        # Tiles lie side by side, so the map is that of the tiles.
        total = sum(about["share_of_tissue"] for about in legend["classes"].values())
        assert total == pytest.approx(1)
        assert not any(column.startswith("share_") for column in table.measurements)
        assert (out / f"{name}.tif" / f"{name}.tif_thumb_small.png").exists()


def test_results_of_before_have_no_areas(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, tmp_path / "old")
    path = tmp_path / "old" / "a" / "record.json"
    record = json.loads(path.read_text())
    assert record["row"].pop("area_um2")
    tiles = tmp_path / "old" / "a" / "tiles.csv"
    with tiles.open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [name for name in rows[0] if not name.startswith("area_um2")]
    assert len(kept) < len(rows[0])
    with tiles.open("w", newline="") as file:
        writer = csv.DictWriter(file, kept, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    record["tables"]["tiles.csv"]["sha256"] = hashlib.sha256(tiles.read_bytes()).hexdigest()
    path.write_text(json.dumps(record))
    old, new = read_table(tmp_path / "old" / "a"), read_table(out / "a")
    assert old.area_um2 == new.area_um2
    assert not any("area_um2" in name for name in new.measurements)
    page = Page(write_cohort_page(tmp_path / "old"))
    assert all(f"{kind} {share:.1%}" in page.text for kind, share in old.areas.items())


def test_deciding_again_rewrites_the_map(out: Path) -> None:
    before = {p: p.read_bytes() for p in out.rglob("*") if p.name.startswith(("mask.", "artif"))}
    assert len(before) == 8
    for path in before:
        path.write_bytes(b"")
    rl2qc.decide(out, 0.05)
    assert {path: path.read_bytes() for path in before} == before


def test_tiles_with_their_masks(out: Path) -> None:
    rl2qc.decide(out, 0.0)
    tiles = rl2qc.KeptTiles(out, mask=True)
    tables = [read_table(out / name) for name in ("a", "b")]
    assert tiles.classes == ("ink", "fold", "other")
    kept = np.concatenate([table.artifact_mask[table.keep] for table in tables])
    assert len(tiles) == len(kept)
    for i in (0, len(tiles) - 1):
        tile, mask = tiles[i]
        assert (tile.shape, mask.shape, mask.dtype) == ((3, 64, 64), (64, 64), torch.uint8)
        np.testing.assert_array_equal(mask[::8, ::8], kept[i])
        np.testing.assert_array_equal(mask, np.kron(kept[i], np.ones((8, 8), np.uint8)))
    loaded = next(iter(DataLoader(tiles, batch_size=2)))
    assert [part.shape[0] for part in loaded] == [2, 2]
    with pytest.raises(UsageError, match="mask=True"):
        rl2qc.KeptTiles(out).mask(0)


def test_nothing_kept_is_said(out: Path) -> None:
    rl2qc.decide(out, 0.999999)
    with pytest.warns(UserWarning, match="no tile that is kept"):
        assert len(rl2qc.KeptTiles(out, mask=True)) == 0
    rl2qc.decide(out, 0.05)


@pytest.mark.parametrize(("groups", "apart"), [([0, 0, 0, 1], "d"), ([0, 0, 1, 2], "")])
def test_a_slide_unlike_several_that_are_alike_is_apart(
    groups: list[int], apart: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = toy_prior()
    usual = unadapted(prior)
    monkeypatch.setattr("rl2qc.cohort.adapt._usual", lambda result: (prior, usual))
    monkeypatch.setattr("rl2qc.cohort.adapt.split_groups", lambda *_: np.array(groups))
    found = cohort_adaptations([ResultFolder(Path(name)) for name in "abcd"])
    assert [name for name, beside in found.items() if beside.apart] == list(apart)
    assert [found[name].cohort is None for name in "ab"] == [False, False]


def test_long_lists_are_cut() -> None:
    rows = [SummaryRow(f"s{i}", "slide", "done", "look", "odd") for i in range(30)]
    rows.append(SummaryRow("z", "slide", "done", "drop", "no tissue"))
    lines = describe_verdicts(rows, most=3)
    assert lines[0] == "verdicts: look 30, drop 1"
    assert lines[1] == "  drop  z: no tissue"
    assert lines[-1] == "  and 28 more, in summary.csv"

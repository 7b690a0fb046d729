from __future__ import annotations

import csv
import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from cohort_helpers import run_cohort
from page_helpers import Page
from PIL import Image
from scipy.stats import false_discovery_control
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.contact_sheet import ContactSheets, take_turns
from rl2qc.cohort.decide import decide
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.page import write_cohort_page
from rl2qc.cohort.rejected import RejectedTiles
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.errors import UsageError
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import TileTable


@pytest.fixture
def cohort(tmp_path: Path, rng: np.random.Generator) -> Path:
    folder = tmp_path / "slides"
    folder.mkdir()
    pixels = tissue_like(rng, 256, 320)
    pixels[:64] -= 60
    write_slide(folder / "good <b>.tif", pixels)
    write_slide(folder / "dark.tif", (tissue_like(rng, 256, 320) // 2).astype(np.uint8))
    write_slide(folder / "caf\udce9.tif", pixels[:128])
    write_slide(folder / "glass.tif", np.full((128, 128, 3), 240, np.uint8))
    (folder / "broken.svs").write_bytes(b"")
    (tmp_path / "set").mkdir()
    for i in range(3):
        Image.fromarray(pixels[64:128, i : i + 64]).save(tmp_path / "set" / f"{i}.png")
    return tmp_path


@pytest.fixture
def results(cohort: Path) -> Path:
    jobs, _ = find_inputs([cohort / "slides", cohort / "set"])
    run_cohort(jobs, BrightnessModel(), cohort / "out", FilterSettings(alpha=0.5))
    return cohort / "out"


def test_the_page_holds_everything(results: Path) -> None:
    page = Page(write_cohort_page(results))
    assert page.sources
    for name in ("good <b>", "dark", "caf\N{REPLACEMENT CHARACTER}", "glass", "set", "broken"):
        assert name in page.text
    for said in ("truncated, or in a format", "out of distribution", "no tissue", "over-rejected"):
        assert said in page.text
    facts = re.findall(r"<li><b>([^<]+)</b>", page.html)
    assert facts[:2] == ["5", "1"]
    assert "15 of 20 tiles" in page.text
    assert "0 of 20 tiles" in page.text
    # What is flagged comes first.
    inputs = page.html[page.html.index("<h2>Inputs") :]
    assert inputs.index("<h3>dark") < inputs.index("<h3>good &lt;b&gt;")
    # Two pictures of each slide, and the tiles of the sheets.
    tiles = page.html.count("<figcaption>")
    assert len(page.sources) == 2 * 4 + tiles
    assert tiles > 24


def test_rejected_tiles_are_named_and_lead_to_their_files(results: Path) -> None:
    page = Page(write_cohort_page(results))
    with (results / "dark" / "tiles.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    gone = [row for row in rows if row["keep"] == "false"]
    assert gone
    for row in gone:
        assert f"\t{float(row['p_value']):.2g}\tx {row['x']}, y {row['y']}\n" in page.text
    assert not (results / "tiles.html").exists()
    addresses = re.findall(r'href="([^"]+)"', page.html)
    assert "caf%E9/tiles.csv" in addresses
    for address in addresses:
        if address.startswith("#"):
            assert f'id="{address[1:]}"' in page.html
            continue
        assert (results / os.fsdecode(unquote_to_bytes(address))).exists(), address


def test_of_many_inputs_the_worst_have_pictures(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl2qc.cohort.page._PICTURED", 1)
    page = Page(write_cohort_page(results))
    assert len(page.sources) - page.html.count("<figcaption>") == 2
    assert "4 more inputs" in page.text
    table = page.text[page.text.index("All inputs") : page.text.index("Reasons")]
    for name in ("good <b>", "dark", "glass", "set"):
        assert name in table


def test_of_many_tiles_more_stand_beside(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = sum(row.tiles - row.kept for row in RunFolder(results).rows())
    monkeypatch.setattr("rl2qc.cohort.page._NAMED", 7)
    page = Page(write_cohort_page(results))
    assert f"7 of {gone} are here" in page.text
    beside = Page(results / "tiles.html")
    assert f"All {gone}." in beside.text
    assert beside.text.count("\tx ") == gone
    links = re.findall(r'href="([^"]+)"', beside.html)
    assert links == ["report.html"]
    assert "\treport.html#s" in beside.text
    # Each slide has its turn.
    assert len(set(re.findall(r"^(\d)\t\d\t0", page.text, re.MULTILINE))) > 1
    monkeypatch.setattr("rl2qc.cohort.rejected._MOST", 9)
    write_cohort_page(results)
    assert f"9 of {gone}: as many" in Page(results / "tiles.html").text
    monkeypatch.undo()
    write_cohort_page(results)
    assert not (results / "tiles.html").exists()


def test_long_lists_are_folded(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert '<details class="verdict">' not in write_cohort_page(results).read_text()
    monkeypatch.setattr("rl2qc.cohort.page._LONG", 1)
    page = Page(write_cohort_page(results))
    assert '<details class="verdict"><summary><b>' in page.html
    assert "5 inputs, to be sorted by each column" in page.text


def test_hashes_are_cut_in_the_middle(results: Path) -> None:
    sha256 = RunFolder(results).manifest()["model"]["sha256"]
    html = write_cohort_page(results).read_text()
    assert f'title="{sha256}">{sha256[:8]}…{sha256[-4:]}</span>' in html
    assert html.count(sha256) == 1


def test_memory_for_rejected_tiles_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl2qc.cohort.rejected._MOST", 20)
    found = RejectedTiles(_turns=20)
    for i in range(50):
        table = replace(table_of(np.linspace(0, 0.04, 30), 0.05), name=f"s{i}")
        table.__dict__["reasons"] = np.array(["ink or pen", "out of focus"] * 15)
        found.add(table)
        assert len(found._tiles) <= 5 * 20
    listed = found.listed({}, 20)
    assert (len(listed.lines), listed.total, listed.complete) == (20, 1500, False)
    assert len(listed.slides) == 20


def test_the_page_is_the_same_each_time(results: Path) -> None:
    first = write_cohort_page(results).read_bytes()
    assert write_cohort_page(results).read_bytes() == first


def test_slides_that_are_gone_are_left_out(results: Path, cohort: Path) -> None:
    (cohort / "slides" / "dark.tif").unlink()
    page = Page(write_cohort_page(results))
    assert "their slides are no longer there" in page.text
    assert "tile of good &lt;b&gt;" in page.html
    assert "tile of dark" not in page.html


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no results"):
        write_cohort_page(tmp_path)


def test_red_is_what_was_rejected(results: Path) -> None:
    """Benjamini-Hochberg keeps tiles whose p-values lie below alpha."""

    def red() -> int:
        return write_cohort_page(results).read_text(encoding="utf-8").count('<rect class="out"')

    assert red() > 0
    decide(results, 0.1, method="bh")
    assert all(row.kept == row.tiles for row in RunFolder(results).rows())
    assert red() == 0


def test_every_slide_has_its_turn(rng: np.random.Generator) -> None:
    parts = [np.arange(n) for n in (0, 50, 2, 50)]
    picked = take_turns(parts, 12)
    counts = np.bincount([part for part, _ in picked], minlength=4).tolist()
    assert counts == [0, 5, 2, 5]
    assert len(set(picked)) == 12
    assert len(take_turns(parts, 1000)) == 102


def table_of(p_values: np.ndarray, alpha: float) -> TileTable:
    n = len(p_values)
    zeros = np.zeros(n, np.int64)
    return TileTable(
        name="a",
        path=Path("gone.svs"),
        kind="slide",
        x=np.arange(n),
        y=zeros,
        width=zeros,
        height=zeros,
        tissue_fraction=np.ones(n),
        measurements={"p_value": p_values},
        keep=p_values > alpha,
        alpha=alpha,
    )


def test_borderline_is_where_another_alpha_decides_otherwise() -> None:
    """By q-values for Benjamini-Hochberg, as scipy has them."""
    p = np.linspace(0.01, 1, 100) ** 2
    table = table_of(p, 0.05).decide(0.2, method="bh")
    sheets = ContactSheets(np.random.default_rng(0), size=6)
    sheets.add(table)
    shown = sorted(tile.p_value for tile in sheets.read()["borderline"])
    q = false_discovery_control(p)
    np.testing.assert_allclose(shown, np.sort(p[np.argsort(np.abs(np.log(q / 0.2)))[:6]]))


def test_what_each_sheet_shows(rng: np.random.Generator) -> None:
    p = rng.uniform(0.001, 1, 500)
    sheets = ContactSheets(rng, size=10)
    sheets.add(table_of(p, 0.05))
    sheets.add(replace(table_of(p[:3] * 0, 0.05), name="b"))
    found = sheets.read()
    assert all(tile.keep for tile in found["kept"])
    assert not any(tile.keep for tile in found["rejected"])
    assert {tile.slide for tile in found["rejected"]} == {"a", "b"}
    nearest = np.sort(np.abs(np.log(p / 0.05)))[:10]
    shown = [abs(np.log(tile.p_value / 0.05)) for tile in found["borderline"]]
    np.testing.assert_allclose(np.sort(shown), nearest)
    assert all(tile.image is None for tiles in found.values() for tile in tiles)

"""Two hundred slides by one command, one of each broken kind among them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from slide_helpers import RankModel, damage, tissue_like, write_slide

from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.summary import SummaryRow

# Broken slides, and a part of what must be said of each.
BROKEN = {
    "zero": "truncated, or in a format",
    "void": "truncated, or in a format",
    "text": "truncated, or in a format",
    "half": "cannot be",
    "flat": "TIFF without tiles",
    "loop": "loop.svs",
    "ring": "no such file",
    "missing": "no such file",
    "blind": "--mpp-override",
    "absurd": "cannot be true",
    "coarse": "cannot give tiles",
    "noise": "cannot be read",
}
UNLIKE = ("colours look wrong", "out of distribution", "over-rejected")
# What is done, and looked at by a person.
FLAGGED = {
    "glass": ("no tissue",),
    "inverted": UNLIKE,
    "fluorescence": UNLIKE,
    "swapped": UNLIKE,
    "scratch": ("unreadable tiles",),
}
# A name that is too long for a folder of results, and one that is no text.
LONG, ODD = "long" * 50, "caf\udce9"
FILES = {"csv": "tiles.csv", "geojson": "tiles.geojson", "overlay": "overlay.png"}


def make_cohort(folder: Path, good_ones: list[str], rng: np.random.Generator) -> None:
    folder.mkdir()
    pixels = tissue_like(rng, 256, 320)
    good = write_slide(folder / f"{good_ones[0]}.tif", pixels)
    for name in good_ones[1:]:
        shutil.copy(good, folder / f"{name}.tif")

    (folder / "zero.svs").write_bytes(b"")
    (folder / "void.tif").write_bytes(b"")
    (folder / "text.ndpi").write_text("no slide")
    content = good.read_bytes()
    (folder / "half.svs").write_bytes(content[: len(content) // 2])
    tifffile.imwrite(folder / "flat.tif", np.zeros((8, 5000, 3), np.uint8), photometric="rgb")
    (folder / "loop.svs").symlink_to(folder / "loop.svs")
    (folder / "ring.tif").symlink_to(folder / "ring.tif")
    (folder / "here").symlink_to(folder)
    write_slide(folder / "blind.tif", pixels, mpp=None)
    write_slide(folder / "absurd.tif", pixels, mpp=265.0)
    write_slide(folder / "coarse.tif", pixels, mpp=2.0)
    noise = write_slide(folder / "noise.tif", pixels)
    for block in range(20):
        damage(noise, block)

    write_slide(folder / "glass.tif", np.full((256, 320, 3), 240, np.uint8))
    write_slide(folder / "inverted.tif", 255 - pixels)
    dark = np.zeros((256, 320, 3), np.uint8)
    dark[32:224, 32:288, 2] = rng.integers(40, 200, (192, 256))
    write_slide(folder / "fluorescence.tif", dark)
    write_slide(folder / "swapped.tif", pixels[..., [1, 0, 2]])
    damage(write_slide(folder / "scratch.tif", pixels), 7)


# 205 slides; all formats of all of them would take a minute.
@pytest.mark.parametrize(("count", "formats"), [(183, "csv"), (8, "csv,geojson,overlay")])
def test_many_slides_of_which_some_are_broken(
    tmp_path: Path,
    rng: np.random.Generator,
    shared_data: Path,
    rl2qc: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    formats: str,
) -> None:
    out, broken = tmp_path / "out", shared_data / "slides" / "broken"
    good = [*(f"good{i:03}" for i in range(count)), LONG, ODD]
    make_cohort(tmp_path / "in", good, rng)
    (tmp_path / "list.csv").write_text("slide\nmissing.svs\n")
    monkeypatch.setattr("rl2qc.model.quality.QualityModel.load", lambda name: RankModel())
    ended = rl2qc(
        *("filter", tmp_path / "in", broken, tmp_path / "list.csv", "-o", out),
        *("--format", formats),
    )
    assert ended.code == 1
    assert "Traceback" not in ended.err

    rows = {row.name: row for row in RunFolder(out).rows()}
    real = {path.stem for path in broken.iterdir() if path.suffix != ".md"}
    failed = {*BROKEN, *real}
    assert len(rows) == len(good) + len(FLAGGED) + len(failed)
    assert {name for name, row in rows.items() if row.status == "failed"} == failed
    check_failures(out, rows, failed, ended.err)
    done = [row for row in rows.values() if row.status == "done"]
    assert {row.name: row.flags for row in done if row.flags} == FLAGGED
    assert rows["scratch"].tiles == 19
    assert {Path(row.path).stem for row in done if not row.flags} == set(good)
    reference = (out / good[0] / "tiles.csv").read_bytes()
    for row in done:
        check_files(out / row.name, row.tiles, [FILES[name] for name in formats.split(",")])
        if not row.flags:
            assert row.tiles == 20
            assert (out / row.name / "tiles.csv").read_bytes() == reference
    with (out / "summary.csv").open(encoding="utf-8", errors="surrogateescape") as file:
        listed = {row["name"]: row for row in csv.DictReader(file)}
    assert {name: row["status"] for name, row in listed.items()} == {
        name: row.status for name, row in rows.items()
    }
    assert listed["inverted"]["flags"] == "; ".join(UNLIKE)
    assert (out / "report.html").exists()


def check_failures(out: Path, rows: dict[str, SummaryRow], failed: set[str], said: str) -> None:
    for name, reason in BROKEN.items():
        assert reason in rows[name].error
    # A line for each, and none for the others.
    errors = [line for line in said.splitlines() if line.startswith("rl2qc: error: ")]
    assert sorted(errors) == sorted(f"rl2qc: error: {name}: {rows[name].error}" for name in failed)
    for name in failed:
        trace = (out / "failed" / f"{name}.txt").read_text()
        assert trace.startswith("Traceback")
        assert "SlideError" in trace
        assert not (out / name / "record.json").exists()
        assert not any((out / name / file).exists() for file in FILES.values())


def check_files(folder: Path, tiles: int, names: list[str]) -> None:
    assert {path.name for path in folder.iterdir()} & set(FILES.values()) == set(names)
    assert (folder / "tiles.csv").read_text().count("\n") == 1 + tiles
    if "tiles.geojson" in names:
        features = json.loads((folder / "tiles.geojson").read_text())["features"]
        kinds = [feature["properties"]["objectType"] for feature in features]
        assert kinds.count("tile") == tiles
    if "overlay.png" in names:
        with Image.open(folder / "overlay.png") as picture:
            picture.load()
            assert min(picture.size) >= 256

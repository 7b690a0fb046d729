"""Whatever comes in: every good slide is done, every bad one is listed with its reason."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohort_helpers import run_cohort
from PIL import Image
from slide_helpers import RankModel, tissue_like, write_slide

from rl2qc.cohort.decide import decide
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.store.tables import read_table
from rl2qc.core.files import plain_cell
from rl2qc.filtering.exports.registry import FORMATS
from rl2qc.filtering.slide import filter_slide
from rl2qc.slides.coords import read_coords


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = tissue_like(np.random.default_rng(0), 256, 320)
    return write_slide(tmp_path_factory.mktemp("good") / "good.tif", pixels)


@pytest.mark.parametrize(
    "name", ["caf\udce9", "a\nb", "a\rb", "tab\tc", 'quo"te,s', "[a]*", "-o", "\N{CJK RADICAL SUN}"]
)
def test_odd_names_in_every_format(tmp_path: Path, good: Path, name: str) -> None:
    """Everything is written, can be read again by that name, and is found done."""
    (tmp_path / "in").mkdir()
    shutil.copy(good, tmp_path / "in" / f"{name}.tif")
    shutil.copy(good, tmp_path / "in" / "plain.tif")
    out, jobs = tmp_path / "out", find_inputs([tmp_path / "in"])[0]
    # All but what HistoQC's users read line by line, which is tested with it.
    there = [spec.name for spec in FORMATS if spec.extra is None or spec.extra.installed]
    formats = [name for name in there if name not in ("histoqc", "tiles-jpeg")]
    rows = {row.name: row for row in run_cohort(jobs, RankModel(), out, formats=formats)}
    assert {row.status for row in rows.values()} == {"done"}, [row.error for row in rows.values()]
    assert set(rows) == {name, "plain"}
    ours, plain = (read_table(out / name) for name in (name, "plain"))
    for column, values in plain.columns().items():
        np.testing.assert_array_equal(ours.columns()[column], values)
    # Each file beside its like, with the same tiles in it.
    files = {path.relative_to(out) for path in out.rglob("*.h5")}
    for place in ("patches/{}.h5", "20x_64px_0px_overlap/patches/{}_patches.h5"):
        assert Path(place.format(name)) in files
        one, other = (read_coords(out / place.format(n)) for n in (name, "plain"))
        np.testing.assert_array_equal(one.corners(), other.corners())
        said = os.fsencode(name).decode("utf-8", "replace")
        assert (one.attributes["name"], other.attributes["name"]) == (said, "plain")
    wsinfer = out / "model-outputs-csv"
    assert (wsinfer / f"{name}.csv").read_bytes() == (wsinfer / "plain.csv").read_bytes()
    with (out / "summary.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert {plain_cell(row["name"]): row["path"] for row in csv.DictReader(file)} == {
            n: str(Path("..", "in", f"{n}.tif")) for n in rows
        }
    # Neither is measured again, and both are decided again.
    again: list[object] = []
    run_cohort(jobs, RankModel(), out, formats=formats, progress=lambda *call: again.append(call))
    assert again == []
    decided = decide(out, 0.5)
    assert decided.failures == ()
    ours, plain = (read_table(out / name) for name in (name, "plain"))
    np.testing.assert_array_equal(ours.keep, plain.keep)
    assert 0 < ours.keep.sum() < len(ours)


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_anywhere(tmp_path: Path, good: Path, seed: int) -> None:
    """A slide with random damage is done or fails in one line; it never ends the run."""
    rng = np.random.default_rng(seed)
    content = bytearray(good.read_bytes())
    for start in rng.integers(0, len(content) - 64, 6):
        content[start : start + 64] = rng.bytes(64)
    (tmp_path / "damaged.svs").write_bytes(content)
    shutil.copy(good, tmp_path / "whole.tif")
    jobs, _ = find_inputs([tmp_path])
    damaged, whole = run_cohort(jobs, RankModel(), tmp_path / "out", formats=["csv"])
    assert whole.status == "done"
    assert "\n" not in damaged.error
    assert (damaged.status == "failed") == bool(damaged.error)
    if damaged.status == "done":
        assert damaged.tiles + damaged.unreadable <= 20


def test_a_slide_that_stays_unlike_the_reference_is_flagged_whatever_alpha(
    tmp_path: Path, rng: Any
) -> None:
    path = write_slide(tmp_path / "a.tif", 255 - tissue_like(rng, 256, 320))
    table = filter_slide(path, RankModel(), alpha=0.0)
    assert table.keep.all()
    assert table.flags == ("colours look wrong", "out of distribution")
    assert table.drift == pytest.approx(0.499001)


def test_colours_that_are_wrong_are_flagged(shared_data: Path) -> None:
    """YCbCr shown as RGB, measured by the shipped model."""
    from rl2qc.model.quality import QualityModel

    slide = shared_data / "slides" / "CMU-1-dicom"
    model = QualityModel.load("histology", device="cpu")
    table = filter_slide(slide, model, mpp_override=0.5, stride=900)
    assert {"colours look wrong", "out of distribution"} <= set(table.flags)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_damaged_image_in_an_archive_costs_none_of_the_others(
    tmp_path: Path, kind: str, stained: Any
) -> None:
    (tmp_path / "set").mkdir()
    for i, image in enumerate(stained(4, 64)):
        Image.fromarray(image).save(tmp_path / "set" / f"{i}.png")
    (tmp_path / "set" / "0.png").write_bytes(b"")
    (tmp_path / "set" / "2.png").write_bytes((tmp_path / "set" / "2.png").read_bytes()[:300])
    archive = Path(shutil.make_archive(str(tmp_path / "set"), kind, tmp_path / "set"))
    rows = run_cohort(find_inputs([archive])[0], RankModel(), tmp_path / "out")
    assert [(row.status, row.tiles) for row in rows] == [("partial", 2)]
    with (tmp_path / "out" / archive.name / "failures.csv").open(newline="") as file:
        assert [Path(row["what"]).name for row in csv.DictReader(file)] == ["0.png", "2.png"]
    # Known as done as long as the archive does not change.
    changed = (tmp_path / "out" / archive.name / "record.json").stat().st_mtime_ns
    run_cohort(find_inputs([archive])[0], RankModel(), tmp_path / "out")
    assert (tmp_path / "out" / archive.name / "record.json").stat().st_mtime_ns == changed

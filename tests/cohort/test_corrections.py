"""What a person says of tiles decides them, stays, and teaches about other slides alone."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rl2qc
from rl2qc.cohort.store.tables import read_table
from rl2qc.errors import UsageError
from rl2qc.filtering.evidence import EVIDENCE, Evidence

Row = tuple[Any, ...]


def write_list(path: Path, rows: Sequence[Row], header: str = "slide,x,y,file,label") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def manifest_of(out: Path) -> dict[str, Any]:
    """What run.json says of the last run."""
    return dict(json.loads((out / "run.json").read_text())["runs"][-1])


@pytest.fixture
def out(tmp_path: Path, slide: Path, red_model: None) -> Path:
    """Six tiles with p-values .2, .3 ... .7, four of them kept, and a set of two patches."""
    (tmp_path / "set").mkdir()
    for grey in (100, 200):
        Image.new("RGB", (64, 64), (grey,) * 3).save(tmp_path / "set" / f"{grey}.png")
    rl2qc.filter_cohort([slide, tmp_path / "set"], tmp_path / "out", alpha=0.35, mpp=0.5)
    return tmp_path / "out"


def kept(out: Path, name: str = "case") -> list[bool]:
    return read_table(out / name).keep.tolist()


def test_they_decide_and_stay(out: Path, tmp_path: Path) -> None:
    before = kept(out)
    assert before == [False, False, True, True, True, True]
    image = read_table(out / "set").shown(read_table(out / "set").image_paths[0])
    rows = [
        ("case", 0, 0, "", "clean"),
        ("case", 128, 64, "", "bad"),
        ("set", "", "", image, "bad"),
    ]
    found = rl2qc.decide(out, corrections=write_list(tmp_path / "c.csv", rows))
    assert found.corrections == (
        "corrections: 1 tile called clean, 2 bad; no other changes: what others learn takes marks "
        "of both kinds on two slides beside them"
    )
    assert "1 tile called clean, 2 bad; no other" in (out / "report.html").read_text()
    corrected = [True, False, True, True, True, False]
    assert (kept(out), kept(out, "set")[0]) == (corrected, False)
    assert found.alpha == 0.35
    with (out / "case" / "tiles.csv").open(newline="") as file:
        assert [row["keep"] == "true" for row in csv.DictReader(file)] == corrected
    assert next(row for row in found.rows if row.name == "case").kept == 4
    # Of another alpha, and with more formats, they are what they were.
    rl2qc.decide(out, 0.01)
    assert kept(out) == [True] * 5 + [False]
    assert "1 tile called clean, 2 bad" in rl2qc.decide(out, formats="wsinfer").corrections
    assert len(rl2qc.KeptTiles(out)) == 5 + sum(kept(out, "set"))
    assert rl2qc.decide(out, 0.35, corrections="none").corrections == ""
    assert "called clean" not in (out / "report.html").read_text()
    assert kept(out) == before


def test_a_run_that_goes_on_keeps_them(out: Path, tmp_path: Path, slide: Path) -> None:
    rl2qc.decide(out, corrections=write_list(tmp_path / "c.csv", [("case", 0, 0, "", "clean")]))
    shutil.copy(slide, tmp_path / "other.tif")
    rl2qc.filter_cohort([slide, tmp_path / "other.tif"], out, alpha=0.35, mpp=0.5)
    assert kept(out) == [True, False, True, True, True, True]
    assert kept(out, "other") == [False, False, True, True, True, True]


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        ([("case", 1, 1, "", "bad")], "slide,x,y,file,label", "not in these results: case 1 1"),
        ([("nowhere", 0, 0, "", "bad")], "slide,x,y,file,label", "not in these results: nowhere"),
        (
            [("case", 0, 0, "", "bad"), ("case", 0, 0, "", "clean")],
            "slide,x,y,file,label",
            "line 3: case 0 0 is called clean and bad",
        ),
        ([("case", 0, 0, "", "dirty")], "slide,x,y,file,label", "line 2: label must be clean"),
        ([("case", 0, 0)], "slide,x,y", "needs the columns slide, label"),
        ([("case", 0, 0, 0, "bad")], "slide,x,y,x,label", "more than one column 'x'"),
    ],
)
def test_lists_that_cannot_be(
    out: Path, tmp_path: Path, rows: list[Row], header: str, said: str
) -> None:
    before = kept(out)
    with pytest.raises(UsageError, match=said):
        rl2qc.decide(out, corrections=write_list(tmp_path / "c.csv", rows, header))
    assert kept(out) == before
    with pytest.raises(UsageError, match="cannot read"):
        rl2qc.decide(out, corrections=tmp_path / "nothing.csv")


def test_by_the_command_line(rl2qc: Callable, out: Path, tmp_path: Path) -> None:
    place = write_list(tmp_path / "c.csv", [("case", 0, 0, "", "clean")])
    done = rl2qc("decide", out, "--corrections", place)
    assert done.code == 0
    assert "corrections: 1 tile called clean, 0 bad; no other changes" in done.out
    assert kept(out)[0]
    place.write_text("slide;x;y;label\ncase;64;0;clean\n")
    assert rl2qc("decide", out, "--corrections", place).code == 0
    assert kept(out)[:2] == [False, True]
    # As tables with a gap somewhere are written by others.
    place.write_text("slide,x,y,file,label\ncase,64.0,0.0,,clean\n")
    assert rl2qc("decide", out, "--corrections", place).code == 0
    assert kept(out)[:2] == [False, True]
    place.write_text("")
    done = rl2qc("decide", out, "--corrections", place)
    assert (done.code, "it has none" in done.err) == (2, True)
    place.write_text("slide,x,y,label\ncase,5,5,bad\n")
    done = rl2qc("decide", out, "--corrections", place)
    assert (done.code, "Traceback" in done.err) == (2, False)


def test_records_with_corrections_that_cannot_be(out: Path, tmp_path: Path) -> None:
    rl2qc.decide(out, corrections=write_list(tmp_path / "c.csv", [("case", 0, 0, "", "clean")]))
    record = out / "case" / "record.json"
    content = json.loads(record.read_text())
    for clean, bad in (([9], []), ([0], [0]), ([-1], [])):
        content["slide"]["corrected"] = {"clean": clean, "bad": bad, "weights": []}
        record.write_text(json.dumps(content))
        assert [name for name, _ in rl2qc.decide(out, 0.3).failures] == ["case"]


@pytest.fixture
def general(tmp_path: Path, general_file: Path, patches: np.ndarray) -> Path:
    """Three sets, judged by a model without a reference."""
    for number, name in enumerate(("a", "b", "c")):
        (tmp_path / name).mkdir()
        for i, patch in enumerate(patches[12 * number : 12 * number + 12]):
            Image.fromarray(patch).save(tmp_path / name / f"{i:02}.png")
    inputs = [tmp_path / name for name in ("a", "b", "c")]
    rl2qc.filter_cohort(inputs, tmp_path / "out", general_file, mpp=0.5, report=False)
    return tmp_path / "out"


def test_others_are_taught_and_none_by_its_own(general: Path, tmp_path: Path) -> None:
    """Tiles that show much of what the network calls fold are said to be bad, of two sets."""
    column, rows = 1, []
    for name in ("a", "b"):
        values = Evidence.load(general / name / EVIDENCE).values[:, column]
        table = read_table(general / name)
        for i in np.argsort(values):
            label = "bad" if values[i] > np.median(values) else "clean"
            rows.append((name, "", "", table.shown(table.image_paths[i]), label))
    before = {name: read_table(general / name).measurements["p_value"] for name in "abc"}
    stood = {name: read_table(general / name).keep for name in "abc"}
    found = rl2qc.decide(general, corrections=write_list(tmp_path / "c.csv", rows))
    now = read_table(general / "c").keep
    kept, rejected = int((now & ~stood["c"]).sum()), int((~now & stood["c"]).sum())
    assert kept + rejected > 0
    assert f"on 1 slides (c {kept} kept, {rejected} rejected)" in found.corrections
    assert manifest_of(general)["corrections"]["said"] == found.corrections
    tables = {name: read_table(general / name) for name in "abc"}
    weights = {name: table.corrected.weights for name, table in tables.items() if table.corrected}
    assert weights.keys() == set("abc")
    # Of two sets the third learns; each of the two would learn of one, which cannot be tried.
    assert (weights["a"], weights["b"]) == ((), ())
    assert any(weights["c"])
    assert (tables["c"].measurements["p_value"] != before["c"]).any()
    # Of one set alone, that set learns nothing.
    rl2qc.decide(general, corrections=write_list(tmp_path / "d.csv", rows[:12]))
    one = {name: read_table(general / name) for name in "abc"}
    assert one["a"].corrected is not None
    assert one["a"].corrected.weights == ()
    np.testing.assert_array_equal(one["a"].measurements["p_value"], before["a"])
    slides = manifest_of(general)["corrections"]["slides"]
    assert slides["a"] == {"clean": 6, "bad": 6, "kept": 0, "rejected": 0}
    taught = one["c"].corrected
    moved = (one["c"].measurements["p_value"] != before["c"]).any()
    assert moved == (taught is not None and any(taught.weights))
    rl2qc.decide(general, 0.05, corrections="none")
    assert "corrections" not in manifest_of(general)
    for name, p in before.items():
        np.testing.assert_array_equal(read_table(general / name).measurements["p_value"], p)


def test_slides_that_are_away_are_found_when_they_are_back(
    out: Path, slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each decision without them wrote another path, and no slide was found ever after."""
    monkeypatch.chdir(out.parent)
    place = read_table(Path("out/case")).path
    assert place.exists()
    away = slide.rename(slide.with_name("away.tif"))
    for alpha in (0.2, 0.35):
        rl2qc.decide("out", alpha)
    away.rename(slide)
    assert read_table(Path("out/case")).path.samefile(slide)
    assert len(rl2qc.KeptTiles("out")[0])

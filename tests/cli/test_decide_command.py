from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
import tifffile

from rl2qc.errors import CheckpointError
from rl2qc.model.quality import QualityModel


@pytest.fixture
def out(
    rl2qc: Callable, slide: Path, tmp_path: Path, red_model: None, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """What rl2qc filter made of the slide at 5 %."""
    folder = tmp_path / "out"
    assert rl2qc("filter", slide, "-o", folder, "--format", "csv,wsinfer,histoqc").code == 0

    def fail(name: str) -> None:
        raise CheckpointError("a model was loaded")

    monkeypatch.setattr(QualityModel, "load", fail)
    return folder


def kept(out: Path) -> list[bool]:
    with (out / "case" / "tiles.csv").open(newline="") as file:
        return [row["keep"] == "true" for row in csv.DictReader(file)]


def test_decide(rl2qc: Callable, out: Path) -> None:
    assert kept(out) == [True] * 6
    done = rl2qc("decide", out, "--alpha", 0.35)
    assert done.code == 0
    assert done.out.splitlines()[0] == "kept 4 of 6 tiles (66.7%) of 1 inputs at alpha 0.35"
    assert done.err == ""
    assert kept(out) == [False, False, True, True, True, True]
    with (out / "model-outputs-csv" / "case.csv").open(newline="") as file:
        assert [row["prob_rejected"] for row in csv.DictReader(file)] == list("110000")
    assert (out / "results.tsv").is_file()


def test_benjamini_hochberg_and_the_flag(rl2qc: Callable, out: Path) -> None:
    # Six p-values k/10 + 0.1: 0.7 <= 0.71 x 6/6 rejects all of them.
    done = rl2qc("decide", out, "--alpha", 0.71, "--method", "bh")
    assert (done.code, kept(out)) == (0, [False] * 6)
    assert "rl2qc: warning: case: over-rejected, 0 of 6 tiles are left" in done.err
    # And at half of that, none.
    done = rl2qc("decide", out, "--alpha", 0.35, "--method", "bh")
    assert (done.code, done.err, kept(out)) == (0, "", [True] * 6)
    done = rl2qc("decide", out, "--alpha", 0.35, "--max-rejected", 0.3)
    assert "over-rejected, 4 of 6" in done.err


def test_a_flagged_slide_ends_it_with_3(
    rl2qc: Callable, slide: Path, red_model: None, tmp_path: Path
) -> None:
    # In the colours of a stain, or it is for a person to look at.
    pixels = tifffile.imread(slide)
    pixels[..., 1] = 50
    tifffile.imwrite(
        slide,
        pixels,
        tile=(64, 64),
        photometric="rgb",
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )
    out = tmp_path / "out"
    # Each p-value is as the red of the tile: none is rejected, and that is no uniform draw.
    done = rl2qc("filter", slide, "-o", out, "--fail-on-flag")
    assert done.code == 0
    assert "verdicts: use 1" in done.out
    done = rl2qc("decide", out, "--alpha", 0.71, "--method", "bh", "--fail-on-flag")
    assert (done.code, kept(out)) == (3, [False] * 6)
    lines = done.out.splitlines()
    why = "noise or compression as a whole: 100% of the tissue"
    place = lines.index("verdicts: drop 1")
    assert lines[place + 1] == f"  drop  case: {why}"
    with (out / "summary.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["verdict"], row["why"]) == ("drop", why)
    # To ask again needs no other decision.
    before = (out / "run.json").read_bytes()
    done = rl2qc("decide", out, "--fail-on-flag")
    assert (done.code, "verdicts: drop 1" in done.out) == (3, True)
    assert (out / "run.json").read_bytes() == before
    # Nor do the thresholds of verdicts.
    assert rl2qc("decide", out, "--alpha", 0.35).code == 0
    done = rl2qc("decide", out, "--drop-area", 0.001)
    assert "case: noise or compression" in done.out and "as a whole" not in done.out
    rl2qc("decide", out, "--drop-area", 0.8)
    # Half of them are left: that is for the user to say.
    lenient = ("--use-from", 0.5, "--drop-below", 0, "--max-rejected", 1, "--fail-on-flag")
    assert rl2qc("decide", out, "--alpha", 0.35, *lenient).code == 0
    with (out / "summary.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["verdict"] == "use"
    assert rl2qc("decide", out, "--alpha", 0.35, "--use-from", 2).code == 2


def test_wrong_use(rl2qc: Callable, out: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ((out, "--alpha", 2), "alpha must lie in [0, 1), got 2.0"),
        ((out, "--alpha", 0.1, "--method", "holm"), "method must be threshold or bh, got 'holm'"),
        ((tmp_path / "nothing", "--alpha", 0.1), "holds no results of rl2qc filter"),
    ):
        done = rl2qc("decide", *arguments)
        assert done.code == 2
        assert said in done.error
    for arguments, said in (
        ((), "a decision needs an alpha"),
        (("--format", "tiles"), "format tiles takes the pixels of the slides"),
        (("--format", "xml"), "no format 'xml'"),
    ):
        done = rl2qc("decide", out, *arguments)
        assert (done.code, said in done.error) == (2, True)
    assert kept(out) == [True] * 6


def test_odd_names_keep_to_their_line(
    rl2qc: Callable, slide: Path, tmp_path: Path, red_model: None
) -> None:
    odd = tmp_path / "a\nb\x1b[2J.tif"
    slide.rename(odd)
    out = tmp_path / "out"
    assert rl2qc("filter", odd, "-o", out, "--format", "csv").code == 0
    done = rl2qc("decide", out, "--alpha", 0.6)
    assert done.err == ("rl2qc: warning: a\ufffdb\ufffd[2J: over-rejected, 1 of 6 tiles are left\n")


def test_more_formats(rl2qc: Callable, out: Path) -> None:
    done = rl2qc("decide", out, "--format", "clam,parquet")
    assert (done.code, done.err, kept(out)) == (0, "", [True] * 6)
    assert done.out.splitlines()[0] == "kept 6 of 6 tiles (100.0%) of 1 inputs at alpha 0.05"
    done = rl2qc("decide", out, "--alpha", 0.35, "--format", "geojson")
    assert (done.code, done.err) == (0, "")
    with h5py.File(out / "patches" / "case.h5") as file:
        assert len(file["coords"]) == 4
    assert {path.name for path in (out / "case").iterdir()} == {
        *("record.json", "thumbnail.png", "tiles.csv", "tiles.geojson", "tiles.parquet")
    }


def test_the_same_command_after_another_decision(
    rl2qc: Callable, slide: Path, tmp_path: Path, red_model: None
) -> None:
    """It says how to come back to it, and that brings it back."""
    out = tmp_path / "out"
    command = ("filter", slide, "-o", out, "--format", "csv")
    assert rl2qc(*command).code == 0
    assert rl2qc("decide", out, "--alpha", 0.71, "--method", "bh").code == 0
    done = rl2qc(*command)
    assert done.code == 2
    assert f"rl2qc decide {out} --alpha 0.05 does that from the recorded scores" in done.error
    assert rl2qc("decide", out, "--alpha", 0.05).code == 0
    assert rl2qc(*command).code == 0


def test_damaged_results_are_listed(rl2qc: Callable, out: Path) -> None:
    (out / "case" / "tiles.csv").write_text("nothing")
    done = rl2qc("decide", out, "--alpha", 0.1)
    assert done.code == 1
    assert "rl2qc: error: case: " in done.error
    assert "rl2qc filter --overwrite" in done.error


def test_coordinates_and_formats_of_filter(
    rl2qc: Callable, slide: Path, tmp_path: Path, red_model: None
) -> None:
    given = tmp_path / "case_patches.h5"
    with h5py.File(given, "w") as file:
        coords = file.create_dataset("coords", data=[[128, 64], [0, 0], [64, 0]])
        coords.attrs.update(patch_size=64, patch_size_level0=64, target_magnification=20)
    arguments = ("filter", slide, "--alpha", 0.25, "--format", "trident")
    for place in (given, tmp_path):
        out = tmp_path / f"out {place.name}"
        done = rl2qc(*arguments, "--coords", place, "-o", out)
        assert done.code == 0, done.err
        with h5py.File(out / "20x_64px_0px_overlap" / "patches" / "case_patches.h5") as file:
            assert file["coords"][:].tolist() == [[128, 64], [64, 0]]
        assert not (out / "case" / "overlay.png").exists()


def test_what_filter_cannot_do_is_said_first(
    rl2qc: Callable, slide: Path, tmp_path: Path, red_model: None
) -> None:
    out = tmp_path / "out"
    done = rl2qc("filter", slide, "-o", out, "--format", "csv,xml")
    assert (done.code, "no format 'xml'" in done.error) == (2, True)
    done = rl2qc("filter", slide, "-o", out, "--coords", tmp_path / "none.h5")
    assert (done.code, "no such file of coordinates" in done.error) == (2, True)
    (tmp_path / "second.tif").write_bytes(slide.read_bytes())
    given = tmp_path / "one.h5"
    with h5py.File(given, "w") as file:
        coords = file.create_dataset("coords", data=[[0, 0]])
        coords.attrs.update(patch_size=64, patch_level=0)
    done = rl2qc("filter", tmp_path, "-o", out, "--coords", given)
    assert (done.code, "holds the tiles of one slide and there are 2" in done.error) == (2, True)
    assert not out.exists()


def test_a_report_is_brought_up_to_date(rl2qc: Callable, out: Path) -> None:
    assert rl2qc("decide", out, "--alpha", 0.35).code == 0
    report = out / "report.html"
    report.write_text("of the first decision")
    assert rl2qc("decide", out, "--alpha", 0.45).code == 0
    assert "<html" in report.read_text()
    report.unlink()
    assert rl2qc("decide", out, "--alpha", 0.35).code == 0
    assert not report.exists()


def test_the_new_report_is_of_the_new_decision(rl2qc: Callable, out: Path) -> None:
    before = (out / "report.html").read_text(encoding="utf-8")
    assert "6 of 6 tiles" in before
    assert "Rejected as" not in before
    done = rl2qc("decide", out, "--alpha", 0.35)
    assert "2 tiles rejected: ink or pen 2 (100%)" in done.out
    after = (out / "report.html").read_text(encoding="utf-8")
    assert "4 of 6 tiles (67%)" in after
    assert "&alpha; = 0.35" in after
    assert "ink or pen 100%" in after
    assert rl2qc("decide", out, "--alpha", 0.05).code == 0
    assert (out / "report.html").read_text(encoding="utf-8") == before


def test_torch_is_not_waited_for(out: Path) -> None:
    """Deciding again takes seconds, which loading torch alone would."""
    program = (
        "import sys\n"
        "from rl2qc.cli import main\n"
        "sys.argv = ['rl2qc', 'decide', sys.argv[1], '--alpha', '0.45']\n"
        "try:\n    main()\nexcept SystemExit as leave:\n    assert not leave.code\n"
        "print(sorted({'torch', 'torchvision', 'albumentations', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(out)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert kept(out) == [False] * 3 + [True] * 3

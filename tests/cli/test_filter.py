from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from rl2qc.cli.filter import filter_command
from rl2qc.cohort.store.tables import read_table
from rl2qc.errors import UsageError
from rl2qc.synthetic.slide import write_pyramid


@pytest.fixture
def rl2qc_filter(red_model: None) -> Callable[..., Result]:
    app = typer.Typer()
    app.command()(filter_command)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_results_and_their_table(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    result = rl2qc_filter(slide, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[:5] == ["name", "status", "tiles", "kept", "share"]
    assert lines[1].split()[:5] == ["case", "done", "6", "6", "100.0%"]
    assert (tmp_path / "out" / "case" / "tiles.csv").is_file()
    assert (tmp_path / "out" / "run.json").is_file()
    assert "tiles/s" in result.stderr
    assert "error" not in result.stderr


def test_failures_are_listed_and_make_the_exit_code(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.svs"
    broken.write_text("no slide")
    result = rl2qc_filter(broken, slide, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "rl2qc: error: " in result.stderr
    assert "broken.svs cannot be opened as a slide" in result.stderr
    assert "Traceback" not in result.output
    assert [line.split()[1] for line in result.stdout.splitlines()[1:3]] == ["failed", "done"]


def test_warnings_are_said(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    result = rl2qc_filter(slide, "--out", tmp_path / "out", "--mpp", 0.6)
    assert result.exit_code == 0
    assert "rl2qc: warning: case: tiles are read at 0.6 um/px" in result.stderr
    far = rl2qc_filter(slide, "--out", tmp_path / "far", "--mpp", 1)
    assert isinstance(far.exception, UsageError)
    assert "--any-mpp" in str(far.exception)
    assert rl2qc_filter(slide, "-o", tmp_path / "far", "--mpp", 1, "--any-mpp").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--alpha", "2"),
        ("--mpp", "-1"),
        ("--batch-size", "0"),
        ("--workers", "0"),
        ("--stride", "0"),
        ("--engine", "spark"),
        ("--address", "auto"),
        ("--max-rejected", "2"),
        ("--shard", "2"),
    ],
)
def test_wrong_options_leave_nothing_behind(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path, arguments: tuple[str, str]
) -> None:
    result = rl2qc_filter(slide, "--out", tmp_path / "out", *arguments)
    assert isinstance(result.exception, UsageError)
    assert not (tmp_path / "out").exists()


def test_a_second_run_does_what_is_left(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = rl2qc_filter(slide, "--out", out)
    again = rl2qc_filter(slide, "--out", out)
    assert again.exit_code == 0
    assert first.stdout == again.stdout
    other = rl2qc_filter(slide, "--out", out, "--min-tissue", 0.5)
    assert isinstance(other.exception, UsageError)
    assert "min_tissue 0.1 -> 0.5" in str(other.exception)
    assert "--overwrite" in str(other.exception)
    assert rl2qc_filter(slide, "--out", out, "--min-tissue", 0.5, "--overwrite").exit_code == 0


def test_parts_of_a_list(
    rl2qc_filter: Callable[..., Result],
    slide: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "other.tif"
    other.write_bytes(slide.read_bytes())
    (tmp_path / "list.csv").write_text("slide,mpp\ncase.tif,\nother.tif,1.0\n")
    out = tmp_path / "out"
    first = rl2qc_filter(tmp_path / "list.csv", "-o", out, "--shard", "1/2", "--any-mpp")
    assert first.exit_code == 0, first.output
    assert (out / "case").exists()
    assert not (out / "other").exists()
    for name, value in (("ID", "7"), ("COUNT", "2"), ("MIN", "6")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    second = rl2qc_filter(tmp_path / "list.csv", "-o", out, "--any-mpp")
    # The list says that it has 1 um/px, which cannot give tiles of 0.5.
    assert second.exit_code == 1
    assert "the slide has 1 um/px" in second.stderr
    assert [p.name for p in (out / "failed").glob("*.txt")] == ["other.txt"]
    wrong = rl2qc_filter(slide, "-o", out, "--shard", "3/2")
    assert isinstance(wrong.exception, UsageError)


def test_resolutions_from_a_table(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    table = tmp_path / "mpp.csv"
    table.write_text("wsi,mpp\ncase,0.25\nnowhere,0.5\n")
    result = rl2qc_filter(slide, "-o", tmp_path / "out", "--mpp-csv", table)
    assert result.exit_code == 0, result.output
    # 128 px tiles: one fits, and one is moved inwards.
    assert result.stdout.splitlines()[1].split()[2] == "2"
    assert "nowhere, which is no slide of this run" in result.stderr


@pytest.mark.parametrize("option", ["--mpp-override", "--mpp-csv"])
def test_resolutions_that_contradict_the_slide(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path, option: str
) -> None:
    (tmp_path / "mpp.csv").write_text("wsi,mpp\ncase,0.25\n")
    given = 0.25 if option == "--mpp-override" else tmp_path / "mpp.csv"
    result = rl2qc_filter(slide, "-o", tmp_path / "out", option, given)
    assert result.exit_code == 0, result.output
    said = "case: the slide records 0.5 um/px, and 0.25 is taken in its place"
    assert f"rl2qc: warning: {said}" in result.stderr


def test_resolutions_that_cannot_be(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    result = rl2qc_filter(slide, "-o", tmp_path / "out", "--mpp-override", 0.00025)
    assert isinstance(result.exception, UsageError)
    assert "mpp_override must lie in [0.02, 50] um/px" in str(result.exception)
    (tmp_path / "mpp.csv").write_text("wsi,mpp\ncase,0.00025\n")
    result = rl2qc_filter(slide, "-o", tmp_path / "out", "--mpp-csv", tmp_path / "mpp.csv")
    assert isinstance(result.exception, UsageError)
    assert not (tmp_path / "out").exists()


def test_magnification_stands_for_a_resolution(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    result = rl2qc_filter(slide, "-o", tmp_path / "mag", "--mag", 10, "--any-mpp")
    assert result.exit_code == 0, result.output
    tables = []
    for name, option in (("mag", ("--mag", 10)), ("mpp", ("--mpp", 1))):
        rl2qc_filter(slide, "-o", tmp_path / name, *option, "--any-mpp")
        tables.append(read_table(tmp_path / name / "case"))
    assert [table.mpp for table in tables] == [1, 1]
    for name, column in tables[0].columns().items():
        np.testing.assert_array_equal(column, tables[1].columns()[name])
    for wrong in ((0,), (-20,), ("nan",), (20, "--mpp", 0.5), (10000,)):
        result = rl2qc_filter(slide, "-o", tmp_path / "out", "--mag", *wrong)
        assert isinstance(result.exception, UsageError), wrong


def test_tiles_may_overlap(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    result = rl2qc_filter(slide, "-o", tmp_path / "out", "--stride", 32)
    assert result.exit_code == 0, result.output
    assert len(read_table(tmp_path / "out" / "case")) == 3 * 5


def test_missing_input(rl2qc_filter: Callable[..., Result], tmp_path: Path) -> None:
    result = rl2qc_filter(tmp_path / "nothing", "--out", tmp_path / "out")
    assert isinstance(result.exception, UsageError)
    assert rl2qc_filter("--out", tmp_path / "out").exit_code == 2


def test_names_with_odd_characters_keep_to_their_row(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    """Neither the end of a line nor what steers a terminal gets into the table."""
    odd = tmp_path / "in" / "a\nb\x1b[2Jc\td.tif"
    odd.parent.mkdir()
    odd.write_bytes(slide.read_bytes())
    broken = odd.with_name("x\ny.svs")
    broken.write_bytes(b"")
    result = rl2qc_filter(odd.parent, "-o", tmp_path / "out")
    assert result.exit_code == 1
    rows = result.stdout.splitlines()
    assert rows[1].split()[:3] == ["a\ufffdb\ufffd[2Jc\ufffdd", "done", "6"]
    assert rows[2].split()[:2] == ["x\ufffdy", "failed"]
    assert "\x1b" not in result.stdout
    assert "\x1b[2J" not in result.stderr
    (error,) = [line for line in result.stderr.splitlines() if "error: " in line]
    assert "cannot be opened as a slide" in error
    with (tmp_path / "out" / "summary.csv").open(newline="", encoding="utf-8") as file:
        assert {row["name"] for row in csv.DictReader(file)} == {odd.stem, broken.stem}


def test_a_second_run_has_nothing_to_do_and_says_so(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = rl2qc_filter(slide, "-o", out)
    assert "finished before" not in first.stderr
    assert not (out / ".locks").exists()
    before = {p: p.stat().st_mtime_ns for p in (*out.glob("case/*"), out / "report.html")}
    again = rl2qc_filter(slide, "-o", out)
    said = "rl2qc: 1 of 1 inputs were finished before and are not measured again"
    assert again.stderr.splitlines()[0].startswith(said)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    # Of a run that ended before its report, that is left to do; a failure is tried again.
    (out / "report.html").unlink()
    (tmp_path / "broken.svs").write_bytes(b"")
    rl2qc_filter(slide, "-o", out)
    assert (out / "report.html").is_file()
    more = rl2qc_filter(slide, tmp_path / "broken.svs", "-o", out)
    assert "rl2qc: 1 of 2 inputs were finished before" in more.stderr
    assert "broken" in (out / "report.html").read_text()


def test_an_interrupted_run_says_how_to_go_on(
    rl2qc_filter: Callable[..., Result],
    slide: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rl2qc.cohort.run.filter_tiles", interrupt)
    result = rl2qc_filter(slide, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert result.stderr == (
        "rl2qc: interrupted: 0 of 1 inputs are done and kept: the same command does what is left\n"
    )


def test_help_shows_examples(rl2qc_filter: Callable[..., Result]) -> None:
    text = rl2qc_filter("--help").output
    assert "rl2qc filter slide.svs --out results/" in text
    assert "--mpp-override" in text


def test_reasons_of_rejections_are_summed_up(
    rl2qc_filter: Callable[..., Result], slide: Path, tmp_path: Path
) -> None:
    result = rl2qc_filter(slide, "-o", tmp_path / "out", "--alpha", 0.35)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if "tiles rejected:" in line]
    # Flat turquoise: its hue is no stain's.
    assert line == "2 tiles rejected: ink or pen 2 (100%)"
    assert "tiles rejected" not in rl2qc_filter(slide, "-o", tmp_path / "all").stdout


def test_ray_by_a_real_model(
    rl2qc: Callable, tiny_model_file: Path, stained: Callable, tmp_path: Path
) -> None:
    """The whole way: a model file, a local cluster, and the results of this process."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'rl2qc[ray]'")
    folder = tmp_path / "slides"
    folder.mkdir()
    for i, field in enumerate(stained(2, 192, seed=9)):
        write_pyramid(folder / f"{i}.tif", field, 0.5, levels=1)
    (folder / "broken.svs").write_bytes(b"no slide")
    run = ("filter", folder, "--model", tiny_model_file, "--mpp", 0.5, "--format", "csv")
    by_ray = rl2qc(*run, "-o", tmp_path / "ray", "--engine", "ray")
    assert by_ray.code == 1
    assert "broken.svs cannot be opened as a slide" in by_ray.error
    assert rl2qc(*run, "-o", tmp_path / "local").code == 1
    for i in range(2):
        theirs, ours = (read_table(tmp_path / way / str(i)) for way in ("ray", "local"))
        assert len(theirs) == 9
        for name, column in ours.measurements.items():
            np.testing.assert_allclose(theirs.measurements[name], column, rtol=1e-4, err_msg=name)
    # Finished there is finished here.
    before = (tmp_path / "ray" / "0" / "record.json").stat().st_mtime_ns
    assert rl2qc(*run, "-o", tmp_path / "ray").code == 1
    assert (tmp_path / "ray" / "0" / "record.json").stat().st_mtime_ns == before

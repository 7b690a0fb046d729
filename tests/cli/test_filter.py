from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from rl2qc.cli.filter import filter_command
from rl2qc.errors import UsageError
from rl2qc.model.quality import QualityModel


class RedModel:
    patch_size, mpp, name, sha256 = 64, 0.5, "red", "r" * 64

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        red = images[..., 0].mean(axis=(1, 2)) / 255
        return {"log_likelihood": red, "p_value": red}


@pytest.fixture
def rl2qc_filter(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr(QualityModel, "load", lambda name: RedModel())
    app = typer.Typer()
    app.command()(filter_command)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def slide(tmp_path: Path, rng: np.random.Generator) -> Path:
    pixels = rng.integers(60, 180, (128, 192, 3), dtype=np.uint8)
    path = tmp_path / "case.tif"
    tifffile.imwrite(
        path,
        pixels,
        tile=(64, 64),
        compression="deflate",
        photometric="rgb",
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )
    return path


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
    # 128 px tiles: one fits.
    assert result.stdout.splitlines()[1].split()[2] == "1"
    assert "nowhere, which is no slide of this run" in result.stderr


def test_missing_input(rl2qc_filter: Callable[..., Result], tmp_path: Path) -> None:
    result = rl2qc_filter(tmp_path / "nothing", "--out", tmp_path / "out")
    assert isinstance(result.exception, UsageError)
    assert rl2qc_filter("--out", tmp_path / "out").exit_code == 2


def test_help_shows_examples(rl2qc_filter: Callable[..., Result]) -> None:
    text = rl2qc_filter("--help").output
    assert "rl2qc filter slide.svs --out results/" in text
    assert "--mpp-override" in text

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rl2qc.cli.progress import TileProgress
from rl2qc.cohort.store.summary import SummaryRow
from rl2qc.core.progress import track


def job(number: int) -> Any:
    return SimpleNamespace(name=f"s{number}")


def begun(inputs: int) -> TileProgress:
    progress = TileProgress()
    progress.begin(inputs)
    return progress


def totals(progress: TileProgress, calls: list[tuple[int, int, int] | str]) -> list[int]:
    """The totals that are expected after each of the calls (number of the job, tiles done and in
    all), and "over" for a job that is over."""
    expected = []
    for call in calls:
        if isinstance(call, str):
            progress.row(SummaryRow("a", "slide", "done"))
        else:
            progress.tiles(job(call[0]), *call[1:])
            expected.append(progress.total)
    return expected


def test_what_is_left_is_expected() -> None:
    calls = [(0, 0, 10), (0, 10, 10), "over", (1, 0, 20), "over", (2, 0, 30), "over", (3, 0, 4)]
    assert totals(begun(4), calls) == [40, 40, 10 + 20 + 30, 60 + 20, 64]


def test_any_order() -> None:
    """On Ray, and beside other processes, the last job may come first."""
    calls = [(9, 0, 5), (9, 5, 5), "over", (3, 15, 15), "over"]
    assert totals(begun(10), calls) == [50, 50, 100]


def test_a_run_that_goes_on() -> None:
    """Nothing is expected of jobs that were finished before, or that failed at once."""
    assert totals(begun(10), [*["over"] * 9, (9, 0, 5)]) == [5]


@pytest.mark.parametrize(("finished", "total"), [(True, 5), (False, 50)])
def test_the_end_is_full(finished: bool, total: int) -> None:
    progress = begun(10)
    totals(progress, [(0, 0, 5), (0, 5, 5), *["over"] * (10 if finished else 0)])
    progress.end(finished=finished)
    assert (progress.done, progress.total) == (5, total)


def follow(progress: TileProgress) -> None:
    """A run of four: finished before, measured, failed, measured."""
    progress.begin(4)
    progress.row(SummaryRow("s0", "slide", "done", tiles=9))
    for number, status in ((1, "done"), (2, "failed"), (3, "done")):
        if status == "done":
            for done in range(0, 101, 20):
                progress.tiles(job(number), done, 100)
        progress.row(SummaryRow(f"s{number}", "slide", status, tiles=100))
    progress.end(finished=True)


def test_a_log_has_a_line_for_each_input(capsys: pytest.CaptureFixture[str]) -> None:
    follow(TileProgress())
    text = capsys.readouterr().err
    assert "\r" not in text
    lines = text.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "rl2qc: 2/4 s1: 100 tiles",
        "rl2qc: 3/4 s2: failed",
        "rl2qc: 4/4 s3: 100 tiles",
    ]
    assert all("tiles/s" in line for line in lines)
    # Where nothing is left, nothing is said about it.
    assert [line.endswith(" left") for line in lines] == [True, True, False]


def test_a_terminal_has_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    follow(TileProgress())
    text = capsys.readouterr().err
    assert "rl2qc:" not in text
    assert "4/4 s3: 100%" in text
    assert "200/200" in text
    assert ": :" not in text
    assert text.endswith("\n")


def test_a_run(rl2qc: Callable, red_model: None, slide: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.svs").write_bytes(b"")
    done = rl2qc("filter", tmp_path / "broken.svs", slide, "-o", tmp_path / "out")
    assert done.err.startswith("rl2qc: 1/2 broken: failed\nrl2qc: 2/2 case: 6 tiles, ")
    wrong = rl2qc("filter", slide, "-o", tmp_path / "out", "--alpha", 0.1)
    # The error alone, without a bar that has nothing to show.
    assert wrong.err.startswith("rl2qc: error: ")
    assert wrong.err.count("\n") == 1


def test_a_log_is_not_filled_with_what_each_step_says(capsys: pytest.CaptureFixture[str]) -> None:
    with track(True, "fitting", 200) as step:
        for epoch in range(200):
            step(1, f"fitting, loss {epoch}")
    assert capsys.readouterr().err.count("fitting") < 5

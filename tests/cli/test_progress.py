from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rl2qc.cli.progress import TileProgress
from rl2qc.cohort.job import Job
from rl2qc.cohort.store.summary import SummaryRow


def job(number: int) -> Job:
    return Job(f"s{number}", "slide", Path(f"s{number}.svs"))


def totals(progress: TileProgress, calls: list[tuple[int, int, int] | str]) -> list[int]:
    """The totals that are expected after each of the calls (number of the job, tiles done and in
    all), and "over" for a job that is over."""
    rows = iter([SummaryRow("a", "slide", "done")] * len(calls))
    watched = progress.watch(lambda run, jobs: rows)(None, [])
    expected = []
    for call in calls:
        if isinstance(call, str):
            next(watched)
        else:
            progress(call[0], job(call[0]), *call[1:])
            expected.append(progress.total)
    return expected


def test_what_is_left_is_expected() -> None:
    with TileProgress(4) as progress:
        calls = [(0, 0, 10), (0, 10, 10), "over", (1, 0, 20), "over", (2, 0, 30), "over", (3, 0, 4)]
        assert totals(progress, calls) == [40, 40, 10 + 20 + 30, 60 + 20, 64]


def test_any_order() -> None:
    """On Ray, and beside other processes, the last job may come first."""
    with TileProgress(10) as progress:
        calls = [(9, 0, 5), (9, 5, 5), "over", (3, 15, 15), "over"]
        assert totals(progress, calls) == [50, 50, 100]


def test_a_run_that_goes_on() -> None:
    """Nothing is expected of jobs that were finished before, or that failed at once."""
    with TileProgress(10) as progress:
        assert totals(progress, [*["over"] * 9, (9, 0, 5)]) == [5]


def test_the_end_is_full() -> None:
    with TileProgress(10) as progress:
        totals(progress, [(0, 0, 5), (0, 5, 5), *["over"] * 10])
    assert progress.total == progress.done == 5
    broken = TileProgress(10)
    with pytest.raises(KeyboardInterrupt), broken:
        totals(broken, [(0, 5, 5)])
        raise KeyboardInterrupt
    assert (broken.done, broken.total) == (5, 50)


def follow(progress: TileProgress) -> None:
    """A run of four: finished before, judged, failed, judged."""

    def engine(run: object, jobs: object) -> object:
        yield SummaryRow("s0", "slide", "done", tiles=9)
        for number, status in ((1, "done"), (2, "failed"), (3, "done")):
            if status == "done":
                for done in range(0, 101, 20):
                    progress(number, job(number), done, 100)
            yield SummaryRow(f"s{number}", "slide", status, tiles=100)

    with progress:
        assert len(list(progress.watch(engine)(None, []))) == 4


def test_a_log_has_a_line_for_each_input(capsys: pytest.CaptureFixture[str]) -> None:
    follow(TileProgress(4))
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
    follow(TileProgress(4))
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

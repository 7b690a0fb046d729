"""Checkpoints of a run are scored as they appear, once each, and the watch can be stopped."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from page_helpers import Page
from PIL import Image

import rl2qc
from rl2qc.errors import UsageError, WorkError
from rl2qc.html.server import page_server
from rl2qc.scoring.checkpoint_sets import find_sets, stamp_of

FAST = {"metrics": ["rl2", "swd"], "n_resamples": 20, "cache": False, "once": True}


@pytest.fixture
def place(tmp_path: Path, patches: np.ndarray) -> Path:
    """A run of two checkpoints, a folder and an array, and the real images."""
    (tmp_path / "run" / "step_1000").mkdir(parents=True)
    (tmp_path / "real").mkdir()
    for i, patch in enumerate(patches[:24]):
        Image.fromarray(patch).save(tmp_path / "real" / f"{i:02}.png")
    for i, patch in enumerate(patches[24:40]):
        Image.fromarray(patch // 2).save(tmp_path / "run" / "step_1000" / f"{i:02}.png")
    np.save(tmp_path / "run" / "step_200.npy", patches[40:56] // 3)
    return tmp_path


def test_each_is_scored_as_score_does(place: Path, tiny_model) -> None:
    found = rl2qc.watch(place / "run", place / "real", tiny_model, **FAST)
    assert [(one.name, one.step, one.images) for one in found.sets] == [
        ("step_200.npy", 200, 16),
        ("step_1000", 1000, 16),
    ]
    alone = rl2qc.score(
        place / "run" / "step_1000",
        place / "real",
        tiny_model,
        metrics=["rl2", "swd"],
        n_resamples=20,
        cache=False,
    )
    for name in ("rl2", "swd"):
        row = alone.metrics[name]
        assert found.sets[1].scores[name] == (row.value, row.low, row.high)
    out = place / "run.watch"
    with (out / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["metric"]) for row in rows] == [
        (step, metric) for step in ("200", "1000") for metric in ("rl2", "swd")
    ]
    page = Page(out / "index.html")
    assert "step_1000" in page.text
    assert page.html.count("<polyline") == 2
    assert "refresh" not in page.html


def test_what_was_scored_is_not_scored_again(place: Path, tiny_model, patches) -> None:
    told: list[int] = []

    def look() -> rl2qc.Watched:
        told.clear()
        return rl2qc.watch(
            place / "run", place / "real", tiny_model, told=lambda w: told.append(1), **FAST
        )

    first = look()
    assert len(told) == 2
    assert look().sets == first.sets
    assert told == []
    np.save(place / "run" / "step_3000.npy", patches[40:60])
    Image.fromarray(patches[60]).save(place / "run" / "step_1000" / "more.png")
    again = look()
    assert len(told) == 2
    assert [one.images for one in again.sets] == [16, 17, 20]
    assert again.sets[0] == first.sets[0]
    with pytest.raises(UsageError, match="begun with another settings"):
        rl2qc.watch(place / "run", place / "real", tiny_model, **{**FAST, "seed": 1})
    anew = rl2qc.watch(
        place / "run", place / "real", tiny_model, **{**FAST, "seed": 1}, overwrite=True
    )
    assert len(anew.sets) == 3


def test_each_look_tells_what_is_known_already(place: Path, tiny_model) -> None:
    """The page of a watch that went on was empty until a set more was scored."""
    first = rl2qc.watch(place / "run", place / "real", tiny_model, **FAST)
    (place / "run" / "step_4000").mkdir()
    seen: list[rl2qc.Watched] = []
    rl2qc.watch(place / "run", place / "real", tiny_model, looked=seen.append, **FAST)
    assert [one.sets for one in seen] == [first.sets]
    assert seen[0].waiting == ("step_4000",)
    assert "step_1000" in seen[0].page(refresh=5)


def test_sets_that_cannot_be_scored_cost_no_other(place: Path, tiny_model) -> None:
    (place / "run" / "step_1").mkdir()
    Image.new("RGB", (64, 64)).save(place / "run" / "step_1" / "alone.png")
    (place / "run" / "step_2").mkdir()
    (place / "run" / "step_2" / "x.png").write_text("no image")
    (place / "run" / "step_3").mkdir()
    (place / "run" / "step_4.tmp").mkdir()
    (place / "run" / ".cache").mkdir()
    (place / "run" / "model.pt").write_bytes(b"weights")
    found = rl2qc.watch(place / "run", place / "real", tiny_model, **FAST)
    assert [(one.name, bool(one.failure)) for one in found.sets] == [
        ("step_1", True),
        ("step_2", True),
        ("step_200.npy", False),
        ("step_1000", False),
    ]
    assert found.waiting == ("step_3",)
    assert "step_3" in Page(place / "run.watch" / "index.html").text


def test_a_set_is_scored_when_it_stays_as_it_is(place: Path, tiny_model, patches) -> None:
    seen: list[tuple[str, ...]] = []
    growing = place / "run" / "step_5000"
    growing.mkdir()

    def grow() -> None:
        for i in range(12):
            Image.fromarray(patches[i]).save(growing / f"{i}.png")
            time.sleep(0.1)
        time.sleep(8)
        shutil.rmtree(place / "run")

    thread = threading.Thread(target=grow)
    thread.start()
    settings = {**FAST, "once": False, "interval": 0.3, "metrics": ["swd"], "n_resamples": 0}
    with pytest.raises(WorkError, match="gone"):
        rl2qc.watch(
            place / "run",
            place / "real",
            tiny_model,
            told=lambda w: seen.append(tuple((s.name, s.images) for s in w.sets)),
            **settings,
        )
    thread.join()
    assert ("step_5000", 12) in seen[-1]
    assert not any(name == "step_5000" and n < 12 for sets in seen for name, n in sets)
    state = json.loads((place / "run.watch" / "watch.json").read_text())
    assert len(state["sets"]) == 3


@pytest.mark.parametrize("link", [False, True])
def test_own_results_within_the_run_are_no_set(place: Path, tiny_model, link: bool) -> None:
    out = place / "run" / "scores_9"
    if link:
        (place / "elsewhere").mkdir()
        out.symlink_to(place / "elsewhere")
    found = [
        rl2qc.watch(place / "run", place / "real", tiny_model, out=str(out), **FAST).sets
        for _ in range(3)
    ]
    names = [[one.name for one in sets] for sets in found]
    assert names[0] == names[1] == names[2] and "scores_9" not in names[0]
    # Nor are those of another run that lie there.
    assert "scores_9" not in [one.name for one in find_sets(place / "run")]


def test_what_a_score_warns_of_is_passed_on(place: Path, tiny_model) -> None:
    folder = place / "run" / "step_1000"
    for path in list(folder.iterdir()):
        with Image.open(path) as image:
            image.convert("RGB").save(path.with_suffix(".jpg"), quality=60)
        path.unlink()
    found = rl2qc.watch(place / "run", place / "real", tiny_model, mpp=0.5, **FAST)
    (told,) = (one.warnings for one in found.sets if one.name == "step_1000")
    (stored,) = [warning for warning in told if "encoded differently" in warning]
    assert "are stored as" in stored and found.warnings[stored] == ("step_1000",)
    assert "encoded differently" in Page(place / "run.watch" / "index.html").text
    # What is taken up again says it still; harmonized, both are stored alike.
    again = rl2qc.watch(place / "run", place / "real", tiny_model, mpp=0.5, **FAST)
    assert again.warnings == found.warnings
    alike = rl2qc.watch(
        place / "run", place / "real", tiny_model, mpp=0.5, harmonize=True, overwrite=True, **FAST
    )
    assert not any("are stored as" in warning for warning in alike.warnings)


def test_real_images_within_the_run_are_no_checkpoint(place: Path, tiny_model) -> None:
    shutil.move(place / "real", place / "run" / "real")
    found = rl2qc.watch(place / "run", place / "run" / "real", tiny_model, **FAST)
    assert [one.name for one in found.sets] == ["step_200.npy", "step_1000"]


def test_too_little_diverse_sets_are_rejected(place: Path, tiny_model, patches) -> None:
    one = np.repeat(patches[:1], 40, axis=0)
    np.save(place / "run" / "step_9.npy", one)
    found = rl2qc.watch(place / "run", place / "real", tiny_model, diversity=0.9, **FAST)
    by_name = {one.name: one.rejected for one in found.sets}
    assert by_name["step_9.npy"] is True
    assert rl2qc.watch(place / "run", place / "real", tiny_model, diversity=0.9, **FAST).sets


def test_bad_input(place: Path, tiny_model, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        rl2qc.watch(place / "nowhere", place / "real", tiny_model, **FAST)
    with pytest.raises(UsageError):
        rl2qc.watch(place / "run", place / "nowhere", tiny_model, **FAST)
    with pytest.raises(UsageError, match="no metric 'irs'"):
        rl2qc.watch(place / "run", place / "real", tiny_model, **{**FAST, "metrics": ["irs"]})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="no watch"):
        rl2qc.watch(place / "run", place / "real", tiny_model, out=tmp_path / "mine", **FAST)
    rl2qc.watch(place / "run", place / "real", tiny_model, **FAST)
    for text in ("", "{", '{"sets": [{"x": 1}], "identity": 3}'):
        (place / "run.watch" / "watch.json").write_text(text)
        with pytest.raises(UsageError, match="damaged"):
            rl2qc.watch(place / "run", place / "real", tiny_model, **FAST)


def test_by_the_command_line(
    rl2qc: Callable, place: Path, tiny_model_file: Path, tmp_path: Path
) -> None:
    arguments = ("watch", place / "run", "--real", place / "real", "--model", tiny_model_file)
    options = ("--metrics", "swd", "--n-resamples", 0, "--no-cache", "--once")
    done = rl2qc(*arguments, *options, "-o", tmp_path / "w")
    assert done.code == 0
    assert done.out.count("step ") >= 2
    assert (tmp_path / "w" / "index.html").exists()
    np.save(place / "run" / "step_7.npy", np.zeros((1, 64, 64, 3), np.uint8))
    done = rl2qc(*arguments, *options, "-o", tmp_path / "w")
    assert done.code == 1
    assert "error: step_7.npy: " in done.err


def test_steps_and_stamps(tmp_path: Path) -> None:
    for name in ("epoch10_step_5", "b", "a"):
        (tmp_path / name).mkdir()
    assert [(one.name, one.step) for one in find_sets(tmp_path)] == [
        ("a", 0),
        ("b", 1),
        ("epoch10_step_5", 5),
    ]
    before = stamp_of(tmp_path / "a")
    (tmp_path / "a" / "x").write_text("x")
    assert stamp_of(tmp_path / "a") != before


def test_a_set_that_vanished_is_scored_when_it_is_back(
    place: Path, tiny_model, patches: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, away = place / "run" / "step_5", place / "away"
    folder.mkdir()
    for i, image in enumerate(patches[:8]):
        Image.fromarray(image).save(folder / f"{i}.png")

    def score(*arguments: Any, **options: Any) -> Any:
        if folder.exists():
            folder.rename(away)
        return rl2qc.score(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr("rl2qc.scoring.watch.score", score)
        found = rl2qc.watch(place / "run", place / "real", tiny_model, **FAST)
    assert "step_5" in [one.name for one in found.sets if one.failure]
    away.rename(folder)
    found = rl2qc.watch(place / "run", place / "real", tiny_model, **FAST)
    assert [one.name for one in found.sets if one.failure] == []
    assert "step_5" in [one.name for one in found.scored]


def test_folders_that_vanish_while_they_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set" / "inner").mkdir(parents=True)
    (tmp_path / "set" / "a.png").write_bytes(b"12")
    listed = os.scandir

    def scandir(place: str | Path) -> object:
        if Path(place).name == "inner":
            raise FileNotFoundError(2, "No such file or directory", str(place))
        return listed(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert stamp_of(tmp_path / "set").startswith("1 2 ")


def test_the_page_is_served_to_who_knows_its_place() -> None:
    with page_server(lambda: "<p>caf\N{LATIN SMALL LETTER E WITH ACUTE}") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urlopen(server.url) as answer:
            assert answer.read().decode().endswith("caf\N{LATIN SMALL LETTER E WITH ACUTE}")
        server.shutdown()


def test_event_files(place: Path, tiny_model, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(place / "run.watch")

        def add_scalar(self, name: str, value: float, step: int) -> None:
            logged.append((name, value, step))

        def flush(self) -> None:
            """Nothing is held back."""

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    found = rl2qc.watch(place / "run", place / "real", tiny_model, tensorboard=True, **FAST)
    value, low, high = found.sets[0].scores["rl2"]
    assert logged[:3] == [
        ("rl2qc/rl2", value, 200),
        ("rl2qc/rl2_low", low, 200),
        ("rl2qc/rl2_high", high, 200),
    ]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"rl2qc\[tensorboard\]"):
        rl2qc.watch(place / "run", place / "real", tiny_model, tensorboard=True, **FAST)

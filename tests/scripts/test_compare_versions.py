"""The comparison of two versions: keys and words that were renamed, what counts as different."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
comparing = importlib.import_module("versions.comparing")
names = importlib.import_module("versions.names")
reading = importlib.import_module("versions.reading")
running = importlib.import_module("versions.running")
steps = importlib.import_module("versions.steps")


def card(**changes):
    """One metric as the old version wrote it, or with changes."""
    row = {"value": 2.5, "low": 2.0, "high": 3.0, "floor": 1.0, "null_percentile": 99.0}
    return {**row, "verdict": "farther from real than real sets are", "note": "", **changes}


def outputs(folder, row, name="card.json", **more):
    """What is read of a folder that holds a card with one metric."""
    folder.mkdir()
    content = {"metrics": {"fid": row}, "run": {"k": 3, "seconds": 1.5}, **more}
    (folder / name).write_text(json.dumps(content))
    return reading.read_outputs(folder, "score/plain")


def differing(before, after, tolerance=1e-6):
    groups = comparing.compare(before, after, tolerance)
    return [d.key for group in groups.values() for d in group.unintended]


def test_renamed_keys_and_new_words_are_no_difference(tmp_path):
    old = outputs(tmp_path / "a", card())
    row = card(verdict="farther away than real sets are", baseline=1.0, percentile=99.0)
    del row["floor"], row["null_percentile"]
    new = outputs(tmp_path / "b", row)
    assert old.keys() == new.keys() and not differing(old, new)
    assert "score/plain/card.json/metrics/fid/baseline" in old


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"value": 2.5 * (1 + 1e-5)}, "value"),
        ({"low": None}, "low"),
        ({"floor": 1.1}, "baseline"),
        ({"null_percentile": 50.0}, "direction"),
        ({"verdict": "like real"}, "verdict"),
    ],
)
def test_one_changed_number_is_found(tmp_path, changes, key):
    found = differing(outputs(tmp_path / "a", card()), outputs(tmp_path / "b", card(**changes)))
    assert f"score/plain/card.json/metrics/fid/{key}" in found


def test_less_than_the_tolerance_and_what_is_new_pass(tmp_path):
    old = outputs(tmp_path / "a", card())
    new = outputs(tmp_path / "b", card(value=2.5 * (1 + 1e-8), another=1.0))
    groups = comparing.compare(old, new, 1e-6)
    assert not differing(old, new) and sum(group.new for group in groups.values()) == 1
    assert max(group.largest for group in groups.values()) == pytest.approx(1e-8, rel=1e-3)


def test_features_may_change_places(tmp_path):
    tiles = [{"id": name, "properties": {"tiles": n}} for n, name in enumerate("abc")]
    for place, features in (("old", tiles), ("new", tiles[::-1]), ("odd", [*tiles[:2], tiles[0]])):
        (tmp_path / place).mkdir()
        content = json.dumps({"type": "FeatureCollection", "features": features})
        (tmp_path / place / "tiles.geojson").write_text(content)
    old, new, odd = (reading.read_outputs(tmp_path / p, "filter/x") for p in ("old", "new", "odd"))
    assert differing(old, new) == []
    assert differing(old, odd)


def test_a_missing_file_is_said_once(tmp_path):
    old = outputs(tmp_path / "a", card())
    new = outputs(tmp_path / "b", card(), "other.json")
    assert differing(old, new) == ["score/plain/card.json/files"]


def test_tables_are_compared_cell_by_cell(tmp_path):
    for name, reason, keep in (("a", "unlike the reference", "false"), ("b", "ink or pen", "true")):
        (tmp_path / name).mkdir()
        rows = ["p_value,keep,reason,path", f"0.25,{keep},{reason},{name}.png", ",true,,c.png"]
        (tmp_path / name / "tiles.csv").write_text("\n".join(rows))
    old, new = (reading.read_outputs(tmp_path / name, "filter/x") for name in ("a", "b"))
    assert differing(old, new) == ["filter/x/tiles.csv/keep", "filter/x/tiles.csv/reason"]
    assert old["filter/x/tiles.csv/reason"].tolist() == ["out of distribution", ""]


def test_a_renamed_detector_is_the_same(tmp_path):
    for place, column, name in (("old", "score", "detector"), ("new", "detector", "combined")):
        (tmp_path / place).mkdir()
        rows = [f"kind,{column},auc", f"blur,{name},0.5", "blur,stages,0.75"]
        (tmp_path / place / "benchmark.csv").write_text("\n".join(rows))
    old, new = (reading.read_outputs(tmp_path / place, "benchmark/x") for place in ("old", "new"))
    assert old.keys() == new.keys() and not differing(old, new)
    new["benchmark/x/benchmark.csv/combined"][1] = "knn"
    assert differing(old, new) == ["benchmark/x/benchmark.csv/combined"]


def test_relative_differences():
    a, b = np.array([0.0, 1.0, math.nan, 1e-12]), np.array([0.0, 1.5, math.nan, 0.0])
    assert comparing.relative(a, b) == pytest.approx([0, 1 / 3, 0, 0], abs=1e-6)
    assert comparing.relative(a, b[:2]) is None
    assert comparing.relative(np.array(["x"]), np.array([1.0])) is None


def test_intended_differences_have_steps():
    keys = {step.key for step in steps.STEPS}
    for intended in names.INTENDED:
        assert "/".join(intended.keys.split("/")[:2]) in keys
    for pair in names.BECOMES:
        assert all("/".join(key.split("/")[:2]) in keys for key in pair)
    assert all(name in {*keys, *steps.PARTS} for name in steps.QUICK)


@pytest.fixture
def side(tmp_path, monkeypatch):
    """An old version whose commands take no time."""
    places = dict.fromkeys(("checkout", "inputs", "data"), tmp_path)
    side = running.Side("before", folder=tmp_path / "b", before=tmp_path / "b", **places)
    monkeypatch.setattr(running.Side, "check", lambda self: None)
    monkeypatch.setattr(running.Side, "command", lambda self, step, out: ["true"])
    return side


def ran(capsys):
    return re.findall(r"^\w+ \d+/\d+  (\S+)", capsys.readouterr().out, re.MULTILINE)


def test_what_reads_newer_outputs_or_had_other_threads_is_run_again(side, capsys):
    first = steps.Step("train", "own", ("train",))
    second = steps.Step("score", "own", ("score", "-m", "{before}/train/own/own.safetensors"))
    running.run_steps(side, [first, second], again=False)
    assert ran(capsys) == ["train/own", "score/own"]
    running.run_steps(side, [first, second], again=False)
    assert ran(capsys) == []
    running.run_steps(side, [first], again=True)
    assert ran(capsys) == ["train/own"]
    running.run_steps(side, [first, second], again=False)
    assert ran(capsys) == ["score/own"]
    running.run_steps(replace(side, threads=1), [first, second], again=False)
    assert ran(capsys) == ["train/own", "score/own"]

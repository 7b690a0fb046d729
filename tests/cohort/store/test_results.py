"""What is left of a run, in one object."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cohort_helpers import run_cohort
from slide_helpers import BrightnessModel, tissue_like, write_slide

import rl2qc
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.store.results import read_results
from rl2qc.errors import UsageError
from rl2qc.filtering.settings import FilterSettings


@pytest.fixture
def out(tmp_path: Path, rng: np.random.Generator) -> Path:
    folder = tmp_path / "slides"
    folder.mkdir()
    for name in ("b", "a"):
        write_slide(folder / f"{name}.tif", tissue_like(rng, 64, 192))
    (folder / "broken.svs").write_bytes(b"")
    inputs, _ = find_inputs(folder)
    run_cohort(inputs, BrightnessModel(), tmp_path / "out", FilterSettings(alpha=0.9))
    return tmp_path / "out"


def test_what_a_folder_holds(out: Path) -> None:
    result = read_results(out)
    assert rl2qc.read_results is read_results
    assert [(row.name, row.status) for row in result.rows] == [
        *(("a", "done"), ("b", "done"), ("broken", "failed"))
    ]
    assert (len(result), result.alpha, result.before, result.report) == (3, 0.9, ("a", "b"), None)
    assert result.summary() == "kept 0 of 6 tiles (0.0%) of 2 inputs at alpha 0.9"
    assert repr(result) == f"<CohortResult {str(out)!r}: {result.summary()}>"
    assert any(warning.startswith("a and 1 more: flagged: over-rej") for warning in result.warnings)
    (error,) = result.errors
    assert error.startswith("broken: ")
    with pytest.raises(UsageError, match="holds no results"):
        read_results(out.parent / "slides")


def test_tables_are_read_when_they_are_asked_for(out: Path) -> None:
    tables = read_results(out).tables
    assert list(tables) == ["a", "b"]
    assert len(tables["a"]) == 3
    with pytest.raises(KeyError):
        tables["broken"]
    (out / "a" / "tiles.csv").unlink()
    assert len(tables) == 2
    with pytest.raises(rl2qc.WorkError, match="no complete result"):
        tables["a"]


def test_it_is_written_down(out: Path, tmp_path: Path) -> None:
    result = read_results(out)
    result.to_csv(tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_bytes() == (out / "summary.csv").read_bytes()
    with (out / "summary.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {name: str(value) for name, value in row.items()} for row in result.csv_rows()
        ]
    result.to_json(tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text())
    assert (content["schema_version"], content["alpha"]) == (2, 0.9)
    assert [row["name"] for row in content["inputs"]] == ["a", "b", "broken"]
    result.to_html(tmp_path / "page.html")
    assert "<html" in (tmp_path / "page.html").read_text()
    assert not (out / "report.html").exists()
    lines = result.table().splitlines()
    assert lines[0].split()[:4] == ["name", "status", "tiles", "kept"]
    assert lines[1].split()[:5] == ["a", "done", "3", "0", "0.0%"]
    assert result._repr_html_().startswith("<pre>name")


def test_a_result_that_was_copied_beside_itself_is_named(out: Path) -> None:
    assert not any("one slide" in line for line in read_results(out).warnings)
    shutil.copytree(out / "a", out / "a backup")
    said = "a and a backup are results of one slide"
    for result in (read_results(out), rl2qc.decide(out, alpha=0)):
        assert [line for line in result.warnings if line.startswith(said)]
    with pytest.warns(UserWarning, match=said):
        rl2qc.KeptTiles(out)

"""Results of before, in which tiles at the edges and parts of larger tiles were not judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.store.results import CohortResult
from rl2qc.errors import UsageError


@pytest.fixture
def slide(tmp_path: Path, rng: np.random.Generator) -> Path:
    return write_slide(tmp_path / "case.tif", tissue_like(rng, 150, 200))


def run(slides: Any, out: Path, **changes: Any) -> CohortResult:
    return filter_cohort(slides, out, BrightnessModel(), report=False, **changes)


def of_before(out: Path) -> None:
    """Make the results those of a day on which there were no such options."""
    for file in (out / "run.json", *out.glob("*/record.json")):
        content = json.loads(file.read_text())
        settings = content["settings"] if file.name == "run.json" else content["key"]["settings"]
        del settings["edges"], settings["covering"]
        for name in ("step", "covered"):
            content.get("slide", {}).pop(name, None)
        file.write_text(json.dumps(content))


def test_results_of_before_go_on_as_they_were_made(
    slide: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    out = tmp_path / "out"
    first = run(slide, out, edges="leave")
    assert len(first.tables["case"]) == 6
    of_before(out)
    with pytest.raises(UsageError, match=r"leave -> shift\): pass --edges leave to go on"):
        run(slide, out, edges="shift")
    resumed = run(slide, out)
    assert resumed.before == ("case",)
    assert any("tiles at the edges are left out, as in the results" in w for w in resumed.warnings)
    other = write_slide(tmp_path / "b.tif", tissue_like(rng, 64, 100))
    assert len(run(other, out).tables["b"]) == 1
    anew = run(slide, out, overwrite=True).tables["case"]
    assert (len(anew), int(anew.shifted.sum())) == (12, 6)


def test_what_is_written_down_is_read_again(slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    table = run(slide, out).tables["case"]
    assert table.step == 64
    lines = (out / "case" / "tiles.csv").read_text().splitlines()
    assert lines[0].endswith(",reason,shifted")
    assert sum(line.endswith(",true") for line in lines) == table.shifted.sum() == 6
    assert run(slide, out).before == ("case",)


def test_patches_and_imported_tiles_have_no_edges(
    slide: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    h5py = pytest.importorskip("h5py")
    file = tmp_path / "case.h5"
    with h5py.File(file, "w") as coords:
        data = coords.create_dataset("coords", data=[[0, 0]])
        data.attrs.update(patch_size=128, patch_size_level0=128)
    out = tmp_path / "out"
    run(slide, out, coords=file, covering="centre")
    of_before(out)
    resumed = run(slide, out, coords=file, edges="shift")
    assert resumed.before == ("case",)
    assert any("of larger tiles the centre is measured" in w for w in resumed.warnings)
    assert "shifted" not in resumed.tables["case"].columns()

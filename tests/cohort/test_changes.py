"""What a record asks of a later run: only what differs, and nothing of options that came after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohort_helpers import run_cohort
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.decide import decide
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.errors import UsageError
from rl2qc.filtering.settings import FilterSettings


@pytest.fixture
def slide(tmp_path: Path, rng: np.random.Generator) -> Path:
    return write_slide(tmp_path / "a.tif", tissue_like(rng, 64, 192))


def run(slide: Path, out: Path, **options: Any) -> list[int]:
    """Filter a slide; the sizes of the batches that were measured."""
    model = BrightnessModel()
    run_cohort(find_inputs([slide])[0], model, out, FilterSettings(**options), formats=["csv"])
    return model.batches


def forget(out: Path, *names: str) -> None:
    """Make the results those of a day on which there were no such options."""
    for file in (out / "run.json", *out.glob("*/record.json")):
        content = json.loads(file.read_text())
        settings = content["settings"] if file.name == "run.json" else content["key"]["settings"]
        for name in names:
            settings.pop(name, None)
        file.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["icc", "min_tissue", "max_rejected", "method"])
def test_an_option_that_came_later_locks_nothing(slide: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    assert run(slide, out) == [3]
    forget(out, name)
    assert run(slide, out) == []
    other = write_slide(tmp_path / "b.tif", tissue_like(np.random.default_rng(1), 64, 64))
    assert run(other, out) == [1]
    assert decide(out, 0.1).failures == ()
    assert run(slide, out, alpha=0.1) == []


def test_an_option_that_came_later_is_asked_for_in_vain(slide: Path, tmp_path: Path) -> None:
    """Results of before hold the value of their day."""
    run(slide, tmp_path / "out")
    forget(tmp_path / "out", "icc")
    with pytest.raises(UsageError, match=r"icc False -> True"):
        run(slide, tmp_path / "out", icc=True)


def test_results_of_another_model_say_how_to_go_on(slide: Path, tmp_path: Path) -> None:
    """What was begun by the default model of its day goes on by its name."""
    run(slide, tmp_path / "out")
    other = BrightnessModel()
    other.name, other.sha256 = "other", "f" * 64
    said = (
        rf"\(model {BrightnessModel.name} .* -> other .*\): pass --model {BrightnessModel.name} to"
    )
    with pytest.raises(UsageError, match=said):
        run_cohort(
            find_inputs([slide])[0], other, tmp_path / "out", FilterSettings(), formats=["csv"]
        )


def test_what_nobody_measures_is_no_part_of_a_set(slide: Path, tmp_path: Path) -> None:
    """Macs leave hidden files beside images; folders of thumbnails may be hidden, too."""
    folder, out = tmp_path / "set", tmp_path / "out"
    folder.mkdir()
    for i in range(2):
        Image.new("RGB", (64, 64), (150, 90, 120)).save(folder / f"{i}.png")
    assert run(folder, out) == [2]
    (folder / "._0.png").write_bytes(b"of a Mac")
    (folder / "folder.png").mkdir()
    assert run(folder, out) == []
    Image.new("RGB", (64, 64), (150, 90, 120)).save(folder / "2.png")
    assert run(folder, out) == [3]

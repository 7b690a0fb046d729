"""Tables come back from the folder of their results."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from cohort_helpers import run_cohort
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.store.tables import read_table
from rl2qc.errors import WorkError
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.slide import filter_slide
from rl2qc.filtering.table import TileTable


@pytest.fixture
def inputs(tmp_path: Path, rng: np.random.Generator) -> list[Path]:
    """A slide of tiles that differ, and a folder of patches."""
    (tmp_path / "set").mkdir()
    pixels = tissue_like(rng, 192, 256)
    pixels[:64] -= 15
    for i in range(4):
        Image.fromarray(pixels[64:128, 64 * i : 64 * (i + 1)]).save(tmp_path / "set" / f"{i}.png")
    (tmp_path / "set" / "bad.png").write_text("no image")
    return [write_slide(tmp_path / "a.tif", pixels, levels=2), tmp_path / "set"]


def test_a_table_comes_back_to_the_last_digit(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_cohort(find_inputs(inputs)[0], BrightnessModel(), out, FilterSettings(alpha=0.66))
    fresh = filter_slide(inputs[0], BrightnessModel(), alpha=0.66)
    assert 0 < fresh.keep.sum() < len(fresh)
    read = read_table(out / "a")
    for name, column in fresh.columns().items():
        assert read.columns()[name].dtype == column.dtype
        np.testing.assert_array_equal(read.columns()[name], column)
    for field in fields(TileTable):
        if field.name not in {*fresh.columns(), "measurements", "thumbnail", "shown"}:
            assert getattr(read, field.name) == getattr(fresh, field.name), field.name
    patches = read_table(out / "set")
    assert [path.name for path in patches.image_paths] == ["0.png", "1.png", "2.png", "3.png"]
    assert patches.thumbnail is None
    assert [Path(what).name for what, _ in patches.failures] == ["bad.png"]


def test_an_empty_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="no complete result"):
        read_table(tmp_path)


def test_numbers_that_are_not_finite_come_back(inputs: list[Path], tmp_path: Path) -> None:
    class Odd(BrightnessModel):
        def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
            odd = np.resize([np.nan, -np.inf, -1e300, 5e-324], len(images))
            return {"score": odd, **super().measure(images)}

    jobs, _ = find_inputs(inputs[:1])
    run_cohort(jobs, Odd(), tmp_path / "out", formats=["csv"])
    score = read_table(tmp_path / "out" / "a").measurements["score"]
    np.testing.assert_array_equal(score, np.resize([np.nan, -np.inf, -1e300, 5e-324], 12))

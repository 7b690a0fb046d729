"""Swapped channels are told from the order of hues, for slides and for folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slide_helpers import BrightnessModel, write_slide

import rl2qc
from rl2qc.images.hue_order import hue_order, swapped_colours
from rl2qc.synthetic.stain import Stain
from rl2qc.synthetic.tissue import synthetic_tissue


@pytest.fixture(scope="module", params=range(3))
def tissue(request: pytest.FixtureRequest) -> np.ndarray:
    """(256, 320, 3) of one stain."""
    rng = np.random.default_rng(request.param)
    return synthetic_tissue(256, 320, rng, stain=Stain.sample(rng))


def test_the_sign_turns_with_the_channels(tissue: np.ndarray) -> None:
    assert hue_order(tissue) > 0.05
    assert hue_order(tissue[..., ::-1]) < -0.05
    grey = np.repeat(tissue[..., 1:2], 3, axis=2)
    assert hue_order(grey) == pytest.approx(0, abs=1e-9)


def test_patches_without_tissue_say_nothing() -> None:
    assert np.isnan(hue_order(np.full((64, 64, 3), 240, np.uint8)))
    assert swapped_colours(np.full(50, np.nan)) == ""
    # Nine of nineteen are not most of them.
    assert swapped_colours(np.r_[np.full(9, -0.2), np.full(10, 0.2)]) == ""
    assert swapped_colours(np.r_[np.full(10, -0.2), np.full(9, 0.2)])


def test_a_slide_and_a_folder_are_told(tissue: np.ndarray, tmp_path: Path) -> None:
    for name, pixels in (("own", tissue), ("swapped", np.ascontiguousarray(tissue[..., ::-1]))):
        slide = write_slide(tmp_path / f"{name}.tif", pixels)
        (tmp_path / name).mkdir()
        for i in range(20):
            y, x = 64 * (i // 5), 64 * (i % 5)
            patch = Image.fromarray(pixels[y : y + 64, x : x + 64])
            patch.save(tmp_path / name / f"{i}.png")
        for table in (
            rl2qc.filter_slide(slide, BrightnessModel(), alpha=0.01),
            rl2qc.filter_patches(tmp_path / name, BrightnessModel(), alpha=0.01),
        ):
            told = any("red and blue are swapped" in said for said in table.warnings)
            assert told == ("colours look wrong" in table.flags) == (name == "swapped")
            if told:
                assert table.verdict.word == "look"
                assert "red and blue" in table.verdict.why

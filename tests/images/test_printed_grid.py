"""What a printed grid is, and what is none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rl2qc.images.printed_grid import without_grid
from rl2qc.synthetic.backgrounds import BACKGROUNDS
from rl2qc.synthetic.odd_backgrounds import ODD_BACKGROUNDS
from rl2qc.synthetic.sibling_backgrounds import SIBLINGS

ALL = {**BACKGROUNDS, **SIBLINGS, **ODD_BACKGROUNDS}


def everywhere(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.ones(rgb.shape[:2], np.bool_)


@pytest.mark.parametrize("name", [name for name in ALL if "grid" not in name])
def test_nothing_else_is_changed(name: str) -> None:
    rgb = ALL[name](np.random.default_rng(5)).rgb
    assert without_grid(rgb, everywhere(rgb)) is rgb


@pytest.mark.parametrize("lines", ["across", "down"])
def test_lines_of_one_direction_are_no_grid(lines: str, rng: np.random.Generator) -> None:
    rgb = np.full((300, 400, 3), 230, np.uint8)
    rgb[::20] = 90
    rgb = np.ascontiguousarray(rgb if lines == "across" else rgb.transpose(1, 0, 2))
    assert without_grid(rgb, everywhere(rgb)) is rgb


@pytest.mark.parametrize("wide", [1, 2, 3])
def test_the_picture_below_comes_back(wide: int, rng: np.random.Generator) -> None:
    plain = rng.normal(235, 2, (300, 400, 3))
    rgb = plain.copy()
    y, x = np.mgrid[:300, :400]
    rgb[((y + 7) % 30 < wide) | ((x + 7) % 30 < wide)] *= (0.4, 0.5, 0.9)
    rgb = rgb.astype(np.uint8)
    found = without_grid(rgb, everywhere(rgb)).astype(float)
    assert np.abs(found - plain).mean() < 3
    assert (found > 220).mean() > 0.995
    assert found.std() == pytest.approx(plain.std(), rel=0.2)


def test_what_was_not_scanned_holds_no_lines(rng: np.random.Generator) -> None:
    rgb = rng.normal(235, 2, (300, 400, 3)).astype(np.uint8)
    rgb[::20] = rgb[:, ::20] = 0
    assert without_grid(rgb, rgb.max(axis=2) > 0) is rgb

"""Drawn backgrounds: what their truth says, and what a seed fixes."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.synthetic.backgrounds import BACKGROUNDS, draw_background
from rl2qc.synthetic.glass import Scene
from rl2qc.synthetic.odd_backgrounds import ODD_BACKGROUNDS
from rl2qc.synthetic.sibling_backgrounds import SIBLINGS


def test_there_are_34_and_siblings_of_other_names() -> None:
    assert len(BACKGROUNDS) == 34
    assert not BACKGROUNDS.keys() & (SIBLINGS.keys() | ODD_BACKGROUNDS.keys())
    assert not SIBLINGS.keys() & ODD_BACKGROUNDS.keys()


@pytest.mark.parametrize("name", ["two sections, one pale", "yellow glass", "vignette"])
def test_tissue_absorbs_light_and_glass_does_not(name: str) -> None:
    drawn = draw_background(name, seed=2)
    light = drawn.rgb.mean(axis=2)
    assert 0.05 < drawn.truth.mean() < 0.6
    assert np.median(light[drawn.truth]) < np.median(light[~drawn.truth])


def test_seeds_fix_everything() -> None:
    first, again, other = (draw_background("coverslip edge", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    assert (first.rgb != other.rgb).any()


def test_what_covers_tissue_hides_it_from_the_truth_and_a_pen_does_not() -> None:
    def drawn() -> Scene:
        return Scene(200, 300, np.random.default_rng(0)).section((0.5, 0.5), 0.3)

    whole = drawn().truth
    holder = drawn()
    covered = holder.replace(holder.x < 0.5, (20, 20, 20)).shoot().truth
    assert not covered[:, :149].any()
    assert covered.sum() < whole.sum()
    np.testing.assert_array_equal(drawn().pen([[(0, 0.5), (1, 0.5)]], 9, (0, 0, 0)).truth, whole)


def test_an_unknown_stain() -> None:
    with pytest.raises(ValueError, match="he, ihc, blue, eosin or fat"):
        Scene(50, 50, np.random.default_rng(0)).section((0.5, 0.5), 0.3, stain="silver")

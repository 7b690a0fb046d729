"""The drawings that teach: what their masks say, and what a generator fixes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from rl2qc.synthetic.teaching import CLASSES, TEACHING
from rl2qc.synthetic.teaching_cells import floater
from rl2qc.synthetic.teaching_folds import fold_band
from rl2qc.synthetic.teaching_section import tear, understained
from rl2qc.synthetic.tissue import synthetic_tissue

every = pytest.mark.parametrize("name", TEACHING)


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return synthetic_tissue(112, 136, np.random.default_rng(0))


@every
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_only_pixels_of_the_mask_change_and_most_of_them_do(
    name: str, seed: int, image: NDArray[np.uint8]
) -> None:
    damaged = TEACHING[name].draw(image, 0.3, np.random.default_rng(seed))
    changed = (damaged.image != image).any(2)
    assert damaged.image.shape == image.shape
    assert damaged.image.dtype == np.uint8
    assert damaged.mask.dtype == np.bool_
    assert not (changed & ~damaged.mask).any()
    assert changed[damaged.mask].mean() > 0.5


@every
def test_equal_generators_give_equal_drawings(name: str, image: NDArray[np.uint8]) -> None:
    first, again = (TEACHING[name].draw(image, 0.2, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)


@every
def test_a_larger_area_covers_what_a_smaller_one_covers(
    name: str, image: NDArray[np.uint8]
) -> None:
    masks = [
        TEACHING[name].draw(image, area, np.random.default_rng(6)).mask
        for area in (0.02, 0.1, 0.4, 1.0)
    ]
    for small, large in pairwise(masks):
        assert not (small & ~large).any()
    assert masks[-1].all()


@every
@pytest.mark.parametrize("area", [0.05, 0.25])
def test_the_mask_covers_the_area_asked_for(
    name: str, area: float, image: NDArray[np.uint8]
) -> None:
    damaged = TEACHING[name].draw(image, area, np.random.default_rng(7))
    assert damaged.mask.mean() == pytest.approx(area, abs=1 / image[..., 0].size)


@every
def test_no_area_changes_nothing_and_the_image_stays_as_it_is(
    name: str, image: NDArray[np.uint8]
) -> None:
    before = image.copy()
    damaged = TEACHING[name].draw(image, 0.0, np.random.default_rng(8))
    TEACHING[name].draw(image, 0.5, np.random.default_rng(8))
    np.testing.assert_array_equal(damaged.image, image)
    np.testing.assert_array_equal(image, before)
    assert not np.shares_memory(damaged.image, image)


@every
@pytest.mark.parametrize("shape", [(16, 16), (17, 90), (90, 17)])
def test_small_and_narrow_images_are_drawn_on(name: str, shape: tuple[int, int]) -> None:
    small = np.full((*shape, 3), 170, np.uint8)
    assert TEACHING[name].draw(small, 0.2, np.random.default_rng(9)).image.shape == small.shape


@every
def test_bad_input_is_refused(name: str, image: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="uint8"):
        TEACHING[name].draw(image[..., 0], 0.2, rng)
    with pytest.raises(ValueError, match="between 0 and 1"):
        TEACHING[name].draw(image, 1.5, rng)


def test_every_drawing_has_a_class_and_a_range_of_areas() -> None:
    for lesson in TEACHING.values():
        assert lesson.kind in CLASSES
        assert 0 < lesson.areas[0] < lesson.areas[1] <= 1
    assert {lesson.kind for lesson in TEACHING.values()} == set(CLASSES) - {"noise"}


def test_folds_darken_tears_and_weak_stain_brighten(image: NDArray[np.uint8]) -> None:
    for draw, sign in ((fold_band, -1), (tear, 1), (understained, 1)):
        damaged = draw(image, 0.3, np.random.default_rng(1))
        change = damaged.image[damaged.mask].astype(int) - image[damaged.mask]
        assert sign * change.mean() > 5


def test_a_floater_shows_its_donor(image: NDArray[np.uint8]) -> None:
    green = np.zeros_like(image)
    green[..., 1] = 90
    damaged = floater(image, 0.2, np.random.default_rng(2), green)
    shown = damaged.image[damaged.mask].mean(0)
    assert shown[1] > shown[0]
    assert shown[1] > shown[2]

"""Glass, its light and what is even besides, on drawn scenes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rl2qc.images.glass import find_glass
from rl2qc.synthetic.backgrounds import draw_background
from rl2qc.synthetic.glass import Scene


def scene(seed: int = 0, glass: tuple[int, int, int] = (243, 242, 244)) -> Scene:
    return Scene(300, 400, np.random.default_rng(seed), glass=glass)


def everywhere(rgb: np.ndarray) -> np.ndarray:
    return np.ones(rgb.shape[:2], np.bool_)


@pytest.mark.parametrize("glass", [(243, 242, 244), (150, 150, 152), (236, 214, 170)])
def test_glass_is_empty_and_tissue_is_not(glass: tuple[int, int, int]) -> None:
    drawn = scene(glass=glass).section((0.5, 0.5), 0.3).shoot()
    found = find_glass(drawn.rgb, everywhere(drawn.rgb))
    assert found is not None
    assert found.colour == pytest.approx(glass, abs=2)
    assert not found.dark
    assert found.empty[~drawn.truth].mean() > 0.9
    assert found.empty[drawn.truth].mean() < 0.02


def test_light_follows_the_lamp_below_tissue_as_well() -> None:
    drawn = scene(3).section((0.5, 0.5), 0.3)
    lamp = 1 - 0.25 * drawn.x
    drawn.light *= lamp[..., None]
    shot = drawn.shoot()
    found = find_glass(shot.rgb, everywhere(shot.rgb))
    assert found is not None
    expected = lamp[..., None] * np.array((243, 242, 244))
    assert np.abs(found.light - expected)[shot.truth].max() < 8
    assert np.abs(found.light - expected)[~shot.truth].mean() < 2


def test_frames_are_empty_and_no_glass() -> None:
    drawn = scene(1).section((0.5, 0.5), 0.25)
    frame = drawn.frame(0.1)
    shot = drawn.replace(frame, (20, 20, 22)).shoot()
    found = find_glass(shot.rgb, everywhere(shot.rgb))
    assert found is not None
    assert found.empty[frame].mean() > 0.5
    assert not found.clear[frame].any()
    assert min(found.colour) > 235


def test_a_dark_background_is_told_from_glass() -> None:
    drawn = draw_background("dark background")
    found = find_glass(drawn.rgb, everywhere(drawn.rgb))
    assert found is not None
    assert found.dark


def test_where_nothing_is_even_there_is_no_glass() -> None:
    drawn = draw_background("tissue everywhere")
    assert find_glass(drawn.rgb, everywhere(drawn.rgb)) is None
    assert find_glass(drawn.rgb, np.zeros(drawn.rgb.shape[:2], np.bool_)) is None
    # A stain that is even, as in drawn slides, is no glass either.
    flat = np.full((60, 80, 3), (170, 90, 150), np.uint8)
    assert find_glass(flat, everywhere(flat)) is None


def test_a_pattern_as_fine_as_the_pixels_is_not_even() -> None:
    # Chequers of 8 px, on overviews of which a pixel is 3.98, 4 or 4.02: how the two fall on each
    # other must not decide whether a slide is glass.
    for side in range(504, 521):
        chequers = 90 + 40 * ((np.indices((side, side)) // 8).sum(0) % 2)
        whole = np.repeat(chequers[..., None].astype(np.uint8), 3, axis=2)
        seen = np.asarray(Image.fromarray(whole).resize((side // 4,) * 2, Image.Resampling.BOX))
        assert find_glass(seen, everywhere(seen)) is None, side

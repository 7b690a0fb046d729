"""Ladders against scipy and against what their severities say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rl2qc.images.degrade import LADDERS, degrade


@pytest.fixture
def image(rng):
    smooth = gaussian_filter(rng.normal(size=(128, 128, 3)), (2, 2, 0))
    return (128 + 40 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", LADDERS["blur"].severities)
def test_blur_is_a_gaussian_of_that_sigma(image, sigma):
    expected = gaussian_filter(image.astype(float), (sigma, sigma, 0))
    degraded = degrade(image, "blur", sigma, np.random.default_rng(0))
    inner = slice(20, -20)
    assert np.abs(degraded - expected)[inner, inner].max() < 1.5


@pytest.mark.parametrize("sigma", [0.05, 0.1])
def test_noise_has_that_standard_deviation(sigma):
    grey = np.full((256, 256, 3), 128, np.uint8)
    noise = degrade(grey, "noise", sigma, np.random.default_rng(0)) - 128.0
    assert noise.std() / 255 == pytest.approx(sigma, rel=0.05)
    assert abs(noise.mean()) < 1


@pytest.mark.parametrize("share", LADDERS["salt_and_pepper"].severities)
def test_salt_and_pepper_hits_that_share(share):
    grey = np.full((256, 256, 3), 128, np.uint8)
    degraded = degrade(grey, "salt_and_pepper", share, np.random.default_rng(0))
    assert (degraded != 128).any(2).mean() == pytest.approx(share, rel=0.05)
    assert (degraded == 0).all(2).mean() == pytest.approx(share / 2, rel=0.1)


def test_rectangles_hold_at_most_that_share():
    white = np.full((256, 256, 3), 255, np.uint8)
    for share in LADDERS["rectangles"].severities:
        black = [
            (degrade(white, "rectangles", share, np.random.default_rng(s)) == 0).mean()
            for s in range(20)
        ]
        # Overlap can only lose area.
        assert max(black) <= share * 1.05
        assert np.mean(black) > 0.6 * share


@pytest.mark.parametrize("name", LADDERS)
def test_every_step_is_farther_from_the_original(image, name):
    ladder = LADDERS[name]
    errors = [
        np.mean(
            [
                np.abs(degrade(image, name, s, np.random.default_rng(r)).astype(float) - image)
                for r in range(4)
            ]
        )
        for s in ladder.severities
    ]
    assert errors == sorted(errors)
    assert errors[0] > 0


@pytest.mark.parametrize("name", LADDERS)
def test_equal_generators_give_equal_images(image, name):
    severity = LADDERS[name].severities[1]
    before = image.copy()
    a, b = (degrade(image, name, severity, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(a, b)
    assert np.array_equal(image, before)


def test_an_unknown_degradation_is_refused(image):
    with pytest.raises(ValueError, match="unknown degradation 'rain'; choose from blur"):
        degrade(image, "rain", 1, np.random.default_rng(0))

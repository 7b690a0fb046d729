"""Degradations against scipy and against what their severities say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from rl2qc.synthetic.corruptions import CORRUPTIONS, corrupt


@pytest.fixture
def image(rng):
    smooth = gaussian_filter(rng.normal(size=(128, 128, 3)), (2, 2, 0))
    return (128 + 40 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", CORRUPTIONS.get("blur").severities)
def test_blur_is_a_gaussian_of_that_sigma(image, sigma):
    expected = gaussian_filter(image.astype(float), (sigma, sigma, 0))
    degraded = corrupt(image, "blur", sigma, np.random.default_rng(0))
    inner = slice(20, -20)
    assert np.abs(degraded - expected)[inner, inner].max() < 1.5


@pytest.mark.parametrize("sigma", [0.05, 0.1])
def test_noise_has_that_standard_deviation(sigma):
    grey = np.full((256, 256, 3), 128, np.uint8)
    noise = corrupt(grey, "noise", sigma, np.random.default_rng(0)) - 128.0
    assert noise.std() / 255 == pytest.approx(sigma, rel=0.05)
    assert abs(noise.mean()) < 1


@pytest.mark.parametrize("share", CORRUPTIONS.get("salt_and_pepper").severities)
def test_salt_and_pepper_hits_that_share(share):
    grey = np.full((256, 256, 3), 128, np.uint8)
    degraded = corrupt(grey, "salt_and_pepper", share, np.random.default_rng(0))
    assert (degraded != 128).any(2).mean() == pytest.approx(share, rel=0.05)
    assert (degraded == 0).all(2).mean() == pytest.approx(share / 2, rel=0.1)


def test_rectangles_hold_at_most_that_share():
    white = np.full((256, 256, 3), 255, np.uint8)
    for share in CORRUPTIONS.get("rectangles").severities:
        black = [
            (corrupt(white, "rectangles", share, np.random.default_rng(s)) == 0).mean()
            for s in range(20)
        ]
        # Overlap can only lose area.
        assert max(black) <= share * 1.05
        assert np.mean(black) > 0.6 * share


def edge_variance(name, severity, axis, seed=0):
    """Variance along ``axis``, px squared, of the kernel that turned a sharp edge into this."""
    edge = np.zeros((96, 96, 3), np.uint8)
    edge[:, 48:] = 255
    edge = edge if axis == "x" else edge.transpose(1, 0, 2).copy()
    soft = corrupt(edge, name, severity, np.random.default_rng(seed)).astype(float)
    profile = (soft if axis == "x" else soft.transpose(1, 0, 2))[48, :, 0]
    weights = np.diff(profile) / 255
    assert weights.sum() == pytest.approx(1)
    at = np.arange(len(weights))
    return float((weights * at**2).sum() - (weights * at).sum() ** 2)


@pytest.mark.parametrize("radius", CORRUPTIONS.get("defocus").severities)
def test_defocus_is_a_disc_of_that_radius(radius):
    x, y = (edge_variance("defocus", radius, axis) for axis in "xy")
    assert x == pytest.approx(y, rel=0.01)
    # The second moments of a disc add up to half its squared radius; a pixel adds a little.
    assert radius**2 / 2 < x + y < radius**2 / 2 + 0.4


@pytest.mark.parametrize("length", CORRUPTIONS.get("motion").severities)
@pytest.mark.parametrize("seed", range(4))
def test_motion_is_a_line_of_that_length_in_any_direction(length, seed):
    total = sum(edge_variance("motion", length, axis, seed) for axis in "xy")
    # That of a line is a twelfth of its squared length; sharing among pixels adds up to 1/2.
    assert length**2 / 12 - 0.05 < total < length**2 / 12 + 0.5


def test_motion_has_many_directions():
    shares = [edge_variance("motion", 12, "x", seed) / 12 for seed in range(12)]
    assert min(shares) < 0.3
    assert max(shares) > 0.7


def test_downscaling_loses_what_is_finer_than_the_grid_and_nothing_else():
    rng = np.random.default_rng(0)
    board = np.indices((64, 64)).sum(0) % 2 * 200
    board = np.repeat(board[..., None], 3, 2).astype(np.uint8)
    assert (corrupt(board, "downscale", 2, rng) == 100).all()
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 64, 0).repeat(3, 2)
    inner = slice(8, -8)
    error = np.abs(corrupt(ramp, "downscale", 4, rng).astype(int) - ramp)[inner, inner]
    assert error.max() <= 2


@pytest.mark.parametrize("change", CORRUPTIONS.get("stain").severities)
def test_stains_get_denser_and_paler_by_that_much(change):
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    amounts = np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.3, 0.4]])

    def paint(density):
        return 255 * np.exp(-density @ stains)

    image = np.rint(paint(amounts)).astype(np.uint8)[None]
    shifted = corrupt(image, "stain", change, np.random.default_rng(0))
    expected = paint(amounts * [1 + change, 1 / (1 + change)])
    assert np.abs(shifted[0] - expected).max() < 1.6
    assert (shifted[0, 0] == 255).all()  # glass

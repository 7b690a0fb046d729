"""Sliced Wasserstein distances against SciPy's pyramid filters and 1-D distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve, gaussian_filter
from scipy.special import gammaln
from scipy.stats import wasserstein_distance

from rl2qc.metrics import sliced
from rl2qc.metrics.sliced import swd


def images(rng, n=4, height=40, width=48):
    """Smooth coloured noise that stays clear of 0 and 255."""
    noise = gaussian_filter(rng.normal(size=(n, height, width, 3)), (0, 2, 2, 0))
    return np.clip(128 + 150 * noise, 60, 195).astype(np.uint8)


def pyramid_of_karras(image, min_size):
    """The reference pyramid: 2-D convolutions in float64, even sizes only."""
    taps = np.array([1.0, 4, 6, 4, 1])
    kernel = (np.outer(taps, taps) / 256)[:, :, None]
    levels, rest = [], image.astype(float)
    while min(rest.shape[:2]) // 2 >= min_size:
        half = convolve(rest, kernel, mode="mirror")[::2, ::2]
        expanded = np.zeros_like(rest)
        expanded[::2, ::2] = half
        levels.append(rest - convolve(expanded, 4 * kernel, mode="mirror"))
        rest = half
    return [*levels, rest]


def test_pyramid_is_the_published_one(rng):
    image = images(rng, 1, 64, 96)[0]
    ours, reference = sliced._pyramid(image, 16), pyramid_of_karras(image, 16)
    assert [level.shape for level in ours] == [(64, 96, 3), (32, 48, 3), (16, 24, 3)]
    for a, b in zip(ours, reference, strict=True):
        assert a == pytest.approx(b, abs=1e-3)


@pytest.mark.parametrize("shape", [(33, 47), (31, 31), (16, 90), (35, 36)])
def test_pyramid_of_odd_sizes_holds_the_whole_image(shape, rng):
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    levels = sliced._pyramid(image, 16)
    assert min(levels[-1].shape[:2]) in range(16, 32)
    rest = levels[-1]
    for level in levels[-2::-1]:
        expanded = np.zeros_like(level)
        expanded[::2, ::2] = 4 * rest
        rest = level + sliced._blur(expanded)
    assert rest == pytest.approx(image.astype(float), abs=1e-3)


def test_level_sizes():
    def sizes(side, **options):
        blank = np.zeros((1, side, side, 3), np.uint8)
        return swd(blank, blank, n_projections=1, patches_per_image=1, **options).level_sizes

    assert sizes(256) == (256, 128, 64, 32, 16)
    assert sizes(224) == (224, 112, 56, 28)
    assert sizes(16) == (16,)
    assert sizes(31) == (31, 16)
    assert sizes(128, min_size=40) == (128, 64)
    assert sizes(8, min_size=1, patch_size=1) == (8, 4, 2)


@given(n=st.integers(1, 40), m=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_projections_are_compared_as_scipy_does(n, m, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=(k, 5)).astype(np.float32) for k in (n, m))
    value = sliced._sliced(a, b, 40, np.random.default_rng(seed))
    directions = np.random.default_rng(seed).normal(size=(40, 5))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = np.mean([wasserstein_distance(a @ d, b @ d) for d in directions])
    assert value == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_whole_pictures_as_patches_have_a_closed_form(rng):
    # One place for a 16 px patch, one image a set: the distance along a direction is that of two
    # points, whose mean over directions is |a - b| Gamma(d / 2) / (sqrt(pi) Gamma((d + 1) / 2)).
    a, b = images(rng, 2, 16, 16)[:, None]
    options = {"patch_size": 16, "patches_per_image": 1, "n_projections": 20_000}
    result = swd(a, b, normalization="real", **options)
    std = a.std(axis=(0, 1, 2))
    d = 16 * 16 * 3
    ratio = np.exp(gammaln(d / 2) - gammaln((d + 1) / 2)) / np.sqrt(np.pi)
    expected = np.linalg.norm((a.astype(float) - b) / std) * ratio
    assert result.value == pytest.approx(expected, rel=0.02)


def test_patches_are_cut_out_of_their_level(rng):
    pictures = images(rng, 3, 20, 24)
    (patches,) = sliced.descriptors(pictures, 16, 7, 50, np.random.default_rng(0))
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (7, 7), axis=(1, 2))
    for i, of_image in enumerate(np.split(patches, 3)):
        places = {w.tobytes() for row in windows[i].astype(np.float32) for w in row}
        assert all(patch.tobytes() in places for patch in of_image)


def test_standardised_by_channel(rng):
    a, b = (rng.normal(5 * i, 1 + i, size=(30, 3, 7, 7)) for i in range(2))
    own_a, own_b = (x.reshape(30, 3, 49) for x in sliced._standardised(a, b, "each"))
    for own in (own_a, own_b):
        assert own.mean(axis=(0, 2)) == pytest.approx(0, abs=1e-5)
        assert own.std(axis=(0, 2)) == pytest.approx(1, abs=1e-5)
    mean, std = (f(a, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.std))
    expected = ((b - mean) / std).reshape(30, -1)
    assert sliced._standardised(a, b, "real")[1] == pytest.approx(expected, abs=1e-5)


def test_result_is_the_mean_over_levels(rng):
    real, generated = images(rng), images(rng, 3)
    result = swd(real, generated, n_projections=16, patches_per_image=20)
    assert result.value == pytest.approx(np.mean(result.per_level)) == float(result)
    assert len(result.per_level) == len(result.level_sizes) == 2
    assert (result.n_real, result.n_generated) == (4, 3)
    assert (result.n_projections, result.patches_per_image) == (16, 20)


@pytest.mark.parametrize("normalization", ["each", "real"])
def test_identical_sets_score_zero(normalization, rng):
    x = images(rng)
    assert swd(x, x, n_projections=8, normalization=normalization).value == 0
    blank = np.full((2, 32, 32, 3), 200, np.uint8)
    assert swd(blank, blank, n_projections=8, normalization=normalization).value == 0


def test_only_the_real_normalization_sees_a_common_shift_of_colour(rng):
    x = images(rng)
    shifted = x + np.array([30, 0, 10], np.uint8)
    options = {"n_projections": 32, "patches_per_image": 64}
    assert swd(x, shifted, **options).value < 1e-4
    seen = swd(x, shifted, normalization="real", **options)
    assert seen.per_level[0] < 1e-3  # a constant has no fine detail
    assert seen.per_level[-1] > 0.1


def test_blur_shows_most_at_the_finest_level(rng):
    sharp = rng.integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
    blurred = gaussian_filter(sharp, (0, 1, 1, 0))
    levels = swd(sharp, blurred, n_projections=64, normalization="real").per_level
    assert levels[0] > levels[1] > levels[2]


def test_symmetric_for_own_normalization(rng):
    a, b = images(rng), images(rng, 5)
    options = {"n_projections": 16, "patches_per_image": 32}
    assert swd(a, b, **options).value == pytest.approx(swd(b, a, **options).value, rel=1e-4)


def test_seeded(rng):
    a, b = images(rng), images(rng)
    options = {"n_projections": 8, "patches_per_image": 8}
    assert swd(a, b, seed=1, **options) == swd(a, b, seed=np.random.default_rng(1), **options)
    assert swd(a, b, seed=1, **options).value != swd(a, b, seed=2, **options).value


GOOD = np.zeros((2, 20, 20, 3), np.uint8)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD[:0], "at least 1 image"),
        (GOOD[0], "shape"),
        (GOOD[..., :1], "shape"),
        (GOOD[..., 0], "shape"),
        (GOOD.astype(float), "uint8"),
        (np.full(GOOD.shape, np.nan), "uint8"),
        (np.full(GOOD.shape, np.inf), "uint8"),
        (GOOD[:, :15], "at least 16 px a side, got 15 x 20"),
        (GOOD[:, :18], "one size"),
        ([GOOD[0], GOOD[0, :18]], "one size"),
    ],
)
def test_bad_images(bad, message):
    with pytest.raises(ValueError, match=message):
        swd(bad, GOOD)
    with pytest.raises(ValueError, match=message):
        swd(GOOD, bad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_projections": 0}, "at least 1"),
        ({"n_projections": 8.0}, "n_projections must be a whole number"),
        ({"patches_per_image": 8.0}, "patches_per_image must be a whole number"),
        ({"patch_size": 7.0}, "patch_size must be a whole number"),
        ({"min_size": 16.5}, "min_size must be a whole number"),
        ({"patches_per_image": 0}, "at least 1"),
        ({"patch_size": 0}, "at least 1"),
        ({"min_size": 6}, "at least the patch_size of 7"),
        ({"normalization": "both"}, "normalization"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        swd(GOOD, GOOD, **options)

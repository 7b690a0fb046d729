"""MS-SSIM against the definition in loops and closed forms; the mean over pairs by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl2qc.metrics.ms_ssim import _pairs, ms_ssim, msssim_diversity

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def by_loops(a, b, n_scales):
    """Wang et al. 2003, one window position at a time, variances about their own means."""
    grid = np.arange(11) - 5
    window = np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * 1.5**2))
    window /= window.sum()
    weights = np.array(WEIGHTS[:n_scales]) / sum(WEIGHTS[:n_scales])
    scores = []
    for channel in range(3):
        x, y = a[..., channel].astype(float), b[..., channel].astype(float)
        score = 1.0
        for scale, weight in enumerate(weights):
            terms = []
            for i in range(x.shape[0] - 10):
                for j in range(x.shape[1] - 10):
                    p, q = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
                    mp, mq = np.sum(window * p), np.sum(window * q)
                    vp, vq = np.sum(window * (p - mp) ** 2), np.sum(window * (q - mq) ** 2)
                    cov = np.sum(window * (p - mp) * (q - mq))
                    term = (2 * cov + C2) / (vp + vq + C2)
                    if scale == n_scales - 1:
                        term *= (2 * mp * mq + C1) / (mp**2 + mq**2 + C1)
                    terms.append(term)
            score *= max(np.mean(terms), 0) ** weight
            x, y = (
                np.array(
                    [
                        [z[i : i + 2, j : j + 2].mean() for j in range(0, z.shape[1], 2)]
                        for i in range(0, z.shape[0], 2)
                    ]
                )
                for z in (x, y)
            )
        scores.append(score)
    return np.mean(scores)


def pair(rng, height, width):
    a = rng.integers(0, 256, (height, width, 3))
    b = np.clip(0.8 * a + rng.normal(20, 20, a.shape), 0, 255)
    return a.astype(np.uint8), b.astype(np.uint8)


@pytest.mark.parametrize(
    ("shape", "n_scales"), [((24, 24), 2), ((23, 29), 2), ((11, 12), 1), ((42, 41), 3)]
)
def test_definition(shape, n_scales, rng):
    a, b = pair(rng, *shape)
    assert 0.2 < ms_ssim(a, b) < 0.99
    assert ms_ssim(a, b) == pytest.approx(by_loops(a, b, n_scales), rel=1e-9)


def test_constant_images_have_a_closed_form():
    a, b = (np.full((176, 176, 3), v, np.uint8) for v in (40, 200))
    luminance = (2 * 40 * 200 + C1) / (40**2 + 200**2 + C1)
    assert ms_ssim(a, b) == pytest.approx(luminance ** WEIGHTS[-1], rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_properties(seed):
    a, b = pair(np.random.default_rng(seed), 22, 26)
    value = ms_ssim(a, b)
    assert 0 <= value < 1
    assert ms_ssim(a, a) == 1
    close = pytest.approx(value, rel=1e-9)
    assert ms_ssim(b, a) == close
    assert ms_ssim(a[::-1], b[::-1]) == close
    assert ms_ssim(a[..., ::-1], b[..., ::-1]) == close


def test_an_inverted_image_scores_zero(rng):
    a = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
    assert ms_ssim(a, 255 - a) == 0


@pytest.mark.parametrize(
    ("side", "n_scales"),
    [(11, 1), (20, 1), (21, 2), (40, 2), (41, 3), (81, 4), (128, 4), (160, 4), (161, 5), (256, 5)],
)
def test_scales_adapt_to_the_size(side, n_scales):
    images = np.zeros((2, side, side, 3), np.uint8)
    result = msssim_diversity(images)
    assert (result.value, result.n_scales) == (1, n_scales)
    if n_scales < 5:
        assert f"{n_scales} of 5 scales" in result.warnings[0]
    else:
        assert result.warnings == ()


def test_diversity_is_the_mean_over_all_pairs(rng):
    images = rng.integers(0, 256, (5, 24, 24, 3), dtype=np.uint8)
    images[1] = images[0] // 2
    values = [ms_ssim(a, b) for a, b in itertools.combinations(images, 2)]
    result = msssim_diversity(images)
    assert result.value == pytest.approx(np.mean(values)) == float(result)
    assert result.std == pytest.approx(np.std(values))
    assert (result.n, result.n_pairs) == (5, 10)


def test_a_collapsed_set_scores_higher_than_a_varied_one(rng):
    varied = rng.integers(0, 256, (6, 24, 24, 3), dtype=np.uint8)
    assert msssim_diversity(varied[[0, 0, 0, 1, 1, 1]]).value > msssim_diversity(varied).value
    assert msssim_diversity(varied[[0, 0, 0]]).value == 1


@pytest.mark.parametrize("n", [2, 3, 7, 60])
def test_all_pairs_where_as_many_are_asked_for(n):
    pairs = _pairs(n, n * n, np.random.default_rng(0))
    assert sorted(pairs) == list(itertools.combinations(range(n), 2))


@given(n=st.integers(2, 2_000_000), count=st.integers(1, 50), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_pairs_are_distinct_and_of_two_images(n, count, seed):
    pairs = _pairs(n, count, np.random.default_rng(seed))
    assert len(set(pairs)) == len(pairs) == min(count, n * (n - 1) // 2)
    assert all(0 <= i < j < n for i, j in pairs)


def test_seeded(rng):
    images = rng.integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)
    first = msssim_diversity(images, n_pairs=5, seed=1)
    assert first == msssim_diversity(images, n_pairs=5, seed=np.random.default_rng(1))
    assert first.value != msssim_diversity(images, n_pairs=5, seed=2).value


GOOD = np.zeros((3, 24, 24, 3), np.uint8)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (GOOD[:1], {}, "at least 2 images"),
        (GOOD[:0], {}, "at least 2 images"),
        (GOOD[0], {}, "shape"),
        (GOOD[..., :1], {}, "shape"),
        (np.full(GOOD.shape, np.nan), {}, "uint8"),
        (np.full(GOOD.shape, np.inf), {}, "uint8"),
        (GOOD[:, :10], {}, "at least 11 px"),
        ([GOOD[0], GOOD[0, :20]], {}, "one size"),
        (GOOD, {"n_pairs": 0}, "n_pairs"),
        (GOOD, {"n_pairs": 2.5}, "n_pairs must be a whole number"),
        (GOOD, {"n_scales": 1.0}, "n_scales must be a whole number"),
        (GOOD, {"n_scales": 3}, "between 1 and 2"),
        (GOOD, {"n_scales": 0}, "between 1 and 2"),
    ],
)
def test_bad_sets(images, options, message):
    with pytest.raises(ValueError, match=message):
        msssim_diversity(images, **options)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (GOOD[0], GOOD[0, :20], "one size"),
        (GOOD[0].astype(float), GOOD[0], "image_a must be uint8"),
        (GOOD[0], GOOD[0].astype(float), "image_b must be uint8"),
        (GOOD, GOOD[0], "image_a must have shape"),
    ],
)
def test_bad_pairs(a, b, message):
    with pytest.raises(ValueError, match=message):
        ms_ssim(a, b)

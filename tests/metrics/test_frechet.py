"""Frechet distances against matrix square roots, closed forms and each other's routes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from rl2qc.metrics.frechet import fid, fid_infinity, r_fid
from rl2qc.metrics.moments import Moments


def by_sqrtm(a, b):
    """The definition, with SciPy's general matrix square root of the covariances' product."""
    s, t = np.cov(a.T), np.cov(b.T)
    root = sqrtm(s @ t).real
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(s + t - 2 * root)


def by_svd(a, b):
    """Nuclear norm from a full singular value decomposition, whatever the rank."""
    x, y = ((m - m.mean(0)) / np.sqrt(len(m) - 1) for m in (a, b))
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.sum(x**2) + np.sum(y**2) - 2 * cross


def correlated(rng, n, dim, shift=0.0):
    return rng.normal(size=(n, dim)) @ rng.normal(size=(dim, dim)) + shift


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(200, 200), (300, 60), (60, 300)])
def test_definition(dtype, sizes, rng):
    a, b = (correlated(rng, n, 12, i).astype(dtype) for i, n in enumerate(sizes))
    result = fid(a, b)
    expected = by_sqrtm(a.astype(float), b.astype(float))
    assert result.value == pytest.approx(expected, rel=1e-6)
    assert result.value == result.mean_term + result.covariance_term == float(result)
    assert (result.n_real, result.n_generated, result.dimension) == (*sizes, 12)
    assert result.warnings == ()


@pytest.mark.parametrize("sizes", [(20, 20), (20, 50), (50, 20), (3, 200), (40, 41), (70, 70)])
def test_fewer_images_than_dimensions(sizes, rng):
    a, b = (correlated(rng, n, 40, i) for i, n in enumerate(sizes))
    assert fid(a, b).value == pytest.approx(by_svd(a, b), rel=1e-8)


def test_routes_agree_when_constant_dimensions_are_added(rng):
    a, b = correlated(rng, 50, 8), correlated(rng, 60, 8, 1)
    padded = (np.hstack([x, np.zeros((len(x), 100))]) for x in (a, b))
    assert fid(*padded).value == pytest.approx(fid(a, b).value, rel=1e-9)


def test_closed_form_of_commuting_covariances(rng):
    s, t, shift = rng.uniform(0, 3, size=(3, 30))
    s[:10] = 0  # singular
    expected = np.sum(shift**2) + np.sum((np.sqrt(s) - np.sqrt(t)) ** 2)
    rotation, _ = np.linalg.qr(rng.normal(size=(30, 30)))
    real = Moments(101, np.zeros(30), 100 * (rotation * s) @ rotation.T)
    generated = Moments(51, shift, 50 * (rotation * t) @ rotation.T)
    # Zeros that are rounded to 1e-16 have roots of 1e-8.
    assert fid(real, generated).value == pytest.approx(expected, rel=1e-6)


def test_gaussians_converge_to_their_distance(rng):
    a, b = rng.normal(size=(40_000, 3)), rng.normal(2, 3, size=(40_000, 3))
    assert fid(a, b).value == pytest.approx(3 * 2**2 + 3 * (3 - 1) ** 2, rel=0.02)


@pytest.mark.parametrize("shape", [(200, 20), (20, 200), (100, 100), (2, 5), (5000, 4)])
def test_identical_sets_score_zero(shape, rng):
    x = correlated(rng, *shape, 1000.0)
    spread = np.cov(x.T).trace()
    assert fid(x, x).value <= 1e-7 * spread
    assert fid(x, rng.permutation(x)).value <= 1e-7 * spread


def test_rounding_never_makes_a_distance_negative(rng):
    residues = [fid(x, x[::-1]).covariance_term for x in rng.normal(size=(40, 9, 6))]
    assert min(residues) == 0


def test_repeated_rows_as_in_a_bootstrap(rng):
    for n, dim in ((30, 50), (70, 50)):
        x, y = correlated(rng, n, dim), correlated(rng, n, dim)
        a, b = x[rng.integers(n, size=n)], y[rng.integers(n, size=n)]
        assert fid(a, b).value == pytest.approx(by_svd(a, b), rel=1e-9)


def test_near_duplicates_lose_no_accuracy(rng):
    # Thirty-nine singular values at 1e-9 of the largest: their squares drown in rounding.
    a, b = (np.outer(np.arange(40.0), np.ones(60)) + 1e-8 * rng.normal(size=(40, 60)) for _ in "ab")
    assert fid(a, b).covariance_term == pytest.approx(by_svd(a, b), abs=1e-9 * np.var(a) * 60)


@given(
    n=st.integers(2, 30),
    m=st.integers(2, 30),
    dim=st.integers(1, 12),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_properties(n, m, dim, scale, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, dim)), rng.normal(0.5, 2, size=(m, dim))
    value = fid(a, b).value
    close = pytest.approx(value, rel=1e-6)
    assert value >= 0
    assert fid(b, a).value == close
    assert fid(a[::-1], b).value == close
    assert fid(a + 7, b + 7).value == close
    assert fid(scale * a, scale * b).value == pytest.approx(scale**2 * value, rel=1e-6)
    rotation, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
    assert fid(a @ rotation, b @ rotation).value == close


def test_moments_give_the_same_as_arrays(rng):
    a, b = correlated(rng, 90, 6), correlated(rng, 80, 6, 1)
    streamed = Moments.of(a[:40]).update(a[40:])
    assert fid(streamed, b).value == pytest.approx(fid(a, b).value, rel=1e-9)
    assert fid(a, Moments.of(b)).value == pytest.approx(fid(a, b).value, rel=1e-9)


def test_too_few_images_are_warned_of(rng):
    x = rng.normal(size=(50, 10))
    assert "10 images do not determine" in fid(x, x[:10]).warnings[0]
    assert fid(x, x[:11]).warnings == ()


def test_r_fid_is_the_floor_over_the_observed(rng):
    real, same = rng.normal(size=(400, 32)), rng.normal(size=(200, 32))
    alike, worse, worst = (r_fid(real, same + shift, n_splits=20) for shift in (0, 0.3, 1))
    assert 0.8 < alike.value < 1.25
    assert alike.value > worse.value > worst.value > 0
    assert worst.value == worst.floor / worst.observed
    assert worst.value == pytest.approx(1 - (worst.observed - worst.floor) / worst.observed)
    assert worst.observed - worst.floor == pytest.approx(32, rel=0.1)  # each dimension by 1
    assert (worst.n_real, worst.n_generated, worst.n_splits) == (200, 200, 20)
    assert r_fid(real, same, seed=1) == r_fid(real, same, seed=np.random.default_rng(1))
    assert r_fid(real, same, seed=1) != r_fid(real, same, seed=2)


def test_r_fid_of_sets_without_distance():
    constant = np.ones((8, 3))
    assert r_fid(constant, constant).value == 1
    # The one generated pair equals the real pair left over, while the pair set aside does not.
    real, generated = [[0.0], [1.0], [5.0], [9.0]], [[0.0], [1.0]]
    assert np.inf in [r_fid(real, generated, n_splits=1, seed=s).value for s in range(40)]


def test_r_fid_splits_by_group(rng):
    offset = np.repeat(np.arange(10.0), 20)[:, None]
    real = offset + 0.1 * rng.normal(size=(200, 2))
    generated = rng.choice(np.arange(10.0), size=(100, 1)) + 0.1 * rng.normal(size=(100, 2))
    by_group = r_fid(real, generated, real_groups=offset.ravel())
    assert by_group.floor > 3 * r_fid(real, generated).floor


def test_extrapolation_is_a_least_squares_line(rng):
    a, b = rng.normal(size=(300, 5)), rng.normal(0.2, 1, size=(200, 5))
    result = fid_infinity(a, b, n_points=6, smallest=50)
    assert (result.sizes[0], result.sizes[-1], len(result.sizes)) == (50, 200, 6)
    design = np.column_stack([np.ones(6), 1 / np.array(result.sizes)])
    line, residual, *_ = np.linalg.lstsq(design, np.array(result.values))
    assert (result.value, result.slope) == pytest.approx(tuple(line))
    assert result.r_squared == pytest.approx(1 - residual[0] / 6 / np.var(result.values))
    assert result.values[-1] == pytest.approx(fid(a, b).value)
    assert np.allclose(np.diff(1 / np.array(result.sizes)), -0.003, rtol=0.1)
    assert result.warnings == ()


def test_extrapolation_removes_the_bias(rng):
    truth, plain, extrapolated, real_kept = 16 * (1.5 - 1) ** 2, [], [], []
    for seed in range(12):
        a, b = rng.normal(size=(200, 16)), rng.normal(0, 1.5, size=(200, 16))
        plain.append(fid(a, b).value)
        extrapolated.append(fid_infinity(a, b, seed=seed).value)
        real_kept.append(fid_infinity(a, b, seed=seed, vary_real=False).value)
    bias = abs(np.mean(plain) - truth)
    assert abs(np.mean(extrapolated) - truth) < bias / 3
    # The reference's way removes the half that is due to the generated set.
    assert bias / 3 < np.mean(real_kept) - truth < 0.8 * bias


def test_the_ratio_hardly_depends_on_the_seed_of_its_splits():
    """Of 10 splits it varied by a third on the features of patches."""
    rng = np.random.default_rng(3)
    real = rng.standard_t(4, size=(60, 12)) * np.linspace(0.5, 2, 12)
    generated = rng.normal(0.2, 1, size=(50, 12))

    def spread(**options):
        values = [r_fid(real, generated, seed=seed, **options).value for seed in range(12)]
        return np.std(values) / np.mean(values)

    assert spread() < 0.6 * spread(n_splits=10)
    assert spread() < 0.06


def test_extrapolation_of_constant_sets_and_of_too_few_images():
    flat = fid_infinity(np.ones((20, 2)), np.ones((20, 2)))
    assert (flat.value, flat.r_squared) == (pytest.approx(0), 1)
    few = np.random.default_rng(0).normal(size=(13, 8))
    assert "no estimate" in fid_infinity(few, few).warnings[0]


GOOD = np.arange(12.0).reshape(6, 2) ** 2


@pytest.mark.parametrize("function", [fid, r_fid, fid_infinity])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.empty((0, 2)), "empty"),
        (np.empty((5, 0)), "empty"),
        (GOOD[:1], "at least 2 images"),
        (GOOD[:, 0], "2-D"),
        (np.where(GOOD == 4, np.nan, GOOD), "finite"),
        (np.where(GOOD == 4, np.inf, GOOD), "finite"),
        (GOOD[:, :1], "same dimension"),
        ([["a", "b"]], "real numbers"),
    ],
)
def test_bad_features(function, bad, message):
    with pytest.raises(ValueError, match=message):
        function(bad, GOOD)
    with pytest.raises(ValueError, match=message):
        function(GOOD, bad)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fid(Moments.of(GOOD[:1]), GOOD), "at least 2 images"),
        (lambda: fid(Moments.of(GOOD), GOOD[:, :1]), "same dimension, got 2 and 1"),
        (lambda: r_fid(GOOD[:3], GOOD), "real needs at least 4"),
        (lambda: r_fid(GOOD, GOOD, n_splits=0), "n_splits must be at least 1"),
        (lambda: r_fid(GOOD, GOOD, n_splits=2.5), "n_splits must be a whole number, got 2.5"),
        (lambda: fid_infinity(GOOD, GOOD, n_points=3.0), "n_points must be a whole number"),
        (lambda: fid_infinity(GOOD, GOOD, n_repeats=True), "n_repeats must be a whole number"),
        (lambda: fid_infinity(GOOD, GOOD, smallest=3.5), "smallest must be a whole number"),
        (lambda: r_fid(GOOD, GOOD, real_groups=[1, 2]), "one id an image"),
        (lambda: fid_infinity(GOOD, GOOD, n_points=1), "n_points"),
        (lambda: fid_infinity(GOOD, GOOD, n_repeats=0), "n_repeats"),
        (lambda: fid_infinity(GOOD, GOOD, smallest=6), "below n = 6"),
        (lambda: fid_infinity(GOOD, GOOD, smallest=1), "at least 2"),
        (lambda: fid_infinity(GOOD[:2], GOOD[:2]), "below n = 2"),
    ],
)
def test_bad_options(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("n", "smallest"), [(400, 100), (60, 17), (26, 17), (25, 6), (16, 4), (3, 2)]
)
def test_extrapolation_starts_above_the_dimension_where_it_can(n, smallest, rng):
    x = rng.normal(size=(n, 16))
    result = fid_infinity(x, x[::-1], n_points=3, n_repeats=1)
    assert result.sizes[0] == smallest
    assert (result.warnings == ()) == (smallest > 16)

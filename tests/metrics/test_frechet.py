"""Frechet distances against matrix square roots, closed forms and each other's routes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from rl2qc.metrics.frechet import fid
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_one_sum_are_told_apart(dtype, rng):
    x = np.array([rng.permutation(8) for _ in range(6)] * 2, dtype)  # sums are exact: all alike
    y = rng.integers(9, size=(15, 8)).astype(dtype)
    # The repeats make 12 rows of rank 5, which the oracle knows nothing of.
    assert fid(x, y).value == pytest.approx(by_svd(x.astype(float), y.astype(float)), rel=1e-9)


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


GOOD = np.arange(12.0).reshape(6, 2) ** 2


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
def test_bad_features(bad, message):
    with pytest.raises(ValueError, match=message):
        fid(bad, GOOD)
    with pytest.raises(ValueError, match=message):
        fid(GOOD, bad)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fid(Moments.of(GOOD[:1]), GOOD), "at least 2 images"),
        (lambda: fid(Moments.of(GOOD), GOOD[:, :1]), "same dimension, got 2 and 1"),
    ],
)
def test_bad_options(call, message):
    with pytest.raises(ValueError, match=message):
        call()

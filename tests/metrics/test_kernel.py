"""KID against pairwise loops, scikit-learn's kernel and closed-form expectations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import polynomial_kernel

from rl2qc.metrics import _pair_sums, kernel
from rl2qc.metrics.kernel import kid


def by_loops(a, b, degree=3, gamma=None, coef0=1.0):
    """The unbiased estimate, pair by pair."""
    a, b = a.astype(float), b.astype(float)
    gamma = 1 / a.shape[1] if gamma is None else gamma

    def k(x, y):
        return (gamma * sum(p * q for p, q in zip(x, y, strict=True)) + coef0) ** degree

    def within(x):
        return np.mean([k(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if i != j])

    return within(a) + within(b) - 2 * np.mean([k(p, q) for p in a for q in b])


def by_sklearn(a, b, degree=3):
    xx, yy, xy = (polynomial_kernel(p, q, degree=degree) for p, q in ((a, a), (b, b), (a, b)))
    n, m = len(a), len(b)
    return (
        (xx.sum() - np.trace(xx)) / (n * (n - 1))
        + (yy.sum() - np.trace(yy)) / (m * (m - 1))
        - 2 * xy.mean()
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"degree": 2, "gamma": 0.7, "coef0": 0.2}])
def test_definition(dtype, options, rng):
    a, b = rng.normal(size=(14, 4)).astype(dtype), rng.normal(1, 1, size=(9, 4)).astype(dtype)
    assert kid(a, b, **options).unbiased == pytest.approx(by_loops(a, b, **options), rel=1e-10)


def test_same_as_the_kernel_of_scikit_learn(rng):
    a, b = rng.normal(size=(150, 20)), rng.normal(0.3, 1.5, size=(90, 20))
    assert kid(a, b).unbiased == pytest.approx(by_sklearn(a, b), rel=1e-10)


@pytest.mark.parametrize("subsets", [{"full_sample": False}, {}])
def test_single_precision_keeps_six_digits(subsets, rng, monkeypatch):
    a, b = (np.maximum(rng.normal(0.3, s, size=(1500, 64)), 0).astype("f") for s in (1, 1.05))
    options = {"n_subsets": 5, "subset_size": 700, **subsets}
    monkeypatch.setattr(kernel, "_WORTH_FLOAT32", np.inf)
    double = kid(a, b, **options)
    monkeypatch.setattr(kernel, "_WORTH_FLOAT32", 0)
    single = kid(a, b, **options)
    assert single != double
    assert single.value == pytest.approx(double.value, rel=1e-6)
    if not subsets:
        assert single.unbiased == pytest.approx(double.unbiased, rel=1e-6)


def test_blocks_do_not_show(rng, monkeypatch):
    a, b = rng.normal(size=(50, 3)), rng.normal(1, 1, size=(33, 3))
    whole = kid(a, b).unbiased
    monkeypatch.setattr(_pair_sums, "_BLOCK", 7)
    monkeypatch.setattr(_pair_sums, "_STRIPE", 3)
    assert kid(a, b).unbiased == pytest.approx(whole, rel=1e-12)


def test_subsets_are_estimates_on_images_drawn_without_replacement(rng):
    a, b = rng.normal(size=(30, 3)), rng.normal(1, 1, size=(25, 3))
    result = kid(a, b, n_subsets=4, subset_size=10, seed=5)
    draws = np.random.default_rng(5)
    expected = []
    for _ in range(4):
        rows = draws.choice(30, 10, replace=False), draws.choice(25, 10, replace=False)
        expected.append(by_sklearn(a[rows[0]], b[rows[1]]))
    assert result.value == pytest.approx(np.mean(expected))
    assert result.std == pytest.approx(np.std(expected))
    assert (result.n_subsets, result.subset_size) == (4, 10)
    assert (result.degree, result.gamma, result.coef0) == (3, pytest.approx(1 / 3), 1)
    assert float(result) == result.value


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((2500, 2100), 1000), ((876, 5000), 438), ((5000, 99), 49), ((2, 2), 2), ((3, 9), 2)],
)
def test_subset_size_adapts_to_the_smaller_set(sizes, expected, rng):
    a, b = (rng.normal(size=(n, 2)) for n in sizes)
    assert kid(a, b, n_subsets=2, full_sample=False).subset_size == expected


def test_whole_sets_as_subsets_have_no_spread_and_a_warning(rng):
    a, b = rng.normal(size=(12, 3)), rng.normal(size=(12, 3))
    result = kid(a, b, subset_size=12)
    assert result.value == pytest.approx(result.unbiased)
    assert result.std == pytest.approx(0, abs=1e-12)
    assert "whole set" in result.warnings[0]
    assert kid(a, b, subset_size=11).warnings == ()


def test_full_sample_can_be_left_out(rng):
    x = rng.normal(size=(20, 2))
    assert kid(x, x, full_sample=False).unbiased is None


def test_linear_kernel_estimates_the_squared_distance_of_means_without_bias(rng):
    # E = |mu - nu|^2 for k = x.y; with n = 4 any division by n instead of n - 1 would show.
    options = {"degree": 1, "gamma": 1.0, "coef0": 0.0, "n_subsets": 1}
    for shift in (0.0, 1.0):
        values = [
            kid(rng.normal(size=(4, 2)), rng.normal(shift, 1, size=(4, 2)), **options).unbiased
            for _ in range(3000)
        ]
        error = 4 * np.std(values) / np.sqrt(len(values))
        assert np.mean(values) == pytest.approx(2 * shift**2, abs=error)


def test_identical_sets_score_below_zero_by_the_diagonal(rng):
    # The unbiased estimate leaves the diagonal out within a set but not between the two.
    x = rng.normal(size=(40, 3))
    k = polynomial_kernel(x, degree=3)
    off = (k.sum() - np.trace(k)) / (40 * 39)
    assert kid(x, x).unbiased == pytest.approx(2 * (off - k.mean()))
    assert kid(x, x).unbiased < 0


def test_identical_points_score_zero():
    x = np.full((10, 4), 3.0)
    assert (kid(x, x).value, kid(x, x).std, kid(x, x).unbiased) == (0, 0, 0)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 12), m=st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_properties(seed, n, m):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, 3)), rng.normal(1, 1, size=(m, 3))
    value = kid(a, b, n_subsets=1).unbiased
    close = pytest.approx(value, rel=1e-9, abs=1e-9)
    assert kid(b, a, n_subsets=1).unbiased == close
    assert kid(a[::-1], b[::-1], n_subsets=1).unbiased == close
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    assert kid(a @ rotation, b @ rotation, n_subsets=1).unbiased == close


def test_seeded(rng):
    a, b = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    assert kid(a, b, seed=1) == kid(a, b, seed=np.random.default_rng(1))
    assert kid(a, b, seed=1).value != kid(a, b, seed=2).value
    assert kid(a, b, seed=1).unbiased == kid(a, b, seed=2).unbiased


GOOD = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.empty((0, 2)), "empty"),
        (GOOD[:1], "at least 2 images"),
        (GOOD[:, 0], "2-D"),
        (np.where(GOOD == 4, np.nan, GOOD), "finite"),
        (np.where(GOOD == 4, np.inf, GOOD), "finite"),
        (GOOD[:, :1], "same dimension"),
    ],
)
def test_bad_features(bad, message):
    with pytest.raises(ValueError, match=message):
        kid(bad, GOOD)
    with pytest.raises(ValueError, match=message):
        kid(GOOD, bad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subset_size": 7}, "smaller set"),
        ({"subset_size": 1}, "between 2"),
        ({"subset_size": 5.0}, "subset_size must be a whole number, got 5.0"),
        ({"n_subsets": 2.5}, "n_subsets must be a whole number"),
        ({"degree": 1.5}, "degree must be a whole number"),
        ({"n_subsets": 0}, "n_subsets"),
        ({"degree": 0}, "degree"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        kid(GOOD, GOOD, **options)

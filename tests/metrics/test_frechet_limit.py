"""The limit of FID in 1/N against least squares and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.metrics.frechet import fid
from rl2qc.metrics.frechet_limit import fid_infinity


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


def test_extrapolation_of_constant_sets_and_of_too_few_images():
    flat = fid_infinity(np.ones((20, 2)), np.ones((20, 2)))
    assert (flat.value, flat.r_squared) == (pytest.approx(0), 1)
    few = np.random.default_rng(0).normal(size=(13, 8))
    assert "no estimate" in fid_infinity(few, few).warnings[0]


@pytest.mark.parametrize(
    ("n", "smallest"), [(400, 100), (60, 17), (26, 17), (25, 6), (16, 4), (3, 2)]
)
def test_extrapolation_starts_above_the_dimension_where_it_can(n, smallest, rng):
    x = rng.normal(size=(n, 16))
    result = fid_infinity(x, x[::-1], n_points=3, n_repeats=1)
    assert result.sizes[0] == smallest
    assert (result.warnings == ()) == (smallest > 16)


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
        fid_infinity(bad, GOOD)
    with pytest.raises(ValueError, match=message):
        fid_infinity(GOOD, bad)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fid_infinity(GOOD, GOOD, n_points=3.0), "n_points must be a whole number"),
        (lambda: fid_infinity(GOOD, GOOD, n_repeats=True), "n_repeats must be a whole number"),
        (lambda: fid_infinity(GOOD, GOOD, smallest=3.5), "smallest must be a whole number"),
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

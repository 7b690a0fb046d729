"""FLD against scikit-learn's and SciPy's densities; FLD+ by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from rl2qc.metrics.likelihood_distance import fld, fld_plus


def mean_log_density(points, centres, variances):
    d = points.shape[1]
    parts = [
        multivariate_normal(c, v * np.eye(d)).pdf(points)
        for c, v in zip(centres, variances, strict=True)
    ]
    return np.log(np.mean(parts, axis=0)).mean()


def test_widths_are_those_of_the_greatest_likelihood(rng):
    train, unseen, generated = (
        rng.normal(size=(60, 2)),
        rng.normal(size=(40, 2)),
        rng.normal(size=(5, 2)),
    )
    found = fld(train, unseen, generated)
    mean, spread = train.mean(axis=0), train.std(axis=0)
    x, y, g = ((s - mean) / spread for s in (train, unseen, generated))
    fitted = minimize(
        lambda logs: -mean_log_density(x, g, np.exp(logs)), np.zeros(5), method="Nelder-Mead",
        options={"maxiter": 20_000, "xatol": 1e-6, "fatol": 1e-10},
    )  # fmt: skip
    assert found.train_value == pytest.approx(50 * fitted.fun, rel=1e-3)
    expected = -50 * mean_log_density(y, g, np.exp(fitted.x))
    assert found.value == pytest.approx(expected, rel=0.02)


def test_it_falls_with_quality_and_rises_with_copies(rng):
    train, unseen, good = rng.normal(size=(3, 150, 6))
    copies = train[:100] + 1e-3 * rng.normal(size=(100, 6))
    values = [
        fld(train, unseen, sets).value
        for sets in (good, good + 0.7, np.repeat(good[:10], 15, axis=0), copies)
    ]
    assert values[0] == min(values)
    copied = fld(train, unseen, copies)
    assert copied.train_value < copied.value - 20


def test_constant_dimensions_change_nothing(rng):
    sets = rng.normal(size=(3, 60, 4))
    wanted = fld(*sets)
    constant = [np.c_[s, np.full((60, 2), 7.0), np.zeros(60)] for s in sets]
    # Of no spread in training alone: neither does a constant that generated images lack.
    constant[2][:, 4] = rng.normal(size=60)
    found = fld(*constant)
    assert (found.dimensions, found.dropped) == (4, 3)
    assert found.value == pytest.approx(wanted.value, rel=1e-9)
    single = fld(*(s.astype(np.float32) for s in constant))
    assert (single.dropped, single.value) == (3, pytest.approx(wanted.value, rel=1e-4))


def test_scales_do_not_matter(rng):
    sets = rng.normal(size=(3, 60, 4))
    scale = np.array([1e-6, 1, 1e3, 1e6])
    assert fld(*(s * scale for s in sets)).value == pytest.approx(fld(*sets).value, rel=1e-6)


def test_likelihoods_as_a_share():
    real, generated = [-10.0, -14.0], [-13.0, -15.0]
    assert fld_plus(real, generated) == pytest.approx(np.exp(-2))
    assert fld_plus(real, generated, dimensions=4) == pytest.approx(np.exp(-0.5))
    assert fld_plus(real, real) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fld([[1.0]], [[1.0]], [[1.0]]), "train needs at least 2 images"),
        (lambda: fld([[1.0], [1.0]], [[1.0]], [[1.0]]), "no spread in any dimension"),
        (lambda: fld([[1.0], [2.0]], [[1.0, 2.0]], [[1.0]]), "train and unseen must have the same"),
        (lambda: fld([[1.0], [2.0]], [[1.0]], [[1.0, 2.0]]), "train and generated must have"),
        (lambda: fld_plus([], [1.0]), "real is empty"),
        (lambda: fld_plus([1.0], [np.nan]), "generated must be finite"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

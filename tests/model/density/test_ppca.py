"""The density against scikit-learn's and against the closed form of a Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from rl2qc.model.density.ppca import PPCA


@pytest.fixture
def x(rng):
    return rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12)


@pytest.mark.parametrize("n", [10, 300])
def test_against_scikit_learn(x, n):
    """More rows than columns, and fewer."""
    expected = PCA(4, svd_solver="full").fit(x[:n]).score_samples(x)
    assert PPCA.fit(x[:n], 4).log_likelihood(x) == pytest.approx(expected, rel=1e-4)


def test_against_the_gaussian(x):
    density = PPCA.fit(x, 3)
    spanned = density.components.T @ density.components
    covariance = density.components.T @ np.diag(density.variances) @ density.components
    covariance += density.noise[0] * (np.eye(12) - spanned)
    expected = multivariate_normal(density.mean, covariance).logpdf(x)
    assert density.log_likelihood(x) == pytest.approx(expected, rel=1e-4)


def test_dead_directions_keep_the_likelihood_finite(x):
    x[:, 5:] = 1
    density = PPCA.fit(x, 7)
    assert np.isfinite(density.log_likelihood(x)).all()
    away = x.copy()
    away[:, 8] += 1
    assert density.log_likelihood(away).max() < density.log_likelihood(x).min()


def test_state_is_single_precision_and_whole(x):
    density = PPCA.fit(x, 3)
    stored = {k: v.astype(np.float32).astype(np.float64) for k, v in density.state().items()}
    assert np.array_equal(PPCA(**stored).log_likelihood(x), density.log_likelihood(x))

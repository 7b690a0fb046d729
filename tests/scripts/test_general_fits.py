"""Fits of the general model's judgement: against scikit-learn and scipy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import genpareto
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from general_fits import bounded_regression, pareto_shape


def example() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    y = x @ [1.0, -1.0, 0.5, 0.0] + rng.logistic(size=300) > 0.3
    return x, y, rng.uniform(0.2, 2, 300)


def test_without_bounds_it_is_scikit_learns():
    x, y, weights = example()
    found, intercept = bounded_regression(x, y, weights, 0.7, [(-np.inf, np.inf)] * 4)
    oracle = LogisticRegression(C=0.7, tol=1e-8, max_iter=5000).fit(x, y, weights)
    assert found == pytest.approx(oracle.coef_[0], abs=2e-3)
    assert intercept == pytest.approx(oracle.intercept_[0], abs=2e-3)


def test_bounds_hold():
    x, y, weights = example()
    found, _ = bounded_regression(x, y, weights, 0.7, [(0.0, 0.4)] * 4)
    assert (found >= 0).all() and (found <= 0.4).all()
    assert found[0] == pytest.approx(0.4) and found[1] == pytest.approx(0)


@pytest.mark.parametrize("shape", [0.0, 0.2])
def test_the_shape_of_a_tail_is_found(shape):
    rng = np.random.default_rng(1)
    excess = genpareto.rvs(shape, size=20_000, random_state=rng)
    assert pareto_shape(excess / excess.mean()) == pytest.approx(shape, abs=0.03)

"""Conformal p-values against their definition and their guarantee."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from rl2qc.model.calibration import conformal_p_values, smallest_alpha


def test_definition(rng):
    calibration, scores = rng.normal(size=37), rng.normal(size=200).round(1)
    calibration = calibration.round(1)  # with ties
    expected = [(1 + sum(c <= s for c in calibration)) / 38 for s in scores]
    assert conformal_p_values(scores, calibration) == pytest.approx(expected)


def test_false_positive_rate_is_kept(rng):
    n = 20_000
    rejected = 0
    for _ in range(200):
        p = conformal_p_values(rng.normal(size=n // 200), rng.normal(size=199))
        rejected += int((p <= 0.05).sum())
    # Calibration draws make the count over-dispersed: allow three binomial widths.
    low, high = binom.interval(0.999, n, 0.05)
    assert n * 0.05 - 3 * (n * 0.05 - low) < rejected < n * 0.05 + 3 * (high - n * 0.05)


def test_scores_that_are_not_finite_are_least_normal():
    assert conformal_p_values([np.nan, -np.inf, np.inf], [1.0, 2.0]).tolist() == pytest.approx(
        [1 / 3, 1 / 3, 1 / 3]
    )


def test_smallest_alpha_rejects_one_below_all():
    p = conformal_p_values([-9.0], np.zeros(19))
    assert p[0] == pytest.approx(smallest_alpha(19)) == pytest.approx(0.05)

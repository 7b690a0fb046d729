from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm, wasserstein_distance

from rl2qc.filtering.drift import DRIFT_ALARM, score_drift


@pytest.mark.parametrize("n", [1, 2, 7, 500])
def test_the_distance_to_a_fine_uniform_sample(n: int, rng: np.random.Generator) -> None:
    p = rng.beta(0.6, 1.4, n)
    uniform = (np.arange(200_000) + 0.5) / 200_000
    assert score_drift(p) == pytest.approx(wasserstein_distance(p, uniform), abs=1e-5)


def test_extremes() -> None:
    assert score_drift(np.zeros(5)) == score_drift(np.ones(5)) == 0.5
    assert score_drift((np.arange(1000) + 0.5) / 1000) == pytest.approx(0.00025)
    assert math.isnan(score_drift([]))


def test_order_does_not_matter_and_direction_neither(rng: np.random.Generator) -> None:
    p = rng.uniform(size=50) ** 2
    assert score_drift(rng.permutation(p)) == score_drift(p)
    assert score_drift(1 - p) == pytest.approx(score_drift(p))


def test_the_alarm_is_a_shift_by_one_standard_deviation(rng: np.random.Generator) -> None:
    scores = rng.normal(size=20_000)
    assert score_drift(norm.cdf(scores)) < 0.01
    assert score_drift(norm.cdf(scores - 1)) == pytest.approx(norm.cdf(2**-0.5) - 0.5, abs=0.005)
    assert score_drift(norm.cdf(scores - 1)) > DRIFT_ALARM > score_drift(norm.cdf(scores - 0.8))


def test_a_few_artifacts_raise_no_alarm(rng: np.random.Generator) -> None:
    p = rng.uniform(size=1000)
    p[:200] = 0
    assert score_drift(p) < DRIFT_ALARM

"""AUC against scikit-learn, its interval against resamples drawn one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rl2qc.metrics.auc import auc


def by_sklearn(clean, damaged):
    return roc_auc_score(np.r_[np.ones(len(clean)), np.zeros(len(damaged))], np.r_[clean, damaged])


@pytest.mark.parametrize(("n", "m"), [(1, 1), (20, 20), (7, 50), (2500, 30)])
@pytest.mark.parametrize("ties", [False, True])
def test_it_is_sklearns(rng, n, m, ties):
    clean, damaged = rng.normal(0.5, 1, n), rng.normal(0, 1, m)
    if ties:
        clean, damaged = clean.round(), damaged.round()
    found = auc(clean, damaged, n_resamples=0)
    assert found.value == pytest.approx(by_sklearn(clean, damaged))
    assert np.isnan(found.low)
    assert np.isnan(found.high)
    assert (found.n_clean, found.n_damaged) == (n, m)


@pytest.mark.parametrize("paired", [False, True])
def test_the_interval_is_that_of_resamples(rng, paired):
    """Counts of a multinomial draw are a resample: repeat each score as often, ask sklearn."""
    n, m, resamples = 25, 25 if paired else 40, 60
    clean, damaged = rng.normal(1, 1, n).round(1), rng.normal(0, 1, m).round(1)
    found = auc(clean, damaged, paired=paired, n_resamples=resamples, level=0.8, seed=5)
    draws = np.random.default_rng(5)
    of_clean = draws.multinomial(n, np.full(n, 1 / n), size=resamples)
    of_damaged = of_clean if paired else draws.multinomial(m, np.full(m, 1 / m), size=resamples)
    values = [
        by_sklearn(np.repeat(clean, a), np.repeat(damaged, b))
        for a, b in zip(of_clean, of_damaged, strict=True)
    ]
    assert [found.low, found.high] == pytest.approx(np.quantile(values, [0.1, 0.9]))


def test_the_interval_covers_the_truth():
    """Of two unit normals one standard deviation apart: Phi(1 / sqrt 2)."""
    rng, truth, hits = np.random.default_rng(1), 0.7602, 0
    for seed in range(100):
        found = auc(rng.normal(1, 1, 60), rng.normal(0, 1, 60), n_resamples=200, seed=seed)
        hits += found.low <= truth <= found.high
    assert 88 <= hits <= 100


def test_pairs_tell_more(rng):
    patch = rng.normal(size=200)
    clean, damaged = patch + 0.3, patch + rng.normal(0, 0.1, 200)
    together, apart = (auc(clean, damaged, paired=paired) for paired in (True, False))
    assert together.value == apart.value
    assert together.high - together.low < 0.5 * (apart.high - apart.low)


def test_turning_the_scores_round_turns_it_round(rng):
    a, b = rng.normal(size=30), rng.normal(1, 1, 40)
    assert auc(a, b).value == pytest.approx(1 - auc(b, a).value)
    assert auc(np.exp(a), np.exp(b)).value == auc(a, b).value


def test_the_ends():
    for clean, damaged, value in (([2, 3], [0, 1], 1), ([0, 1], [2, 3], 0), ([1, 1], [1], 0.5)):
        found = auc(clean, damaged)
        assert (found.low, found.value, found.high) == (value, value, value)
    infinite = auc([0.0, 1.0, -np.inf], [-np.inf, -np.inf], n_resamples=0)
    assert infinite.value == pytest.approx((2 + 2 + 1) / 6)


@pytest.mark.parametrize(
    ("clean", "damaged", "options", "message"),
    [
        ([], [1], {}, "clean must hold"),
        ([1], [np.nan], {}, "damaged must hold"),
        ([[1]], [1], {}, "clean must hold"),
        ([1, 2], [1], {"paired": True}, "as many images, got 2 and 1"),
        ([1], [1], {"level": 1.0}, "level between 0 and 1"),
        ([1], [1], {"n_resamples": -1}, "at least 0"),
    ],
)
def test_bad_input(clean, damaged, options, message):
    with pytest.raises(ValueError, match=message):
        auc(clean, damaged, **options)

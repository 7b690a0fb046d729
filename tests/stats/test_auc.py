"""AUC against scikit-learn, its interval against resamples drawn one by one and by coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm
from sklearn.metrics import roc_auc_score

from rl2qc.stats.auc import auc


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


def hanley_mcneil(area, n, comparisons):
    """Variance of an AUC of n clean and n damaged images of exponential scores."""
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    pairs = (n - 1) * (one - area**2) + (n - 1) * (two - area**2)
    return (area * (1 - area) + pairs) / comparisons


@pytest.mark.parametrize("paired", [False, True])
def test_the_interval_is_that_of_resamples(rng, paired):
    """Counts of a multinomial draw are a resample: repeat each score as often, ask sklearn.

    Of independent images the interval also holds that of the score equation.
    """
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
    low, high = np.quantile(values, [0.1, 0.9])
    if paired:  # no wider than these but for its share of independent comparisons
        assert found.low <= low and found.high >= high
        assert found.low == pytest.approx(low, abs=0.05)
        assert found.high == pytest.approx(high, abs=0.05)
    else:
        at = np.linspace(0, 1, 200_001)
        off = np.abs(at - found.value) / np.sqrt(hanley_mcneil(at, (n + m) / 2, n * m) + 1e-30)
        near = at[off <= norm.ppf(0.9)]
        expected = [min(low, near[0]), max(high, near[-1])]
        assert [found.low, found.high] == pytest.approx(expected, abs=1e-5)


def test_the_interval_covers_the_truth():
    """Of two unit normals one standard deviation apart: Phi(1 / sqrt 2)."""
    rng, truth, hits = np.random.default_rng(1), 0.7602, 0
    for seed in range(100):
        found = auc(rng.normal(1, 1, 60), rng.normal(0, 1, 60), n_resamples=200, seed=seed)
        hits += found.low <= truth <= found.high
    assert 88 <= hits <= 100


def coverage(truth, draw, *, paired=False, runs=200):
    rng, hits, perfect = np.random.default_rng(2), 0, 0
    for _ in range(runs):
        found = auc(*draw(rng), paired=paired, n_resamples=100, seed=rng)
        hits += found.low <= truth <= found.high
        perfect += found.value == 1
    return hits / runs, perfect / runs


# Chance of fewer hits where 95 % are due: 1 in 1,000.
FEWEST = binom.ppf(1e-3, 200, 0.95) / 200


@pytest.mark.parametrize(("n", "m"), [(30, 30), (100, 29)])
@pytest.mark.parametrize("truth", [0.95, 0.99, 0.995])
def test_the_interval_covers_areas_near_one(truth, n, m):
    """Scores of two unit normals: resamples alone cover 70 to 90 %."""
    apart = norm.ppf(truth) * np.sqrt(2)
    covered, _ = coverage(truth, lambda rng: (rng.normal(apart, 1, n), rng.normal(size=m)))
    assert covered >= FEWEST


@pytest.mark.parametrize("better", [True, False])
@pytest.mark.parametrize("truth", [0.9, 0.95, 0.98])
def test_the_interval_covers_the_worst_case_of_a_perfect_score(truth, better):
    """A share of the smaller set is beyond all of the other: what may be missed most easily."""

    def draw(rng):
        damaged = np.where(rng.random(29) < truth, -9, 9) + rng.normal(size=29)
        clean = rng.normal(size=100)
        return (clean, damaged) if better else (damaged, clean)

    covered, perfect = coverage(truth if better else 1 - truth, draw)
    assert covered >= FEWEST
    assert not better or perfect > 0.03


@pytest.mark.parametrize("truth", [0.9, 0.95, 0.98])
def test_the_interval_of_pairs_covers_the_worst_case_of_a_perfect_score(truth):
    """Patches whose two scores are both at the wrong end: each spoils twice the comparisons."""

    def draw(rng):
        right = rng.random(60) < np.sqrt(truth)
        noise = rng.normal(size=(2, 60))
        return np.where(right, 9, -30) + noise[0], np.where(right, -9, 30) + noise[1]

    covered, perfect = coverage(truth, draw, paired=True)
    assert covered >= FEWEST
    assert truth < 0.95 or perfect > 0.1


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_perfect_score_has_the_exact_bound_of_its_independent_comparisons(level):
    clean, damaged = np.arange(100.0), -1 - np.arange(29.0)
    low = binomtest(29, 29).proportion_ci(level, method="exact").low
    found = auc(clean, damaged, level=level)
    assert (found.low, found.value, found.high) == (pytest.approx(low), 1, 1)
    turned = auc(damaged, clean, level=level)
    assert (turned.low, turned.value, turned.high) == (0, 0, pytest.approx(1 - low))
    low = binomtest(14, 14).proportion_ci(level, method="exact").low
    pairs = auc(clean[:29], damaged, paired=True, level=level)
    assert (pairs.low, pairs.high) == (pytest.approx(low), 1)


def test_the_lower_end_does_not_leap_when_one_comparison_is_lost():
    clean, damaged = np.arange(40.0), -1 - np.arange(40.0)
    perfect = auc(clean, damaged)
    damaged[0] = 0.5
    nearly = auc(clean, damaged)
    assert nearly.value == 1 - 1 / 1600
    assert nearly.low - perfect.low < 0.1


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
        assert 0 <= found.low <= found.value == value <= found.high <= 1
    alone = auc([1], [0], paired=True), auc([0], [1], paired=True)
    assert (alone[0].low, alone[1].high) == pytest.approx((0.025, 0.975))
    infinite = auc([0.0, 1.0, -np.inf], [-np.inf, -np.inf], n_resamples=0)
    assert infinite.value == pytest.approx((2 + 2 + 1) / 6)


@pytest.mark.parametrize(
    ("clean", "damaged", "options", "message"),
    [
        ([], [1], {}, "clean must hold"),
        ([1], [np.nan], {}, "damaged must hold"),
        ([[1]], [1], {}, "clean must hold"),
        ([1, 2], [1], {"paired": True}, "as many images, got 2 and 1"),
        ([1], [1], {"level": 1.0}, "level must be between 0 and 1"),
        ([1], [1], {"n_resamples": -1}, "at least 0"),
        ([1], [1], {"n_resamples": 9.0}, "n_resamples must be a whole number"),
    ],
)
def test_bad_input(clean, damaged, options, message):
    with pytest.raises(ValueError, match=message):
        auc(clean, damaged, **options)

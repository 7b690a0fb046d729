"""IRS from counts against exact occupancy dynamic programming and rational arithmetic."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl2qc.metrics._occupancy import Tails, distribution, log_stirling2
from rl2qc.metrics.irs_counts import irs_expected, irs_from_counts, irs_minimum_learned


def occupancy(n, s):
    """P(K = 0 ... n) after n uniform draws from s classes, draw by draw."""
    p = np.zeros(n + 2)
    p[0] = 1.0
    k = np.arange(n + 2)
    for _ in range(n):
        p = p * k / s + np.concatenate([[0.0], p[:-1] * (s - k[:-1]) / s])
    return p[: n + 1]


def occupancies(n, most):
    """Of every number of classes: row s holds P(K = 0 ... n) of draws from s."""
    s, k = np.arange(most + 1)[:, None], np.arange(n + 1)
    p = np.zeros((most + 1, n + 1))
    p[:, 0] = 1.0
    stay, move = k / np.maximum(s, 1), np.maximum(s - k, 0) / np.maximum(s, 1)
    for _ in range(n):
        moved = p[:, :-1] * move[:, :-1]
        p *= stay
        p[:, 1:] += moved
    return p


def brute_force(table, k, n_train, alpha=0.05):
    """Every s in turn: (most likely s, lower bound, upper bound)."""
    sizes = np.arange(k, n_train + 1)
    likelihood = table[sizes, k]
    # The largest of equal ones: for n = 1 every s is as likely.
    best = sizes[np.flatnonzero(likelihood >= likelihood.max() * (1 - 1e-12))[-1]]
    likely_low = sizes[table[sizes, k:].sum(axis=1) >= alpha]
    likely_high = sizes[table[sizes, : k + 1].sum(axis=1) >= alpha]
    return best, likely_low[0] if likely_low.size else n_train, likely_high[-1]


def test_both_oracles_agree():
    table = occupancies(30, 50)
    for s in (1, 7, 30, 50):
        np.testing.assert_allclose(table[s], occupancy(30, s), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 40, 150])
def test_stirling_numbers_are_exact(n):
    row = [Fraction(1)]  # S(0, 0)
    for i in range(1, n + 1):
        row = [Fraction(0)] + [k * (row[k] if k < i else 0) + row[k - 1] for k in range(1, i + 1)]
    expected = [math.log(value) for value in row[1:]]
    np.testing.assert_allclose(log_stirling2(n, np.arange(1, n + 1)), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("n", "s"), [(1, 1), (1, 7), (15, 32), (50, 1), (60, 8), (300, 100), (300, 90_000), (40, 40)]
)
def test_distribution_is_that_of_drawing(n, s):
    k, p = distribution(n, s)
    expected = occupancy(n, s)
    np.testing.assert_allclose(p, expected[k], atol=1e-9)
    assert expected[k].sum() == pytest.approx(1)


@pytest.mark.parametrize(("n", "s"), [(50_000, 1_000_000), (50_000, 20_000), (1_000_000, 10**6)])
def test_distribution_of_many_draws_has_the_known_moments(n, s):
    k, p = distribution(n, s)
    with localcontext(prec=50):  # the terms of the variance cancel
        one, two = (1 - Decimal(1) / s) ** n, (1 - Decimal(2) / s) ** n
        mean = float(s * (1 - one))
        variance = float(s * one + s * (s - 1) * two - s**2 * one**2)
    assert p.sum() == pytest.approx(1, abs=1e-6)
    assert p @ k == pytest.approx(mean, rel=1e-6)
    assert p @ (k - mean) ** 2 == pytest.approx(variance, rel=1e-5)


@pytest.mark.parametrize("n", [1, 9, 60])
def test_tails(n):
    for k in range(1, n + 1, 7):
        tails = Tails(n, k)
        for s in (k, k + 1, 2 * k + 3, 1000):
            expected = occupancy(n, s)
            assert tails.at_most(s) == pytest.approx(expected[: k + 1].sum(), abs=1e-9)
            assert tails.at_least(s) == pytest.approx(expected[k:].sum(), abs=1e-9)


@pytest.mark.parametrize(
    ("n", "n_train"),
    [(1, 5), (2, 9), (5, 5), (12, 40), (40, 25), (90, 30), (150, 300), (500, 200), (60, 1000)],
)
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_estimate_and_bounds_for_every_count(n, n_train, alpha):
    table = occupancies(n, n_train + 1)
    for k in range(1, min(n, n_train) + 1):
        best, low, high = brute_force(table, k, n_train, alpha)
        found = irs_from_counts(k, n, n_train, alpha)
        assert found.value == best / n_train
        assert found.low == low / n_train
        assert found.high == high / n_train
        # Saturated means that a larger training set would have raised the estimate.
        assert found.saturated == (k == n or brute_force(table, k, n_train + 1)[0] == n_train + 1)


@pytest.mark.parametrize(
    ("k", "n", "n_train", "value", "saturated"),
    [
        (1, 50_000, 1_281_166, 1 / 1_281_166, False),  # total collapse
        (50_000, 50_000, 1_281_166, 1.0, True),  # all distinct
        (49_999, 50_000, 1_281_166, 1.0, True),
        (100, 10_000, 100, 1.0, False),  # every training image, many times over
        (99, 10_000, 100, 0.99, False),
        (1, 1, 1, 1.0, True),
        (1, 1, 10, 1.0, True),
        (1, 2, 10, 0.1, False),
    ],
)
def test_degenerate_counts(k, n, n_train, value, saturated):
    found = irs_from_counts(k, n, n_train)
    assert (found.value, found.saturated) == (value, saturated)
    assert found.low <= found.value <= found.high


def test_two_images_of_one_kind_leave_a_fifteenth_open():
    # Of N kinds, two alike have the chance 1 / N: at least a twentieth up to N = 20.
    assert irs_from_counts(1, 2, 300).high == 20 / 300


@settings(max_examples=60, deadline=None)
@given(n_train=st.integers(2, 10**6), n=st.integers(2, 10**5), data=st.data())
def test_bounds_hold_the_estimate_and_grow_with_the_count(n_train, n, data):
    k = data.draw(st.integers(2, min(n, n_train)))
    fewer, more = irs_from_counts(k - 1, n, n_train), irs_from_counts(k, n, n_train)
    assert k / n_train <= more.low <= more.value <= more.high <= 1
    assert all(a <= b for a, b in zip(fewer[:3], more[:3], strict=True))


def test_bounds_cover_the_truth_as_often_as_they_say(rng):
    s, n_train, n = 60, 100, 80
    inside = 0
    for _ in range(400):
        k = len(np.unique(rng.integers(0, s, n)))
        found = irs_from_counts(k, n, n_train)
        inside += found.low <= s / n_train <= found.high
    assert inside / 400 > 0.9 - 3 * math.sqrt(0.9 * 0.1 / 400)


def test_early_rejection_of_the_paper():
    assert irs_minimum_learned(1_281_166, 50_000, 0.80, 0.05) == 48_744


@pytest.mark.parametrize(("n_train", "n", "diversity"), [(32, 15, 1.0), (100, 60, 0.5), (9, 1, 1)])
def test_minimum_learned_by_definition(n_train, n, diversity):
    below = np.flatnonzero(np.cumsum(occupancy(n, round(diversity * n_train))) < 0.05)
    assert irs_minimum_learned(n_train, n, diversity, 0.05) == below[-1]


def test_toy_of_the_paper():
    expected = irs_expected(32, 15)
    assert (expected.low, expected.high) == (10, 14)
    assert expected.mean == pytest.approx(occupancy(15, 32) @ np.arange(16))


@pytest.mark.parametrize(("alpha", "percent"), [(2, 86.47), (6, 99.75), (3.5, 96.98)])
def test_idealised_irs_alpha_of_the_paper(alpha, percent):
    n_train = 100_000
    mean = irs_expected(n_train, round(alpha * n_train)).mean
    assert round(100 * mean / n_train, 2) == percent


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: irs_from_counts(2.5, 5, 5), "retrieved must be a whole number, got 2.5"),
        (lambda: irs_from_counts(2, 5.0, 5), "n_generated must be a whole number, got 5.0"),
        (lambda: irs_from_counts(2, 5, 5.5), "n_train must be a whole number, got 5.5"),
        (lambda: irs_expected(9.5, 10), "n_train must be a whole number"),
        (lambda: irs_minimum_learned(10, 10.5, 0.5), "n_generated must be a whole number"),
        (lambda: irs_from_counts(0, 5, 5), r"retrieved must be between 1 and .* = 5, got 0"),
        (lambda: irs_from_counts(6, 5, 9), "retrieved must be between 1 and"),
        (lambda: irs_from_counts(1, 0, 9), "n_generated must be at least 1, got 0"),
        (lambda: irs_minimum_learned(10, 10, 0.0), r"diversity must be in \(0, 1\]"),
        (lambda: irs_minimum_learned(10, 10, 0.5, 0), r"alpha must be in \(0, 0.5\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("n_train", [30, 300])
@pytest.mark.parametrize("n", [2, 3])
def test_a_bound_that_meets_its_rule_exactly_counts(n, n_train):
    """P(K <= 1) = s^(1 - n): 0.05 at s = 20 of two draws, 0.04 at 5 of three."""
    alpha = Fraction(1, 20) if n == 2 else Fraction(1, 25)
    most = max(s for s in range(1, n_train + 1) if Fraction(1, s ** (n - 1)) >= alpha)
    assert irs_from_counts(1, n, n_train, float(alpha)).high == most / n_train


def test_a_count_whose_tail_is_alpha_belongs_to_the_range():
    """Of two draws from 20 the same one comes twice in one case of twenty."""
    assert irs_expected(20, 2, alpha=0.05).low == 1
    assert irs_minimum_learned(20, 2, 1.0, alpha=0.05) == 0

"""IRS against exact occupancy dynamic programming and rational arithmetic."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl2qc.metrics._occupancy import Tails, distribution, log_stirling2
from rl2qc.metrics.irs import irs, irs_expected, irs_from_counts, irs_minimum_learned


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


def test_retrieval_counts_distinct_training_images(rng):
    train = rng.normal(size=(50, 8))
    chosen = rng.integers(0, 12, 40)
    result = irs(train, train[chosen] + 1e-3 * rng.normal(size=(40, 8)))
    assert result.retrieved == len(np.unique(chosen))
    assert result.irs_alpha == result.retrieved / 50
    assert (result.n, result.n_train, result.n_duplicates) == (40, 50, 0)
    expected = irs_from_counts(result.retrieved, 40, 50)
    assert (result.value, result.low, result.high, result.saturated) == expected
    assert float(result) == result.value
    assert result.adjusted is result.adjusted_saturated is None


def test_a_uniform_generator_is_found_fully_diverse(rng):
    train = rng.normal(size=(60, 8))
    result = irs(train, train[rng.integers(0, 60, 600)])
    assert result.value == 1.0
    half = irs(train, train[rng.integers(0, 30, 600)])
    assert half.value == 0.5


def test_cosine_ignores_length(rng):
    train = rng.normal(size=(30, 5))
    queries = train[:10] * rng.uniform(0.01, 100, size=(10, 1))
    assert irs(train, queries, metric="cosine").retrieved == 10
    assert irs(train, queries).retrieved < 10


def test_duplicates_in_the_training_set_are_one_image(rng):
    train = rng.normal(size=(20, 4))
    train[0] = 0.0
    twin = train[:1] * -1.0  # negative zeros equal zeros
    doubled = np.concatenate([train, train[:7], twin])
    queries = train[rng.integers(0, 20, 300)]
    result, plain = irs(doubled, queries), irs(train, queries)
    assert (result.n_train, result.n_duplicates) == (20, 8)
    assert (result.retrieved, result.value) == (plain.retrieved, plain.value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_under_cosine_duplicates_are_images_of_one_direction(dtype, scale, rng):
    train = rng.normal(size=(20, 64))
    doubled = np.concatenate([train, 3.7 * train[:8], 0.013 * train[:8], train[5:9] * 2])
    doubled = (scale * doubled).astype(dtype)
    queries = train[rng.integers(0, 20, 300)].astype(dtype)
    result = irs(doubled, queries, metric="cosine")
    assert (result.n_train, result.n_duplicates) == (20, 20)
    assert (result.irs_alpha, result.value) == (1, 1)
    # Under the Euclidean metric they are images of their own; opposite ones always are.
    assert irs(doubled, queries).n_train == 36 + 4
    opposite = np.concatenate([train, -train]).astype(dtype)
    assert irs(opposite, queries, metric="cosine").n_train == 40


def test_directions_that_are_merely_close_stay_apart(rng):
    train = rng.normal(size=(30, 16))
    near = train + 1e-5 * rng.normal(size=(30, 16))
    for dtype in (np.float32, np.float64):
        both = np.concatenate([train, near]).astype(dtype)
        assert irs(both, train, metric="cosine").n_train == 60
    # The nearer they are, the more digits of them there must be.
    closer = np.concatenate([train, train + 1e-9 * rng.normal(size=(30, 16))])
    assert irs(closer, train, metric="cosine").n_train == 60


def test_thousands_of_multiples_of_few_directions_return_at_once(rng):
    train = rng.normal(size=(7, 8))[rng.integers(0, 7, 20_000)] * rng.uniform(0.1, 9, (20_000, 1))
    result = irs(train, train[:50], metric="cosine")
    assert (result.n_train, result.retrieved) == (7, 7)


def test_identical_images_everywhere():
    result = irs(np.ones((10, 3)), np.ones((5, 3)))
    assert (result.n_train, result.retrieved, result.value) == (1, 1, 1.0)


def test_order_shift_and_scale_do_not_matter(rng):
    train, x = rng.normal(size=(40, 6)), rng.normal(size=(30, 6))
    plain = irs(train, x)
    assert irs(rng.permutation(train), rng.permutation(x)) == plain
    assert irs(8 * train + 3, 8 * x + 3) == plain


def test_adjusted_compares_at_the_same_size(rng):
    train, held_out = rng.normal(size=(80, 6)), rng.normal(size=(50, 6))
    generated = rng.normal(size=(50, 6))
    result = irs(train, generated, held_out)
    s_generated = irs(train, generated).value
    s_held_out = irs(train, held_out).value
    assert result.adjusted == pytest.approx(s_generated / s_held_out)
    assert irs(train, held_out, held_out).adjusted == 1
    collapsed = irs(train, np.repeat(generated[:2], 25, axis=0), held_out)
    assert collapsed.adjusted < 0.1


def test_adjusted_brings_the_larger_set_down_by_its_mean_over_all_subsets():
    train = np.arange(8.0)[:, None]
    nearest = [0, 0, 0, 1, 1, 2, 3]
    generated, held_out = train[nearest], train[[0, 0, 1, 4]]
    mean = np.mean([len(set(subset)) for subset in combinations(nearest, 4)])  # equal weights
    likelihood = [  # up to a factor that does not depend on s, with s! / (s - k)! for real k
        math.lgamma(s + 1) - math.lgamma(s - mean + 1) - 4 * math.log(s) for s in range(3, 9)
    ]
    ours = 3 + int(np.argmax(likelihood))
    theirs = round(irs_from_counts(3, 4, 8).value * 8)
    assert irs(train, generated, held_out).adjusted == pytest.approx(ours / theirs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: irs([1.0], [[1.0]]), "train must be a 2-D array"),
        (lambda: irs([[1.0]], np.empty((0, 1))), "generated is empty"),
        (lambda: irs([[1.0]], [[np.nan]]), "generated must be finite"),
        (lambda: irs([[np.inf]], [[1.0]]), "train must be finite"),
        (lambda: irs([[1.0]], [[1.0, 2.0]]), "same dimension, got 1 and 2"),
        (lambda: irs([[1.0]], [[1.0]], [[1.0, 2.0]]), "train and held_out must have the same"),
        (lambda: irs([[1.0]], [[1.0]], alpha=0.5), r"alpha must be in \(0, 0.5\)"),
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

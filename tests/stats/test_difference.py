"""Differences of two generated sets: sharper for what they share, and covering the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from rl2qc.stats.difference import paired_difference
from rl2qc.stats.resampling import bootstrap, subsample


def mean(x):
    return float(np.mean(x))


def distance(a, b):
    return float(np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)))


@pytest.mark.parametrize("method", ["bootstrap", "subsample"])
def test_difference_of_two_sets(method, rng):
    real, near, far = (rng.normal(m, 1, size=(80, 3)) for m in (0, 0.5, 1.5))
    result = paired_difference(distance, real, (near, far), method=method)
    assert (result.value_a, result.value_b) == (distance(real, near), distance(real, far))
    assert result.value == result.value_a - result.value_b
    assert result.low <= result.value <= result.high < 0
    assert result.significant
    assert (result.method, result.warnings, result.by_group) == (method, (), False)
    by_hand = (bootstrap if method == "bootstrap" else subsample)(
        lambda r, a, b: distance(r, a) - distance(r, b), real, near, far
    )
    assert (result.low, result.high) == (by_hand.low, by_hand.high)
    swapped = paired_difference(distance, real, (far, near), method=method)
    assert swapped.value == -result.value
    assert swapped.significant


@pytest.mark.parametrize("method", ["bootstrap", "subsample"])
def test_the_shared_real_set_and_pairing_sharpen_the_difference(method, rng):
    real = rng.normal(size=(40, 2))
    scene = 3 + rng.normal(size=(60, 2))
    a, b = scene + 0.1 * rng.normal(size=(60, 2)), scene + 0.1 * rng.normal(size=(60, 2)) + 0.2

    def width(result):
        return result.high - result.low

    apart = [bootstrap(distance, real, s) for s in (a, b)]
    together = paired_difference(distance, real, (a, b), method=method)
    paired = paired_difference(distance, real, (a, b), method=method, paired=True)
    assert width(together) < np.hypot(*(width(i) for i in apart))
    assert width(paired) < width(together) / 2
    assert paired.significant
    assert paired.value == together.value


def test_difference_covers(rng):
    def mean_gap(real, generated):
        return float(generated.mean() - real.mean())

    hits = 0
    for _ in range(100):
        real, a, b = rng.normal(size=30), rng.normal(1, 1, size=40), rng.normal(0.5, 1, size=40)
        result = paired_difference(mean_gap, real, (a, b), n_resamples=80, level=0.9, seed=rng)
        hits += result.low <= 0.5 <= result.high
    assert hits >= binom.ppf(1e-4, 100, 0.87)


def test_a_set_against_itself_differs_by_nothing(rng):
    real, a = rng.normal(size=(30, 2)), rng.normal(size=(20, 2))
    result = paired_difference(distance, real, (a, a), paired=True)
    assert (result.value, result.low, result.high) == (0, 0, 0)
    assert not result.significant


def test_difference_by_group_and_seeded(rng):
    real, a, b = rng.normal(size=(30, 2)), rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    slide, scene = np.arange(30) // 5, np.arange(20) // 4
    for paired in (False, True):
        groups = [slide, scene] if paired else [slide, scene, None]
        result = paired_difference(distance, real, (a, b), paired=paired, groups=groups, seed=1)
        assert result.by_group
        again = np.random.default_rng(1)
        assert result == paired_difference(
            distance, real, (a, b), paired=paired, groups=groups, seed=again
        )


def test_sets_of_different_size_are_warned_of(rng):
    real, a = rng.normal(size=(30, 2)), rng.normal(size=(20, 2))
    assert "20 and 10 images" in paired_difference(distance, real, (a, a[:10])).warnings[0]


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        (np.eye(3), np.eye(3), {"method": "jackknife"}, "method"),
        (np.eye(3), np.eye(3)[:2], {"paired": True}, "as many images, got 3 and 2"),
        (
            np.eye(3),
            np.eye(3),
            {"paired": True, "groups": [None, None, [1, 2, 3]]},
            "share their groups",
        ),
        (np.eye(3), np.eye(3), {"groups": [None, [1, 2], None]}, "one id an image"),
        (np.eye(3)[:1], np.eye(3), {}, "at least 2 images"),
        (np.eye(3), np.full((3, 3), np.nan), {}, "must be finite"),
    ],
)
def test_bad_differences(a, b, options, message):
    with pytest.raises(ValueError, match=message):
        paired_difference(distance, np.eye(3), (a, b), **options)


def test_an_unknown_keyword_is_refused():
    with pytest.raises(TypeError, match="no keyword 'n_resample': there are n_resamples"):
        paired_difference(distance, np.eye(3), (np.eye(3), np.eye(3)), n_resample=5)


def ones_and_zeros(k, n):
    return np.r_[np.ones(k), np.zeros(n - k)]


def share(_, generated):
    return mean(generated)


@pytest.mark.parametrize("method", ["bootstrap", "subsample"])
@pytest.mark.parametrize("k", [0, 60])
def test_equal_shares_at_an_end_are_not_known_exactly(method, k):
    """Of two shares that do not vary the difference is as uncertain as one: Clopper-Pearson's."""
    x = ones_and_zeros(k, 60)
    found = paired_difference(share, np.arange(60), (x, x), method=method, bounds=(0, 1))
    exact = binomtest(0, 60).proportion_ci().high
    assert (found.low, found.high) == pytest.approx((-exact, exact))
    assert not found.significant


@pytest.mark.parametrize("method", ["bootstrap", "subsample"])
@pytest.mark.parametrize(("p", "q"), [(0.98, 0.98), (1, 0.95), (0.5, 0.6), (0.02, 0.2)])
def test_differences_of_shares_are_covered(method, p, q):
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(150):
        a, b = rng.binomial(1, p, 60).astype(float), rng.binomial(1, q, 60).astype(float)
        found = paired_difference(
            share, np.arange(60), (a, b), method=method, bounds=(0, 1), n_resamples=100, seed=rng
        )
        hits += found.low <= p - q <= found.high
    assert hits >= 0.93 * 150


def test_what_shares_have_in_common_still_sharpens_their_difference(rng):
    """Two shares that rise and fall with the same real images: no wider than one of them is."""
    real = ones_and_zeros(60, 100)
    a, b = np.zeros(50), np.r_[np.ones(2), np.zeros(48)]

    def shared(r, generated):
        return 0.9 * mean(r) + 0.1 * mean(generated)

    found = paired_difference(shared, real, (a, b), bounds=(0, 1))
    alone = bootstrap(lambda r: shared(r, a), real, bounds=(0, 1))
    assert found.high - found.low < 0.4 * (alone.high - alone.low)


def test_differences_stay_within_the_range_of_the_metric(rng):
    found = paired_difference(
        lambda _, x: mean(x), np.arange(60), (np.r_[np.ones(3), 0], np.zeros(4)), bounds=(0, 1)
    )
    assert -1 <= found.low <= found.high <= 1


def test_shares_away_from_the_ends_keep_the_interval_of_their_resamples(rng):
    a, b = rng.permutation(ones_and_zeros(60, 100)), rng.permutation(ones_and_zeros(45, 100))
    plain, share_of = (
        paired_difference(share, np.arange(100), (a, b), n_resamples=1000, bounds=bounds)
        for bounds in ((-np.inf, np.inf), (0, 1))
    )
    assert share_of.high - share_of.low == pytest.approx(plain.high - plain.low, rel=0.1)

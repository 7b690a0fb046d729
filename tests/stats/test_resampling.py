"""Intervals against textbook standard errors and by simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import binom, binomtest, norm

from rl2qc.stats.resampling import Interval, bootstrap, subsample

METHODS = [bootstrap, subsample]


def mean(x):
    return float(np.mean(x))


def distance(a, b):
    return float(np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)))


def nearest(x):
    """Mean distance of every row to its nearest other."""
    d = cdist(x, x)
    np.fill_diagonal(d, np.inf)
    return float(d.min(axis=1).mean())


def coverage(method, metric, draw, truth, rng, *, runs=150, **options):
    hits = 0
    for _ in range(runs):
        samples, extra = draw(rng)
        interval = method(
            metric, *samples, n_resamples=100, level=0.9, seed=rng, **extra, **options
        )
        hits += interval.low <= truth <= interval.high
    return hits / runs


# --- shares -----------------------------------------------------------------------------------

SHARE = {"bounds": (0, 1)}


def ones_and_zeros(k, n):
    return np.r_[np.ones(k), np.zeros(n - k)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("p", [0.5, 0.95, 0.98, 0.99, 0.01])
@pytest.mark.parametrize("n", [50, 80, 120])
def test_shares_are_covered_near_their_ends_too(method, p, n):
    """Exactly: an interval depends on the count alone, whose law is known."""
    counts = np.arange(*binom.interval(1 - 1e-5, n, p)).astype(int)
    counts = np.append(counts, counts[-1] + 1)
    found = [method(mean, ones_and_zeros(k, n), n_resamples=100, **SHARE) for k in counts]
    covered = binom.pmf(counts, n, p) @ [i.low <= p <= i.high for i in found]
    assert covered >= 0.95
    unprotected = [method(mean, ones_and_zeros(k, n), n_resamples=100) for k in counts]
    assert all(0 <= i.low <= i.high <= 1 for i in found)
    if p in (0.98, 0.99, 0.01):  # the resamples alone do not
        assert binom.pmf(counts, n, p) @ [i.low <= p <= i.high for i in unprotected] < 0.92


@pytest.mark.parametrize("method", METHODS)
def test_shares_are_covered_in_a_simulation(method):
    rng, n, misses = np.random.default_rng(6), 60, 0
    for _ in range(300):
        interval = method(
            mean, (rng.random(n) < 0.98).astype(float), n_resamples=100, seed=rng, **SHARE
        )
        misses += not interval.low <= 0.98 <= interval.high
    assert misses <= binom.ppf(1 - 1e-3, 300, 0.05)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("k", "n"), [(0, 60), (60, 60), (2, 2), (119, 120), (3, 90)])
def test_the_interval_of_a_share_holds_the_exact_one(method, k, n):
    interval = method(mean, ones_and_zeros(k, n), **SHARE)
    exact = binomtest(k, n).proportion_ci(method="exact")
    # Away from 0 and 1 the number of units is itself estimated from the resamples.
    slack = 0 if k in (0, n) else 0.15
    assert interval.low <= exact.low + slack * (k / n - exact.low) + 1e-12
    assert interval.high >= exact.high - slack * (exact.high - k / n) - 1e-12
    if k in (0, n):
        assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize("method", METHODS)
def test_whole_slides_are_the_units_of_a_share(method):
    slide = np.repeat(np.arange(10), 100)
    ten = binomtest(10, 10).proportion_ci(method="exact")
    interval = method(mean, np.ones(1000), groups=[slide], **SHARE)
    assert (interval.low, interval.high) == pytest.approx((ten.low, 1))
    # Two slides that hold nearly all of the images are worth little more than two.
    uneven = np.repeat(np.arange(10), [496, 496, 1, 1, 1, 1, 1, 1, 1, 1])
    two, three = (binomtest(n, n).proportion_ci(method="exact") for n in (2, 3))
    assert two.low < method(mean, np.ones(1000), groups=[uneven], **SHARE).low < three.low
    # What all slides have in common, images vary in: no reason for the width of ten images.
    noisy = (np.arange(1000) % 10 < 9).astype(float)
    noisy[::53] = 0
    found = method(mean, noisy, groups=[slide], **SHARE)
    assert found.high - found.low < 0.06 < ten.high - ten.low


@pytest.mark.parametrize("method", METHODS)
def test_bounded_values_that_are_no_zeros_and_ones_keep_their_interval(method, rng):
    x = rng.beta(40, 10, size=60)  # a Dice of about 0.8 each
    plain, share = method(mean, x), method(mean, x, **SHARE)
    assert share.high - share.low < 1.15 * (plain.high - plain.low)
    assert share.low <= plain.low and share.high >= plain.high


def test_a_joined_interval_holds_both():
    interval = Interval(0.5, 0.4, 0.6, 0.9, 100, "subsample", by_group=True)
    assert interval.holding(0.3, 0.45) == Interval(0.5, 0.3, 0.6, 0.9, 100, "subsample", True)
    assert interval.holding(0.45, 0.7) == Interval(0.5, 0.4, 0.7, 0.9, 100, "subsample", True)


# --- intervals --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_of_a_mean_is_the_textbook_interval(method, level, rng):
    x = rng.normal(3, 2, size=101)
    interval = method(mean, x, n_resamples=8000, level=level)
    half = norm.ppf((1 + level) / 2) * x.std(ddof=1) / np.sqrt(101)
    assert interval.value == x.mean()
    assert interval.low == pytest.approx(x.mean() - half, abs=0.06 * half)
    assert interval.high == pytest.approx(x.mean() + half, abs=0.06 * half)
    assert (interval.level, interval.n_resamples) == (level, 8000)
    assert (interval.method, interval.by_group) == (method.__name__, False)


@pytest.mark.parametrize("method", METHODS)
def test_a_skewed_error_is_reflected_as_a_pivot_demands(method, rng):
    # exp(mean) errs upwards by more than downwards, so the truth lies further below than above.
    interval = method(lambda x: float(np.exp(3 * x.mean())), rng.normal(size=30))
    assert interval.value - interval.low > 1.2 * (interval.high - interval.value)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_the_finite_sample_correction_makes_every_fraction_agree(fraction, rng):
    x = rng.normal(size=200)
    interval = subsample(mean, x, fraction=fraction, n_resamples=8000)
    width = 2 * norm.ppf(0.975) * x.std(ddof=1) / np.sqrt(200)
    assert interval.high - interval.low == pytest.approx(width, rel=0.06)


@pytest.mark.parametrize("groups", [None, [np.repeat(np.arange(8), 3)]])
def test_bootstrap_of_few_units_is_not_too_narrow(groups):
    # Without the factor sqrt(8 / 7) it would be 6 % narrower.
    x = norm.ppf((np.arange(8) + 0.5) / 8)
    sample = x if groups is None else np.repeat(x, 3)
    interval = bootstrap(mean, sample, groups=groups, n_resamples=20_000)
    half = norm.ppf(0.975) * x.std(ddof=1) / np.sqrt(8)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_covers_as_often_as_it_says(method, rng):
    def draw(rng):
        return (rng.exponential(size=60),), {}

    found = coverage(method, mean, draw, 1.0, rng)
    assert binom.ppf(1e-4, 150, 0.88) / 150 <= found <= binom.ppf(1 - 1e-4, 150, 0.92) / 150


@pytest.mark.parametrize("method", METHODS)
def test_covers_the_expected_value_of_a_biased_metric(method, rng):
    def draw(rng):
        return (rng.normal(size=(40, 8)), rng.normal(0.4, 1, size=(50, 8))), {}

    expected = np.mean([distance(*draw(rng)[0]) for _ in range(3000)])
    assert expected > 1.05 * 0.4 * np.sqrt(8)  # the bias is there
    assert coverage(method, distance, draw, expected, rng) > 0.8


def test_subsampling_covers_a_neighbour_metric_that_replacement_corrupts(rng):
    def draw(rng):
        return (rng.normal(size=(60, 6)) * rng.choice([1, 4], size=(60, 1)),), {}

    expected = np.mean([nearest(*draw(rng)[0]) for _ in range(400)])
    assert coverage(subsample, nearest, draw, expected, rng) > 0.82
    # A third of a bootstrap's rows are repeats, at distance 0 from each other.
    (x,), _ = draw(rng)
    resampled = [nearest(x[rng.integers(60, size=60)]) for _ in range(50)]
    assert np.mean(resampled) < 0.7 * nearest(x)
    interval = subsample(nearest, x)
    assert interval.low < nearest(x) < interval.high


@pytest.mark.parametrize("method", METHODS)
def test_groups_carry_their_dependence_into_the_interval(method, rng):
    def draw(rng):
        slide = np.repeat(np.arange(20), 10)
        return (rng.normal(size=20)[slide] + 0.3 * rng.normal(size=200),), {"groups": [slide]}

    def forget(rng):
        return draw(rng)[0], {}

    assert coverage(method, mean, draw, 0.0, rng) > 0.8
    assert coverage(method, mean, forget, 0.0, rng) < 0.55


@pytest.mark.parametrize("method", METHODS)
def test_whole_groups_are_drawn(method):
    ids = np.array(["b", "a", "b", "c", "a", "b"])
    seen = []

    def record(rows):
        seen.append(rows)
        return 0.0

    interval = method(record, np.arange(6), groups=[ids], n_resamples=50)
    assert interval.by_group
    for rows in seen[1:]:
        counts = np.bincount(rows, minlength=6)
        for members in ([0, 2, 5], [1, 4], [3]):
            assert len(set(counts[members])) == 1
    if method is subsample:
        assert all(len(set(ids[rows])) == 1 for rows in seen[1:])  # floor(3 / 2) groups


@pytest.mark.parametrize("method", METHODS)
def test_only_the_grouped_sample_is_drawn_by_group(method):
    interval = method(distance, np.eye(6), np.eye(6) + 1, groups=[None, [0, 0, 1, 1, 2, 2]])
    assert interval.by_group
    assert not method(distance, np.eye(6), np.eye(6) + 1, groups=[None, None]).by_group


def test_sizes_and_repeats_of_the_resamples():
    sizes, repeats = set(), set()

    def record(x, y):
        sizes.add((len(x), len(y)))
        repeats.add(len(np.unique(x)) < len(x))
        return 0.0

    samples = np.arange(11), np.arange(6)
    bootstrap(record, *samples, n_resamples=20, value=0)
    assert (sizes, repeats) == ({(11, 6)}, {True})
    sizes.clear(), repeats.clear()
    subsample(record, *samples, n_resamples=20, value=0)
    assert (sizes, repeats) == ({(5, 3)}, {False})
    sizes.clear()
    subsample(record, *samples, n_resamples=20, value=0, fraction=0.01)
    assert sizes == {(1, 1)}


@pytest.mark.parametrize("method", METHODS)
def test_a_known_value_is_not_computed_again(method, rng):
    x = rng.normal(size=30)
    shifted = method(mean, x, value=10.0)
    plain = method(mean, x)
    assert shifted.value == 10
    assert shifted.high - shifted.low == pytest.approx(plain.high - plain.low)


@pytest.mark.parametrize("method", METHODS)
def test_clipped_to_the_bounds_of_the_metric(method, rng):
    x = rng.normal(size=30)
    free = method(mean, x)
    low, high = (free.low + free.value) / 2, (free.high + free.value) / 2
    for bounds in ((low, high), (low, np.inf), (-np.inf, high)):
        clipped = method(mean, x, bounds=bounds)
        assert clipped.low == max(bounds[0], free.low)
        assert clipped.high == min(bounds[1], free.high)


@pytest.mark.parametrize("method", METHODS)
def test_identical_images_have_no_width(method):
    assert method(mean, np.ones(20)) == Interval(1, 1, 1, 0.95, 200, method.__name__)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 15),
    method=st.sampled_from(METHODS),
    level=st.floats(0.01, 0.99),
    power=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_holds_the_value_whatever_the_metric(seed, n, method, level, power):
    x = np.random.default_rng(seed).pareto(1.0, size=n)
    interval = method(lambda v: float(np.max(v) ** power), x, n_resamples=7, level=level)
    assert interval.low <= interval.value <= interval.high


@pytest.mark.parametrize("method", METHODS)
def test_scales_and_shifts_with_the_metric(method, rng):
    x = rng.normal(size=25)
    plain, other = method(mean, x), method(lambda v: 3 * mean(v) + 5, x)
    assert (other.low, other.high) == pytest.approx((3 * plain.low + 5, 3 * plain.high + 5))


@pytest.mark.parametrize("method", METHODS)
def test_seeded(method, rng):
    x = rng.normal(size=25)
    assert method(mean, x, seed=3) == method(mean, x, seed=np.random.default_rng(3))
    assert method(mean, x, seed=3) != method(mean, x, seed=4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        ([], {}, "no sample"),
        ([[1.0]], {}, "sample 0 needs at least 2 images"),
        ([[1.0, 2.0], []], {}, "sample 1 needs at least 2 images"),
        ([3.0], {}, "at least 2 images"),
        ([[1.0, 2.0]], {"groups": [[7, 7]]}, "at least 2 groups"),
        ([[1.0, 2.0]], {"groups": [[1, 2, 3]]}, "one id an image"),
        ([[1.0, 2.0]], {"groups": [None, None]}, "one entry"),
        ([[1.0, 2.0]], {"groups": [[None, "a"]]}, "lack the id of 1 of 2 images.* image 0"),
        ([[1.0, 2.0]], {"groups": [[3.0, np.nan]]}, "lack the id of 1 of 2 images.* image 1"),
        ([[1.0, 2.0]], {"groups": [np.array([1, "a"], object)]}, "ids of one type"),
        ([[1.0, 2.0]], {"n_resamples": 1}, "n_resamples"),
        ([[1.0, 2.0]], {"n_resamples": 50.0}, "n_resamples must be a whole number, got 50.0"),
        ([[1.0, 2.0]], {"level": 1.0}, "level"),
        ([[1.0, 2.0]], {"level": 0.0}, "level"),
        ([[1.0, np.nan]], {}, "must be finite"),
        ([[1.0, np.inf]], {}, "must be finite"),
    ],
)
def test_bad_calls(method, samples, options, message):
    def metric(*arrays):
        return float(sum(a.sum() for a in arrays))

    with pytest.raises(ValueError, match=message):
        method(metric, *samples, **options)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, np.nan])
def test_bad_fractions(fraction):
    with pytest.raises(ValueError, match="fraction"):
        subsample(mean, [1.0, 2.0], fraction=fraction)


def test_errors_of_the_metric_pass_through():
    def metric(x):
        if len(x) < 4:
            raise ValueError("k = 3 needs more than 3 images")
        return 0.0

    with pytest.raises(ValueError, match="k = 3"):
        subsample(metric, np.arange(6))

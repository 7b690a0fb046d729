"""Baselines of real against real: their values, sizes, groups, where generated sets stand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from rl2qc.stats._units import Units, split
from rl2qc.stats.baseline import real_baseline


def mean(x):
    return float(np.mean(x))


def distance(a, b):
    return float(np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)))


def test_the_value_is_the_expected_distance_of_disjoint_parts(rng):
    real = rng.normal(size=(400, 1))
    found = real_baseline(distance, real, rng.normal(size=(200, 1)), n_resamples=2000)
    # |N(0, s^2 (1/200 + 1/200))|: median and 95 % range of the absolute value.
    scale = real.std() * np.sqrt(2 / 200)
    assert found.value == pytest.approx(scale * norm.ppf(0.75), rel=0.1)
    assert found.high == pytest.approx(scale * norm.ppf(1 - 0.025 / 2), rel=0.1)
    assert found.low == pytest.approx(scale * norm.ppf(0.5 + 0.025 / 2), rel=0.5)


def test_where_generated_sets_stand(rng):
    real = rng.normal(size=(300, 4))
    percentiles = [
        real_baseline(distance, real, rng.normal(size=(150, 4))).percentile for _ in range(20)
    ]
    assert 20 < np.mean(percentiles) < 85
    assert real_baseline(distance, real, rng.normal(1, 1, size=(150, 4))).percentile == 100
    # A set that copies the mean of the real one is closer than its own parts are.
    assert real_baseline(distance, real, np.tile(real.mean(0), (150, 1))).percentile < 40


@pytest.mark.parametrize(
    ("n_real", "n_generated", "expected"),
    [(10, 3, (7, 3)), (10, 5, (5, 5)), (10, 50, (5, 5)), (11, 50, (6, 5)), (2, 1, (1, 1))],
)
def test_both_comparisons_are_made_at_one_size_on_disjoint_images(n_real, n_generated, expected):
    real, generated = np.arange(n_real), 100 + np.arange(n_generated)
    calls = []

    def record(a, b):
        calls.append((a, b))
        return float(len(calls))

    found = real_baseline(record, real, generated, n_resamples=6)
    assert (found.n_real, found.n_generated, found.n_resamples) == (*expected, 6)
    for (rest, aside), (again, drawn) in zip(calls[::2], calls[1::2], strict=True):
        assert (len(rest), len(aside), len(drawn)) == (*expected, expected[1])
        assert np.array_equal(rest, again)
        assert sorted(np.concatenate([rest, aside])) == list(real)
        assert len(set(drawn)) == len(drawn) and (drawn >= 100).all()


def test_percentile_counts_ties_by_half():
    found = real_baseline(lambda a, b: 1.0, np.zeros(8), np.zeros(4), n_resamples=10)
    assert (found.value, found.low, found.high, found.observed) == (1, 1, 1, 1)
    assert found.percentile == 50


def test_by_group_it_never_cuts_a_group(rng):
    slide = np.repeat(np.arange(7), [3, 5, 2, 9, 4, 4, 3])
    sample = np.arange(30)
    calls = []

    def record(a, b):
        calls.append((a, b))
        return 0.0

    found = real_baseline(record, sample, np.arange(8), real_groups=slide, n_resamples=40)
    assert found.by_group
    for (rest, aside), (again, drawn) in zip(calls[::2], calls[1::2], strict=True):
        assert not set(slide[rest]) & set(slide[aside])
        assert np.array_equal(rest, again)
        assert 0 < len(aside) == len(drawn) <= 8
        # All of every other group.
        assert len(rest) == np.isin(slide, slide[rest]).sum()


def test_by_group_it_leaves_a_group_on_either_side():
    slide = np.array(["small"] + 9 * ["large"])
    sizes = set()

    def record(a, b):
        sizes.add((len(a), len(b)))
        return 0.0

    real_baseline(record, np.arange(10), np.arange(10), real_groups=slide, n_resamples=40)
    assert sizes == {(9, 1), (1, 5)}


def test_by_group_it_holds_the_differences_between_slides(rng):
    slide = np.repeat(np.arange(12), 20)
    real = rng.normal(size=(12, 2))[slide] + 0.1 * rng.normal(size=(240, 2))
    generated = real[:60]
    by_image = real_baseline(distance, real, generated)
    by_slide = real_baseline(distance, real, generated, real_groups=slide)
    assert by_slide.value > 2 * by_image.value


def test_generated_groups_are_drawn_whole(rng):
    scene = np.repeat(np.arange(5), 4)
    drawn = []

    def record(a, b):
        drawn.append(b)
        return 0.0

    real_baseline(record, np.zeros(16), np.arange(20), generated_groups=scene, n_resamples=20)
    for rows in drawn[1::2]:
        assert len(rows) == 8 == np.isin(scene, scene[rows]).sum()


def test_a_single_generated_group_is_drawn_by_image():
    found = real_baseline(distance, np.eye(8), np.eye(8)[:4], generated_groups=["a"] * 4)
    assert found.n_generated == 4


def test_it_is_seeded(rng):
    real, generated = rng.normal(size=(40, 2)), rng.normal(size=(20, 2))
    first = real_baseline(distance, real, generated, seed=1)
    assert first == real_baseline(distance, real, generated, seed=np.random.default_rng(1))
    assert first != real_baseline(distance, real, generated, seed=2)


@pytest.mark.parametrize(
    ("real", "generated", "options", "message"),
    [
        (np.zeros((1, 2)), np.zeros((3, 2)), {}, "real needs at least 2 images"),
        (np.zeros((0, 2)), np.zeros((3, 2)), {}, "real needs at least 2 images"),
        (np.zeros((4, 2)), np.zeros((0, 2)), {}, "generated needs at least 1 images"),
        (np.zeros((4, 2)), np.zeros((3, 2)), {"real_groups": [1] * 4}, "at least 2 groups"),
        (np.zeros((4, 2)), np.zeros((3, 2)), {"real_groups": [1, 2]}, "groups of real"),
        (np.zeros((4, 2)), np.zeros((3, 2)), {"generated_groups": [1, 2]}, "groups of generated"),
        (np.zeros((4, 2)), np.zeros((3, 2)), {"generated_groups": [1]}, "groups of generated"),
        (np.zeros((4, 2)), np.zeros((3, 2)), {"n_resamples": 0}, "n_resamples"),
        (np.zeros((4, 2)), np.zeros((3, 2)), {"level": 2}, "level"),
        (np.full((4, 2), np.nan), np.zeros((3, 2)), {}, "must be finite"),
        (np.zeros((4, 2)), np.full((3, 2), np.inf), {}, "must be finite"),
    ],
)
def test_bad_samples(real, generated, options, message):
    with pytest.raises(ValueError, match=message):
        real_baseline(distance, real, generated, **options)


@pytest.mark.parametrize("n_groups", [2, 7, 120])
def test_rows_of_groups_are_those_that_bear_their_labels(n_groups, rng):
    labels = np.concatenate([np.arange(n_groups), rng.integers(n_groups, size=80)]).astype(str)
    units = Units(labels, labels, "real")
    names = np.unique(labels)
    drawn = rng.integers(n_groups, size=n_groups)  # some of them twice
    expected = np.concatenate([np.flatnonzero(labels == names[u]) for u in drawn])
    assert np.array_equal(units.rows(drawn), expected)
    first, rest = split(units, 30, rng)
    assert len(first) == min(30, len(labels) - len(rest))
    assert len(rest) and not {*labels[first]} & {*labels[rest]}

"""IRS of features: what is retrieved, duplicates, cosine, adjusted."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from rl2qc.metrics.irs import irs
from rl2qc.metrics.irs_counts import irs_from_counts


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
    assert irs(train, queries, distance="cosine").retrieved == 10
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
    result = irs(doubled, queries, distance="cosine")
    assert (result.n_train, result.n_duplicates) == (20, 20)
    assert (result.irs_alpha, result.value) == (1, 1)
    # Under the Euclidean metric they are images of their own; opposite ones always are.
    assert irs(doubled, queries).n_train == 36 + 4
    opposite = np.concatenate([train, -train]).astype(dtype)
    assert irs(opposite, queries, distance="cosine").n_train == 40


def test_directions_that_are_merely_close_stay_apart(rng):
    train = rng.normal(size=(30, 16))
    near = train + 1e-5 * rng.normal(size=(30, 16))
    for dtype in (np.float32, np.float64):
        both = np.concatenate([train, near]).astype(dtype)
        assert irs(both, train, distance="cosine").n_train == 60
    # The nearer they are, the more digits of them there must be.
    closer = np.concatenate([train, train + 1e-9 * rng.normal(size=(30, 16))])
    assert irs(closer, train, distance="cosine").n_train == 60


def test_thousands_of_multiples_of_few_directions_return_at_once(rng):
    train = rng.normal(size=(7, 8))[rng.integers(0, 7, 20_000)] * rng.uniform(0.1, 9, (20_000, 1))
    result = irs(train, train[:50], distance="cosine")
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
    train, unseen = rng.normal(size=(80, 6)), rng.normal(size=(50, 6))
    generated = rng.normal(size=(50, 6))
    result = irs(train, generated, unseen)
    s_generated = irs(train, generated).value
    s_unseen = irs(train, unseen).value
    assert result.adjusted == pytest.approx(s_generated / s_unseen)
    assert irs(train, unseen, unseen).adjusted == 1
    collapsed = irs(train, np.repeat(generated[:2], 25, axis=0), unseen)
    assert collapsed.adjusted < 0.1


def test_adjusted_brings_the_larger_set_down_by_its_mean_over_all_subsets():
    train = np.arange(8.0)[:, None]
    nearest = [0, 0, 0, 1, 1, 2, 3]
    generated, unseen = train[nearest], train[[0, 0, 1, 4]]
    mean = np.mean([len(set(subset)) for subset in combinations(nearest, 4)])  # equal weights
    likelihood = [  # up to a factor that does not depend on s, with s! / (s - k)! for real k
        math.lgamma(s + 1) - math.lgamma(s - mean + 1) - 4 * math.log(s) for s in range(3, 9)
    ]
    ours = 3 + int(np.argmax(likelihood))
    theirs = round(irs_from_counts(3, 4, 8).value * 8)
    assert irs(train, generated, unseen).adjusted == pytest.approx(ours / theirs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: irs([1.0], [[1.0]]), "train must be a 2-D array"),
        (lambda: irs([[1.0]], np.empty((0, 1))), "generated is empty"),
        (lambda: irs([[1.0]], [[np.nan]]), "generated must be finite"),
        (lambda: irs([[np.inf]], [[1.0]]), "train must be finite"),
        (lambda: irs([[1.0]], [[1.0, 2.0]]), "same dimension, got 1 and 2"),
        (lambda: irs([[1.0]], [[1.0]], [[1.0, 2.0]]), "train and unseen must have the same"),
        (lambda: irs([[1.0]], [[1.0]], alpha=0.5), r"alpha must be in \(0, 0.5\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_old_keywords_are_understood(rng):
    train, generated, unseen = rng.normal(size=(3, 30, 4))
    with pytest.warns(DeprecationWarning, match="held_out is called unseen"):
        old = irs(train, generated, held_out=unseen)
    assert old == irs(train, generated, unseen)
    with pytest.warns(DeprecationWarning, match="metric is called distance"):
        assert irs(train, generated, metric="cosine").metric == "cosine"

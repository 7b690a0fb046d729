"""Authenticity against its definition, one image at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from rl2qc.metrics.authenticity import authentic_images, authenticity


def oracle(train, queries):
    count = 0
    for query in queries:
        distance = np.linalg.norm(train - query, axis=1)
        nearest = distance.argmin()
        others = np.delete(train, nearest, axis=0)
        count += distance.min() > np.linalg.norm(others - train[nearest], axis=1).min()
    return count / len(queries)


def test_definition(rng):
    train, unseen = rng.normal(size=(60, 5)), rng.normal(size=(60, 5))
    generated = np.concatenate([train[:20] + 0.3 * rng.normal(size=(20, 5)), 2 * unseen[:25]])
    result = authenticity(train, generated, unseen)
    assert result.value == oracle(train, generated)
    assert result.unseen_value == oracle(train, unseen)
    assert 0 < result.value < 1
    to_train = np.linalg.norm(generated[:, None] - train, axis=2).min(axis=1)
    to_unseen = np.linalg.norm(generated[:, None] - unseen, axis=2).min(axis=1)
    assert result.nearer_train == np.mean(to_train < to_unseen)
    assert (result.n_generated, result.n_train, result.n_unseen) == (45, 60, 60)
    assert float(result) == result.value


def test_without_unseen_images(rng):
    result = authenticity(rng.normal(size=(20, 3)), rng.normal(size=(10, 3)))
    assert result.unseen_value is result.nearer_train is None
    assert result.n_unseen == 0


def test_new_images_score_as_unseen_ones_do(rng):
    train, unseen, generated = (rng.normal(size=(500, 16)) for _ in range(3))
    result = authenticity(train, generated, unseen)
    assert result.value == pytest.approx(result.unseen_value, abs=0.1)
    assert result.nearer_train == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_copies_are_found(noise, rng):
    train, unseen = rng.normal(size=(80, 16)), rng.normal(size=(80, 16))
    copies = train + noise * rng.normal(size=(80, 16))
    result = authenticity(train, copies, unseen)
    assert result.value == 0
    assert result.nearer_train == 1


def test_a_larger_training_set_is_not_nearer_by_number_alone(rng):
    train, unseen = rng.normal(size=(2000, 4)), rng.normal(size=(100, 4))
    generated = rng.normal(size=(300, 4))
    result = authenticity(train, generated, unseen)
    assert result.nearer_train == pytest.approx(0.5, abs=0.1)
    assert authenticity(train, generated, unseen) == result
    other = authenticity(train, generated, unseen, rng=np.random.default_rng(1))
    assert other.nearer_train != result.nearer_train


def test_ties_count_half():
    assert authenticity([[0.0], [9.0]], [[1.0]], [[2.0], [11.0]]).nearer_train == 0.5


def test_identical_images_are_no_new_ones():
    ones = np.ones((6, 3))
    result = authenticity(ones, ones, ones)
    assert (result.value, result.unseen_value, result.nearer_train) == (0, 0, 0.5)


def test_order_shift_and_scale_do_not_matter(rng):
    train, generated = rng.normal(size=(40, 4)), rng.normal(size=(30, 4))
    plain = authenticity(train, generated)
    moved = authenticity(2 * rng.permutation(train) + 4, 2 * rng.permutation(generated) + 4)
    assert moved == plain


def test_cosine_ignores_length(rng):
    train, generated = rng.normal(size=(40, 4)), rng.normal(size=(30, 4))
    longer = generated * rng.uniform(0.1, 10, size=(30, 1))
    plain = authenticity(train, generated, distance="cosine")
    assert authenticity(train, longer, distance="cosine").value == plain.value


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([[1.0]], [[1.0]]), "k = 1 needs more than 1 images in train, got n = 1"),
        (([[1.0], [2.0]], np.empty((0, 1))), "generated is empty"),
        (([[1.0], [np.nan]], [[1.0]]), "train must be finite"),
        (([[1.0], [2.0]], [[np.inf]]), "generated must be finite"),
        (([[1.0], [2.0]], [1.0]), "generated must be a 2-D array"),
        (([[1.0], [2.0]], [[1.0, 2.0]]), "train and generated must have the same dimension"),
        (([[1.0], [2.0]], [[1.0]], [[1.0, 2.0]]), "train and unseen must have the same"),
    ],
)
def test_bad_input(args, message):
    with pytest.raises(ValueError, match=message):
        authenticity(*args)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_which_images_are_authentic(rng, metric):
    """By the definition, with scipy's distances; a training image twice spaces itself by 0."""
    train, queries = rng.normal(size=(30, 4)), rng.normal(size=(20, 4))
    train[3] = train[4]
    queries[0] = train[3]
    queries[1] = train[7]
    to_train, within = cdist(queries, train, metric), cdist(train, train, metric)
    np.fill_diagonal(within, np.inf)
    expected = to_train.min(axis=1) > within.min(axis=1)[to_train.argmin(axis=1)]
    found = authentic_images(train, queries, distance=metric)
    assert found.tolist() == expected.tolist()
    assert found.mean() == authenticity(train, queries, distance=metric).value
    assert not found[:2].any()
    assert found.any()

"""Inception score against loops over the definition, and at its bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl2qc.metrics.inception import inception_score


def by_loops(p):
    n, classes = p.shape
    marginal = [sum(p[i, c] for i in range(n)) / n for c in range(classes)]
    divergence = 0.0
    for i in range(n):
        for c in range(classes):
            if p[i, c] > 0:
                divergence += p[i, c] * (math.log(p[i, c]) - math.log(marginal[c])) / n
    return math.exp(divergence)


@pytest.mark.parametrize("splits", [1, 3, 7])
def test_definition(splits, rng):
    p = rng.dirichlet(np.full(5, 0.3), size=50)
    p[0] = [0, 0, 1, 0, 0]
    result = inception_score(p, splits=splits, seed=None)
    expected = [by_loops(part) for part in np.array_split(p, splits)]
    assert result.per_split == pytest.approx(expected)
    assert result.value == pytest.approx(np.mean(expected)) == float(result)
    assert result.std == pytest.approx(np.std(expected))
    assert (result.n, result.n_classes) == (50, 5)


def test_bounds():
    assert inception_score(np.tile(np.eye(6), (5, 1)), splits=1).value == pytest.approx(6)
    assert inception_score(np.full((30, 6), 1 / 6)).value == pytest.approx(1)
    assert inception_score(np.tile([[0.9, 0.1]], (30, 1))).value == pytest.approx(1)
    assert inception_score([[0.2, 0.8]], splits=1).value == pytest.approx(1)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), classes=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_between_one_and_the_number_of_classes_or_images(seed, n, classes):
    p = np.random.default_rng(seed).dirichlet(np.full(classes, 0.2), size=n)
    score = inception_score(p, splits=1).value
    assert 1 - 1e-12 <= score <= min(n, classes) + 1e-9
    assert inception_score(p[::-1, ::-1], splits=1).value == pytest.approx(score)
    assert inception_score(np.repeat(p, 3, axis=0), splits=1).value == pytest.approx(score)


def test_shuffled_by_the_seed(rng):
    p = np.repeat(np.eye(4), 10, axis=0)  # sorted by class: every split in order holds one class
    assert inception_score(p, splits=4, seed=None).value == pytest.approx(1)
    assert inception_score(p, splits=4, seed=0).value > 2
    assert inception_score(p, seed=1) == inception_score(p, seed=np.random.default_rng(1))
    assert inception_score(p, splits=1, seed=1).value == pytest.approx(
        inception_score(p, splits=1, seed=2).value
    )


def test_single_precision_softmax_is_accepted_and_not_changed(rng):
    logits = rng.normal(size=(40, 9)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    kept = p.copy()
    exact = p.astype(float) / p.astype(float).sum(axis=1, keepdims=True)
    assert inception_score(p, splits=1).value == pytest.approx(by_loops(exact), rel=1e-12)
    assert np.array_equal(p, kept)


def test_warns_when_the_images_of_a_split_cap_the_score():
    assert "cannot score above 3" in inception_score(np.full((30, 5), 0.2), splits=10).warnings[0]
    assert "cannot score above 4" in inception_score(np.full((4, 5), 0.2)).warnings[-1]
    assert inception_score(np.full((50, 5), 0.2)).warnings == ()


@pytest.mark.parametrize(
    ("n", "classes", "splits"),
    [(100, 10, 10), (99, 10, 9), (25, 10, 2), (20, 1008, 1), (500, 2, 10)],
)
def test_splits_hold_an_image_a_class_where_they_can(n, classes, splits, rng):
    p = rng.dirichlet(np.full(classes, 0.1), size=n)
    found = inception_score(p)
    assert found == inception_score(p, splits=splits) or found.warnings
    assert found.per_split == inception_score(p, splits=splits).per_split
    assert any(f"{splits} splits instead of 10" in w for w in found.warnings) == (splits < 10)


def test_few_images_of_as_many_classes_are_not_capped_by_their_splits():
    """One image a class: 10 splits of 2 could not score above 2."""
    assert inception_score(np.eye(20)).value == pytest.approx(20)
    assert inception_score(np.eye(20), splits=10).value == pytest.approx(2)


@pytest.mark.parametrize(
    ("values", "splits", "message"),
    [
        (np.eye(3), 4, "splits must be between 1 and n = 3"),
        (np.eye(3), 0, "splits"),
        (np.eye(3), 2.0, "splits must be a whole number, got 2.0"),
        (np.array([[2.0, -1.0]]), 1, "non-negative"),
        (np.array([[3.0, 1.0]]), 1, "softmax"),
        (np.array([[0.5, np.nan]]), 1, "finite"),
        (np.array([[0.5, np.inf]]), 1, "finite"),
        (np.array([0.5, 0.5]), 1, "2-D"),
        (np.empty((0, 3)), 1, "empty"),
    ],
)
def test_bad_input(values, splits, message):
    with pytest.raises(ValueError, match=message):
        inception_score(values, splits=splits)

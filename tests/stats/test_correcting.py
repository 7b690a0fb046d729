"""Corrections move weights where that helps tiles of other slides, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rl2qc.stats.correcting import _fit, fit_weights


def test_the_most_likely_weights_are_those_of_another_library(rng: np.random.Generator) -> None:
    features = rng.normal(size=(60, 4))
    bad = features @ [1, -2, 0, 0.5] + rng.logistic(size=60) > 0
    for width in (0.5, 3.0):
        peer = LogisticRegression(C=width**2, fit_intercept=False, tol=1e-10, max_iter=10_000)
        expected = peer.fit(features, bad).coef_[0]
        np.testing.assert_allclose(_fit(features, np.zeros(60), bad, width), expected, atol=1e-4)


def test_a_margin_is_a_feature_of_known_weight(rng: np.random.Generator) -> None:
    features, margins = rng.normal(size=(40, 3)), rng.normal(size=40)
    bad = rng.random(40) < 0.5
    found = _fit(features, margins, bad, 2.0)

    def loss(weights: np.ndarray) -> float:
        odds = np.where(bad, 1, -1) * (margins + features @ weights)
        return float(np.log1p(np.exp(-odds)).sum() + weights @ weights / 8)

    for step in np.r_[np.eye(3), -np.eye(3)] * 0.05:
        assert loss(found + step) > loss(found)


def test_what_was_right_changes_nothing(rng: np.random.Generator) -> None:
    margins = np.r_[np.full(10, 5.0), np.full(10, -5.0)]
    features = rng.normal(size=(20, 5))
    assert not fit_weights(features, margins, margins > 0, np.arange(20) % 4).any()


def test_what_is_wrong_in_one_way_is_put_right(rng: np.random.Generator) -> None:
    # Tiles with the second evidence are bad, and the model thinks them clean.
    features = np.abs(rng.normal(size=(20, 5))) * 0.1
    features[10:, 1] = 1
    found = fit_weights(features, np.full(20, -2.0), np.arange(20) >= 10, np.arange(20) % 4)
    assert found.argmax() == 1
    assert (found @ features[10:].T > 2).all()


def test_what_no_evidence_tells_changes_nothing(rng: np.random.Generator) -> None:
    # Said by chance, of tiles that the model is in doubt about.
    helped = 0
    for _ in range(20):
        features, bad = rng.normal(size=(16, 40)), rng.random(16) < 0.5
        helped += fit_weights(features, np.zeros(16), bad, np.arange(16) % 4).any()
    assert helped <= 6


def test_one_slide_teaches_no_other(rng: np.random.Generator) -> None:
    features = np.r_[np.ones((10, 1)), np.zeros((10, 1))]
    assert not fit_weights(features, np.full(20, -3.0), features[:, 0] > 0, np.zeros(20, int)).any()


@pytest.mark.parametrize("kind", [False, True])
def test_marks_of_one_kind_teach_nothing(rng: np.random.Generator, kind: bool) -> None:
    """Of clean ones alone, other tiles were rejected for want of what these have."""
    features, groups = rng.normal(size=(20, 3)), np.arange(20) % 2
    margins = np.full(20, 3.0 if not kind else -3.0)
    assert not fit_weights(features, margins, np.full(20, kind), groups).any()


def test_a_single_correction_changes_nothing() -> None:
    assert not fit_weights(np.ones((1, 3)), np.zeros(1), np.ones(1, bool), np.zeros(1, int)).any()

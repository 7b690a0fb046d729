"""The probe against scikit-learn's pipeline and on data with a known direction."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rl2qc.model.detectors.probe import DamageProbe


@pytest.fixture
def sets(rng):
    """Clean and damaged rows that differ along one direction of least variance."""
    spread = np.linspace(3, 0.5, 20)
    clean = rng.normal(size=(400, 20)) * spread
    damaged = rng.normal(size=(400, 20)) * spread
    damaged[:, -1] += 2
    return clean, damaged


def test_against_scikit_learn(sets):
    clean, damaged = sets
    model = make_pipeline(StandardScaler().fit(clean), LogisticRegression(C=0.01, max_iter=1000))
    x = model[0].transform(np.r_[clean, damaged])
    model[1].fit(x, np.r_[np.zeros(400), np.ones(400)])
    expected = -model[1].decision_function(x)
    got = DamageProbe().fit(clean, damaged).score_samples(np.r_[clean, damaged])
    assert got == pytest.approx(expected, abs=1e-3)


def test_it_sees_what_is_small_beside_the_variety(sets):
    clean, damaged = sets
    probe = DamageProbe().fit(clean[:200], damaged[:200])
    labels = np.r_[np.ones(200), np.zeros(200)]
    found = roc_auc_score(labels, probe.score_samples(np.r_[clean[200:], damaged[200:]]))
    # Of two normals 4 spreads apart the AUC is Phi(4 / sqrt(2)) = 0.998.
    assert found > 0.98


def test_far_away_is_far_and_no_more(sets):
    probe = DamageProbe().fit(*sets)
    near, far = np.zeros((2, 1, 20))
    near[0, 3], far[0, 3] = 1e3, 1e9
    assert probe.score_samples(near) == probe.score_samples(far)


def test_dead_statistics_do_not_decide(sets):
    clean, damaged = (np.c_[x, np.zeros(len(x))] for x in sets)
    probe = DamageProbe().fit(clean, damaged)
    other = np.zeros((1, 21))
    other[0, -1] = 1e-6
    assert probe.score_samples(other) == pytest.approx(probe.score_samples(np.zeros((1, 21))))


def test_state_gives_the_same_scores(sets):
    probe = DamageProbe().fit(*sets)
    stored = {k: v.astype(np.float32).astype(np.float64) for k, v in probe.state().items()}
    again = DamageProbe.from_state(stored)
    assert np.array_equal(again.score_samples(sets[0]), probe.score_samples(sets[0]))
    del stored["weights"]
    with pytest.raises(KeyError):
        DamageProbe.from_state(stored)

"""The discriminator against scikit-learn's, and what it says of copies and groups."""

from __future__ import annotations

import numpy as np
import pytest
from contracts.metric import check_metric
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from rl2qc.metrics import discriminator
from rl2qc.metrics.discriminator import discriminator_auc
from rl2qc.scoring.spec import METRICS


@pytest.mark.parametrize("shift", [0.0, 0.4, 1.0, 3.0])
def test_against_scikit_learn(rng, shift):
    """Same folds, other code: its shrinkage is that of standardised features, here all alike."""
    x, y = rng.normal(size=(150, 5)), rng.normal(shift / 2, 1, size=(120, 5))
    draws = np.random.default_rng(0)
    folds = [discriminator._folds(len(s), None, draws, "") for s in (x, y)]
    wins = pairs = 0
    for fold in range(5):
        train = np.concatenate([x[folds[0] != fold], y[folds[1] != fold]])
        label = np.repeat([0, 1], [(folds[0] != fold).sum(), (folds[1] != fold).sum()])
        fitted = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(train, label)
        held = np.concatenate([x[folds[0] == fold], y[folds[1] == fold]])
        truth = np.repeat([0, 1], [(folds[0] == fold).sum(), (folds[1] == fold).sum()])
        n = (truth == 0).sum() * (truth == 1).sum()
        wins += n * roc_auc_score(truth, fitted.decision_function(held))
        pairs += n
    assert discriminator_auc(x, y) == pytest.approx(wins / pairs, abs=0.01)


def test_equal_sets_cannot_be_told_apart_and_copies_mislead(rng):
    x, y = rng.normal(size=(2, 300, 40))
    assert discriminator_auc(x, y) == pytest.approx(0.5, abs=0.08)
    copied = np.concatenate([x[::-1][:250], y[:50]])
    assert discriminator_auc(x, copied) < 0.45
    assert discriminator_auc(x, y + 1) > 0.99


def test_groups_stay_on_one_side(rng):
    """Images of a slide tell the slide: by images it is told that they are of different ones."""
    labels = np.repeat(np.arange(12), 20)
    slides = 2 * rng.normal(size=(24, 30))
    x, y = (slides[i::2][labels] + rng.normal(size=(240, 30)) for i in (0, 1))
    assert discriminator_auc(x, y) > 0.9
    assert discriminator_auc(x, y, real_groups=labels, generated_groups=labels) < 0.85
    folds = discriminator._folds(240, labels, np.random.default_rng(0), "")
    assert all(len(set(folds[labels == slide])) == 1 for slide in range(12))
    assert np.bincount(folds).tolist() == [60, 60, 40, 40, 40]


def test_too_few(rng):
    x = rng.normal(size=(9, 3))
    for bad, words in (((x[:1], x), "real needs at least 2"), ((x, x[:1]), "generated needs")):
        with pytest.raises(ValueError, match=words):
            discriminator_auc(*bad)
    with pytest.raises(ValueError, match="one id an image"):
        discriminator_auc(x, x, real_groups=[1, 2])
    assert discriminator_auc(np.ones((8, 3)), np.ones((8, 3))) == 0.5


def test_contract(tiny_model, stained):
    check_metric(METRICS.get("discriminator_auc"), tiny_model, stained(130))

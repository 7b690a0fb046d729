"""The filter's score: its parts, their sum, and calibration by cross-fitting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.detectors.base import Reference
from rl2qc.model.detectors.combined import shortfall
from rl2qc.model.detectors.folds import calibration_scores, fold_rows
from rl2qc.model.detectors.probe import DamageProbe, ProbeDetector
from rl2qc.model.detectors.stages import StageDetector
from rl2qc.model.network.backbone import STATISTICS_DIM

PARTS = {"stages": StageDetector, "probe": ProbeDetector}


@pytest.fixture(scope="module")
def clean():
    rng = np.random.default_rng(3)
    # Few directions of variation, as in real features: not independent noise.
    return (
        rng.normal(size=(400, 10)) @ rng.normal(size=(10, STATISTICS_DIM))
        + 0.3 * rng.normal(size=(400, STATISTICS_DIM))
    ).astype(np.float32)


@pytest.fixture(scope="module")
def damaged(clean):
    return clean + np.float32(0.2)


@pytest.fixture(scope="module")
def reference(clean, damaged):
    return Reference(clean[:300], fold_rows(300, None, 0), damaged[:300], np.arange(300))


@pytest.fixture(scope="module")
def fitted(reference):
    return {name: kind().fit(reference) for name, kind in PARTS.items()}


@pytest.fixture(scope="module")
def calibration(fitted):
    found = {name: part.out_of_fold_ for name, part in fitted.items()}
    return found | {"combined": shortfall(found)}


def scores(fitted, statistics):
    found = {name: part.scores(statistics) for name, part in fitted.items()}
    return found | {"combined": shortfall(found)}


def test_the_score_is_the_sum_of_two_shortfalls(fitted, clean):
    found = scores(fitted, clean[300:])
    expected = sum(np.log(1 + np.exp(-found[part])) for part in PARTS)
    assert found["combined"] == pytest.approx(-expected, rel=1e-9)
    assert found["combined"].max() < 0


def test_the_probe_is_standardised_out_of_fold(calibration, clean, damaged):
    """Against the same fits, written out."""
    fold = fold_rows(300, None, 0)
    found = np.empty(300)
    for f in np.unique(fold):
        probe = DamageProbe().fit(clean[:300][fold != f], damaged[:300][fold != f])
        found[fold == f] = probe.score_samples(clean[:300][fold == f])
    median, low = np.quantile(found, [0.5, 0.1587])
    assert calibration["probe"] == pytest.approx((found - median) / (median - low))


@pytest.mark.parametrize("part", ["stages", "probe", "combined"])
def test_new_clean_patches_are_kept_as_asked(fitted, calibration, clean, part):
    """100 new patches at alpha 0.2: 80 +- 4, and the calibration's own error.

    A few more are kept, since the final fit has a tenth more patches than those out of fold.
    """
    p = conformal_p_values(scores(fitted, clean[300:])[part], calibration[part])
    assert 0.7 < (p > 0.2).mean() < 0.97


def test_damage_that_the_density_misses_is_seen(fitted, calibration, damaged):
    found = scores(fitted, damaged[300:])
    assert (found["probe"] < calibration["probe"].min()).all()


def test_a_hold_out_that_was_given_calibrates_alone(fitted, reference):
    from rl2qc.model.detectors.base import DETECTORS

    apart = replace(reference, held=np.arange(200, 300), apart=True)
    for name, part in fitted.items():
        found = calibration_scores(DETECTORS.get(name), part, apart)
        assert np.array_equal(found, part.out_of_fold_[200:])


def test_copies_share_the_fold_of_their_source(reference, fitted, damaged):
    """Two copies of each patch, in any order, give about what one gives."""
    order = np.random.default_rng(0).permutation(600)
    twice = replace(
        reference,
        damaged=np.r_[damaged[:300], damaged[:300]][order],
        sources=np.tile(np.arange(300), 2)[order],
    )
    found = ProbeDetector().fit(twice).out_of_fold_
    assert np.corrcoef(found, fitted["probe"].out_of_fold_)[0, 1] > 0.95


def test_state_gives_the_same_scores(fitted, clean):
    stored = dict(fitted["probe"].state())
    again = ProbeDetector.from_state(stored)
    assert np.array_equal(again.scores(clean[300:]), fitted["probe"].scores(clean[300:]))
    del stored["weights"]
    with pytest.raises(KeyError):
        ProbeDetector.from_state(stored)

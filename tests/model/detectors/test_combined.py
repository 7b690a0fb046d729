"""The detector: its parts, its sum, and calibration by cross-fitting."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.detectors.combined import Detector
from rl2qc.model.detectors.folds import fold_rows
from rl2qc.model.detectors.probe import DamageProbe
from rl2qc.model.network.backbone import STATISTICS_DIM


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
def detector(clean, damaged):
    return Detector().fit(clean[:300], damaged[:300], np.arange(300))


def test_the_score_is_the_sum_of_two_shortfalls(detector, clean):
    found = detector.scores(clean[300:])
    shortfall = sum(np.log(1 + np.exp(-found[part])) for part in ("stages", "probe"))
    assert found["detector"] == pytest.approx(-shortfall, rel=1e-9)
    assert np.array_equal(found["detector"], detector.score_samples(clean[300:]))
    assert found["detector"].max() < 0


def test_the_probe_is_standardised_out_of_fold(detector, clean, damaged):
    """Against the same fits, written out."""
    fold = fold_rows(300, None, 0)
    found = np.empty(300)
    for f in np.unique(fold):
        fitted = DamageProbe().fit(clean[:300][fold != f], damaged[:300][fold != f])
        found[fold == f] = fitted.score_samples(clean[:300][fold == f])
    median, low = np.quantile(found, [0.5, 0.1587])
    assert detector.calibration_["probe"] == pytest.approx((found - median) / (median - low))


@pytest.mark.parametrize("part", ["stages", "probe", "detector"])
def test_new_clean_patches_are_kept_as_asked(detector, clean, part):
    """100 new patches at alpha 0.2: 80 +- 4, and the calibration's own error.

    A few more are kept, since the final fit has a tenth more patches than those out of fold.
    """
    p = conformal_p_values(detector.scores(clean[300:])[part], detector.calibration_[part])
    assert 0.7 < (p > 0.2).mean() < 0.97


def test_damage_that_the_density_misses_is_seen(detector, damaged):
    found = detector.scores(damaged[300:])
    assert (found["probe"] < detector.calibration_["probe"].min()).all()


def test_only_the_rows_named_calibrate(clean, damaged):
    chosen = np.arange(300) >= 200
    fitted = Detector().fit(clean[:300], damaged[:300], np.arange(300), calibrates=chosen)
    assert {len(v) for v in fitted.calibration_.values()} == {100}


def test_copies_share_the_fold_of_their_source(clean, damaged):
    """Two copies of each patch, in any order, give about what one gives."""
    order = np.random.default_rng(0).permutation(600)
    sources = np.tile(np.arange(300), 2)[order]
    twice = Detector().fit(clean[:300], np.r_[damaged[:300], damaged[:300]][order], sources)
    once = Detector().fit(clean[:300], damaged[:300], np.arange(300))
    correlation = np.corrcoef(twice.calibration_["probe"], once.calibration_["probe"])[0, 1]
    assert correlation > 0.95


def test_state_gives_the_same_scores(detector, clean):
    stored = detector.state()
    assert np.array_equal(
        Detector.from_state(stored).score_samples(clean[300:]), detector.score_samples(clean[300:])
    )
    del stored["probe.weights"]
    with pytest.raises(KeyError):
        Detector.from_state(stored)

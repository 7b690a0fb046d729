"""What every detector must hold, whoever wrote it; call :func:`check_detector` in a test."""

from __future__ import annotations

import numpy as np
from toy_general import toy_prior

from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.detectors.base import DETECTORS, Reference
from rl2qc.model.detectors.book import DetectorSet
from rl2qc.model.detectors.folds import fold_rows
from rl2qc.model.network.backbone import POOLED, STATISTICS_DIM
from rl2qc.model.training.flow import FLOW_STEPS, Steps, fit_density


def clean_statistics(n: int, seed: int) -> np.ndarray:
    """Rows (n, d): statistics with few directions of variation, as real ones, and evidence."""
    directions = np.random.default_rng(3).normal(size=(10, STATISTICS_DIM))
    rng = np.random.default_rng(seed)
    noise = 0.3 * rng.normal(size=(n, STATISTICS_DIM))
    statistics = rng.normal(size=(n, 10)) @ directions + noise
    evidence = rng.beta(1, 30, (n, len(toy_prior().names)))
    return np.concatenate([statistics, evidence], axis=1, dtype=np.float32)


def damaged_statistics(clean: np.ndarray) -> np.ndarray:
    """Statistics of what happened to patches: a shift that few directions of theirs hold."""
    shift = np.random.default_rng(4).normal(size=clean.shape[1])
    shift[STATISTICS_DIM:] = 0.3
    return (clean + 1.5 * shift).astype(np.float32)


def small_reference(n: int = 240, seed: int = 0) -> Reference:
    """A reference of toy statistics with a damaged copy of each patch, and a quick density."""
    import torch

    clean = clean_statistics(n, seed)
    held = np.arange(n)[::4]
    train = np.setdiff1d(np.arange(n), held)
    density = FeatureDensity(512, 12, layers=2, hidden=16, seed=seed)
    features = torch.from_numpy(clean[:, POOLED].copy())
    steps = Steps(20, FLOW_STEPS.patience, 64, FLOW_STEPS.learning_rate, 1e-3)
    fit_density(density, features[train], features[held], steps, seed=seed)
    return Reference(
        clean,
        fold_rows(n, None, seed),
        damaged=damaged_statistics(clean),
        sources=np.arange(n),
        held=held,
        density=density.eval(),
        prior=toy_prior(),
        seed=seed,
    )


def check_detector(name: str, reference: Reference) -> None:
    """Scores, direction, calibration out of fold, state.

    Parameters
    ----------
    name
        Of a registered detector.
    reference
        Such as :func:`small_reference` gives.
    """
    fitted, calibration = DetectorSet.fit(reference)
    assert name in fitted.names
    new = clean_statistics(400, seed=11)
    scores = fitted(new, [name])[name]
    assert scores.shape == (400,) and scores.dtype == np.float64
    assert np.isfinite(scores).all()
    _check_rows(fitted, name, new, scores)
    _check_calibration(name, reference, calibration[name], scores)
    # Higher is more normal.
    assert np.median(fitted(damaged_statistics(new), [name])[name]) < np.median(scores)
    _check_state(fitted, name, calibration, new, scores)


def _check_rows(fitted, name, new, scores):
    """A patch has its score whatever is asked beside it, and whatever else is asked of it."""
    order = np.random.default_rng(0).permutation(len(new))
    np.testing.assert_allclose(fitted(new[order], [name])[name], scores[order], rtol=1e-3, atol=0.1)
    together = fitted(new, fitted.names)
    assert list(together) == list(fitted.names)
    assert np.array_equal(together[name], scores)


def _check_calibration(name, reference, calibration, scores):
    """New clean patches are kept as asked; what took part in a fit does not calibrate."""
    spec = DETECTORS.get(name)
    held_out = spec.calibration == "held_out"
    assert len(calibration) == (len(reference.held) if held_out else reference.calibrates.sum())
    kept = (conformal_p_values(scores, calibration) > 0.1).mean()
    # 90 % of 400, with the errors of both: a few more, since the final fit knows more patches.
    error = 3 * np.sqrt(0.09 * (1 / len(scores) + 1 / len(calibration)))
    assert 0.9 - error < kept < 0.9 + error + 0.06, kept


def _check_state(fitted, name, calibration, new, scores):
    """What a file holds gives the very scores: arrays of numbers, floats rounded to single."""
    states = {
        own: {part: _stored(array) for part, array in state.items()}
        for own, state in fitted.states().items()
    }
    again = DetectorSet.from_states(states, calibration, fitted.density)
    assert again.names == fitted.names
    assert np.array_equal(again(new, [name])[name], scores)


def _stored(array):
    assert isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
    return array.astype(np.float64) if array.dtype.kind == "f" else array

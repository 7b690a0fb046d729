"""Stage statistics against hooks and numpy; the detector against Gaussian closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from rl2qc.model.backbone import (
    POOLED,
    STAGE_WIDTHS,
    STATISTICS_DIM,
    ResNet18Features,
    load_weights,
    to_tensor,
)
from rl2qc.model.stages import StageDetector


@pytest.fixture(scope="module")
def backbone():
    model = ResNet18Features()
    load_weights(model, "random", seed=1)
    return model.eval()


@pytest.fixture
def statistics(rng):
    return rng.normal(size=(400, STATISTICS_DIM)) * rng.uniform(0.5, 2, STATISTICS_DIM)


def test_statistics_are_those_of_each_stages_map(backbone, rng):
    """Maps caught by hooks in torchvision's own forward pass, reduced by numpy in float64."""
    images = to_tensor(rng.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))
    maps, hooks = [], []
    trunk = backbone.trunk
    for module in (trunk.relu, trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
        hooks.append(
            module.register_forward_hook(lambda _m, _i, out: maps.append(out.double().numpy()))
        )
    try:
        with torch.inference_mode():
            pooled = backbone(images).numpy()
    finally:
        for hook in hooks:
            hook.remove()
    expected = np.concatenate([r for m in maps for r in (m.mean((2, 3)), m.std((2, 3)))], axis=1)
    with torch.inference_mode():
        got = backbone.statistics(images).numpy()
    assert got.shape == (3, STATISTICS_DIM)
    assert got == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert got[:, POOLED] == pytest.approx(pooled, abs=1e-5)


def test_a_stage_is_scored_by_its_gaussian(statistics, rng):
    """With one component a stage, the density is N(mean, l vv' + s (I - vv'))."""
    train, held, new = statistics[:200], statistics[200:300], statistics[300:]
    detector = StageDetector(1).fit(train, held)
    width = 2 * STAGE_WIDTHS["stem"]
    x = train[:, :width]
    variances, vectors = np.linalg.eigh(np.cov(x.T))
    noise = variances[:-1].mean()
    v = vectors[:, -1:]
    covariance = variances[-1] * v @ v.T + noise * (np.eye(width) - v @ v.T)
    density = multivariate_normal(x.mean(0), covariance)
    reference = density.logpdf(held[:, :width])
    median, low = np.quantile(reference, [0.5, 0.1587])
    expected = (density.logpdf(new[:, :width]) - median) / (median - low)
    assert detector.stage_scores(new)["stem"] == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("stage", STAGE_WIDTHS)
def test_a_change_in_any_one_stage_is_seen(statistics, stage):
    detector = StageDetector().fit(statistics[:250], statistics[250:350])
    clean, changed = statistics[350:], statistics[350:].copy()
    start = 2 * sum(w for s, w in STAGE_WIDTHS.items() if list(STAGE_WIDTHS).index(s) <
                    list(STAGE_WIDTHS).index(stage))  # fmt: skip
    changed[:, start : start + 2 * STAGE_WIDTHS[stage]] *= 3
    assert detector.score_samples(changed).max() < detector.score_samples(clean).min()


def test_the_score_is_the_least_normal_stage(statistics):
    detector = StageDetector().fit(statistics[:250], statistics[250:350])
    stages = detector.stage_scores(statistics[350:])
    assert list(stages) == list(STAGE_WIDTHS)
    assert np.array_equal(
        detector.score_samples(statistics[350:]), np.minimum.reduce(list(stages.values()))
    )


def test_state_gives_the_same_scores(statistics):
    detector = StageDetector().fit(statistics[:250], statistics[250:350])
    again = StageDetector.from_state(detector.state())
    assert np.array_equal(
        again.score_samples(statistics[350:]), detector.score_samples(statistics[350:])
    )
    state = detector.state()
    del state["layer3.mean_"]
    with pytest.raises(KeyError):
        StageDetector.from_state(state)


def test_wrong_shape_is_refused(statistics):
    with pytest.raises(ValueError, match=r"must be \(n, 2048\), got \(400, 7\)"):
        StageDetector().fit(statistics[:, :7], statistics)

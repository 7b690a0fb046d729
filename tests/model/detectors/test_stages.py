"""Stage statistics against hooks and numpy; their densities against Gaussian closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from rl2qc.model.detectors.base import Reference
from rl2qc.model.detectors.stages import StageDetector
from rl2qc.model.network.backbone import (
    POOLED,
    STAGE_WIDTHS,
    STATISTICS_DIM,
    ResNet18Features,
    load_weights,
    to_tensor,
)


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


@pytest.fixture
def fold():
    return np.arange(300) % 5


def test_a_stage_is_scored_by_its_gaussian(statistics, fold):
    """With one component a stage, the density is N(mean, l vv' + s (I - vv')), out of fold too."""

    def gaussian(x):
        variances, vectors = np.linalg.eigh(np.cov(x.T))
        noise, v = variances[:-1].mean(), vectors[:, -1:]
        covariance = variances[-1] * v @ v.T + noise * (np.eye(len(v)) - v @ v.T)
        return multivariate_normal(x.mean(0), covariance)

    width = 2 * STAGE_WIDTHS["stem"]
    train, new = statistics[:300, :width], statistics[300:, :width]
    held = np.empty(300)
    for f in range(5):
        held[fold == f] = gaussian(train[fold != f]).logpdf(train[fold == f])
    median, low = np.quantile(held, [0.5, 0.1587])
    expected = (gaussian(train).logpdf(new) - median) / (median - low)
    detector = StageDetector(1).fit(Reference(statistics[:300], fold))
    assert detector.stage_scores(statistics[300:])["stem"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("stage", STAGE_WIDTHS)
def test_a_change_in_any_one_stage_is_seen(statistics, stage, fold):
    detector = StageDetector(32).fit(Reference(statistics[:300], fold))
    clean, changed = statistics[350:], statistics[350:].copy()
    start = 2 * sum(w for s, w in STAGE_WIDTHS.items() if list(STAGE_WIDTHS).index(s) <
                    list(STAGE_WIDTHS).index(stage))  # fmt: skip
    changed[:, start : start + 2 * STAGE_WIDTHS[stage]] *= 3
    assert detector.scores(changed).max() < detector.scores(clean).min()


def test_the_score_is_the_least_normal_stage(statistics, fold):
    detector = StageDetector(32).fit(Reference(statistics[:300], fold))
    stages = detector.stage_scores(statistics[350:])
    assert list(stages) == list(STAGE_WIDTHS)
    assert np.array_equal(
        detector.scores(statistics[350:]), np.minimum.reduce(list(stages.values()))
    )


def test_state_gives_the_same_scores(statistics, fold):
    detector = StageDetector(32).fit(Reference(statistics[:300], fold))
    again = StageDetector.from_state(detector.state())
    assert np.array_equal(again.scores(statistics[350:]), detector.scores(statistics[350:]))
    state = detector.state()
    del state["0.layer3.mean"]
    with pytest.raises(KeyError):
        StageDetector.from_state(state)


def test_wrong_shape_is_refused(statistics, fold):
    with pytest.raises(ValueError, match=r"must be \(n, 2048\), got \(300, 7\)"):
        StageDetector().fit(Reference(statistics[:300, :7], fold))


@pytest.fixture
def two_kinds(rng):
    """A kind of tissue that varies little, 300 patches, and one that varies much, 100."""
    kinds = np.repeat([0, 1], [300, 100])
    x = rng.normal(size=(400, STATISTICS_DIM)) * np.where(kinds, 3, 1)[:, None]
    x[kinds == 1] += 8
    return x, kinds


def test_each_kind_is_kept_by_its_own_spread(two_kinds):
    x, kinds = two_kinds
    fold = np.random.default_rng(0).permutation(400) % 5
    one = StageDetector(8, n_clusters=1).fit(Reference(x, fold)).out_of_fold_
    two = StageDetector(8, n_clusters=2).fit(Reference(x, fold)).out_of_fold_
    share = [(s[kinds == 1] < np.quantile(s, 0.1)).mean() for s in (one, two)]
    # With one density nearly all that fall below the threshold are of the varied kind.
    assert share[0] > 0.3
    assert 0.02 < share[1] < 0.25


def test_a_patch_belongs_to_the_cluster_that_knows_it(two_kinds):
    x, kinds = two_kinds
    fold = np.random.default_rng(0).permutation(400) % 5
    detector = StageDetector(8, n_clusters=2).fit(Reference(x, fold))
    alone = StageDetector(8, n_clusters=1).fit(Reference(x[kinds == 1], fold[kinds == 1]))
    got = detector.scores(x[kinds == 1])
    assert got == pytest.approx(alone.scores(x[kinds == 1]), rel=1e-6)


def test_clusters_are_as_many_as_patches_allow(statistics, fold, two_kinds):
    assert len(StageDetector(8).fit(Reference(statistics[:300], fold)).densities_) == 1
    x, kinds = two_kinds
    fold = np.random.default_rng(0).permutation(400) % 5
    # The third cluster would be a handful of patches; so would the second be of 20.
    few = np.r_[np.flatnonzero(kinds == 0), np.flatnonzero(kinds == 1)[:20]]
    assert len(StageDetector(8, n_clusters=2).fit(Reference(x[few], fold[few])).densities_) == 1

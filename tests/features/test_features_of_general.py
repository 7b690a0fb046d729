"""Features of a model with a map and a branch: all that it gives, told apart in the cache."""

from __future__ import annotations

import numpy as np
import pytest
from toy_general import toy_head

import rl2qc
from rl2qc.features.cache import FeatureCache
from rl2qc.features.of_model import ModelFeatures, ModelLatents, ModelStatistics
from rl2qc.model.network.backbone import POOLED, STATISTICS_DIM
from rl2qc.model.network.branch import ScoreBranch

KINDS = (ModelFeatures, ModelLatents, ModelStatistics)


def branch(seed: int) -> ScoreBranch:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(512, STATISTICS_DIM)).astype(np.float32) / 50
    return ScoreBranch(weight, np.zeros(512, np.float32))


@pytest.fixture
def general(general_file):
    model = rl2qc.QualityModel.load(general_file, device="cpu", runtime="torch")
    model.extractor.branch = branch(0)
    return model


def test_the_cache_holds_all_that_the_model_gives(general, source, tmp_path):
    cache = FeatureCache(tmp_path)
    expected = general.statistics(source)
    assert expected.shape[1] > STATISTICS_DIM
    for _ in range(2):
        np.testing.assert_array_equal(cache.features(ModelStatistics(general), source), expected)
        np.testing.assert_array_equal(
            cache.features(ModelFeatures(general), source), expected[:, POOLED]
        )


def test_another_branch_or_head_is_another_identity(general):
    found = [kind(general).identity for kind in KINDS]
    general.extractor.branch = branch(1)
    assert all(kind(general).identity != before for kind, before in zip(KINDS, found, strict=True))
    general.extractor.branch = branch(0)
    assert [kind(general).identity for kind in KINDS] == found
    head = toy_head()
    head.whole.bias.data.add_(1)
    general.extractor.head = head
    features, latents, statistics = (kind(general).identity for kind in KINDS)
    # The evidence is the head's; features are not.
    assert (features, latents) == (found[0], found[1]) and statistics != found[2]
    general.extractor.branch = None
    assert ModelFeatures(general).identity != features


@pytest.mark.parametrize("cache", [True, False])
def test_scores_are_measured_on_the_branch(general, stained, cache):
    real, made = stained(60, seed=1), stained(50, seed=2)
    card = rl2qc.score(made, real, general, cache=cache, n_resamples=9, metrics=("rl2", "fid"))
    plain = [general.latents(x).astype(float).mean(0) for x in (real, made)]
    assert card["rl2"] == pytest.approx(np.linalg.norm(plain[0] - plain[1]), rel=1e-4)


def test_features_are_those_of_a_pass_without_evidence(general, source, monkeypatch):
    whole = general.statistics(source)
    monkeypatch.setattr("rl2qc.model.network.statistics.map_evidence", None)
    monkeypatch.setattr("rl2qc.model.network.statistics.line_responses", None)
    np.testing.assert_array_equal(
        general.statistics(source, evidence=False), whole[:, :STATISTICS_DIM]
    )
    np.testing.assert_array_equal(general.features(source), whole[:, POOLED])


def test_statistics_are_the_first_columns_of_those_with_evidence(
    general, source, tmp_path, monkeypatch
):
    plain, whole = ModelStatistics(general, evidence=False), ModelStatistics(general)
    assert plain.identity != whole.identity and plain.dim < whole.dim
    own = FeatureCache(tmp_path / "own").features(plain, source)
    cache = FeatureCache(tmp_path / "shared")
    kept = cache.features(whole, source.take([0, 1, 2]))
    looked_at = []
    monkeypatch.setattr(
        plain, "extract", lambda images: looked_at.append(len(images)) or own[-len(images) :]
    )
    # Passes of three and of twelve images round differently on some processors.
    rounded = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(cache.features(plain, source), own, **rounded)
    assert looked_at == [len(source) - 3]
    np.testing.assert_allclose(kept[:, : plain.dim], own[:3], **rounded)


@pytest.mark.parametrize(
    ("metrics", "asked"), [(("rl2", "kid"), False), (("kept_fraction_real",), True)]
)
def test_scores_measure_evidence_where_likelihoods_are_asked_for(
    general, stained, monkeypatch, metrics, asked
):
    seen = []
    evidence = general.extractor.of_batch
    monkeypatch.setattr(
        general.extractor, "of_batch", lambda images: seen.append(1) or evidence(images)
    )
    rl2qc.score(
        stained(8), stained(9, seed=2), general, cache=False, n_resamples=0, metrics=metrics
    )
    assert bool(seen) == asked

"""Extractors: the model's own numbers, an identity that tells them apart, the cache."""

from __future__ import annotations

import numpy as np
import torch

from rl2qc.features.cache import FeatureCache
from rl2qc.features.find import get_extractor
from rl2qc.features.networks import NetworkFeatures, weights_hash
from rl2qc.features.of_model import ModelFeatures, ModelLatents, ModelStatistics
from rl2qc.model.network.backbone import POOLED
from rl2qc.model.quality import QualityModel


def test_features_and_latents_are_the_models(tiny_model, source):
    features, latents = (get_extractor(n, tiny_model) for n in ("model", "latents"))
    assert (features.name, features.dim, latents.name, latents.dim) == (
        "model",
        512,
        "latents",
        512,
    )
    assert np.array_equal(features.extract(source), tiny_model.features(source))
    assert np.array_equal(latents.extract(source), tiny_model.latents(source))
    statistics = ModelStatistics(tiny_model)
    got = statistics.extract(source)
    assert got.shape == (len(source), statistics.dim)
    np.testing.assert_allclose(got[:, POOLED], features.extract(source), rtol=1e-3, atol=1e-4)


def test_identity_is_of_the_weights(tiny_model, tiny_model_file, patches):
    same = QualityModel.load(tiny_model_file)
    other_flow = QualityModel.fit(patches, backbone=tiny_model_file, epochs=1, device="cpu")
    other = QualityModel.fit(patches, backbone="random", seed=1, epochs=1, device="cpu")
    identity = {
        (kind.name, i): kind(model).identity
        for kind in (ModelFeatures, ModelLatents, ModelStatistics)
        for i, model in enumerate((tiny_model, same, other_flow, other))
    }
    assert (
        identity["model", 0] == identity["model", 1] == identity["model", 2] != identity["model", 3]
    )
    assert identity["latents", 0] == identity["latents", 1]
    assert len({identity["latents", i] for i in (0, 2, 3)} | {identity["model", 0]}) == 4
    assert identity["statistics", 0] == identity["statistics", 2] != identity["statistics", 3]
    assert identity["statistics", 0] not in {identity["model", 0], identity["latents", 0]}


def test_identity_is_of_the_preprocessing(tiny_model, tiny_model_file):
    changed = QualityModel.load(tiny_model_file)
    changed.backbone.mean = (0.5, 0.5, 0.5)
    assert ModelFeatures(changed).identity != ModelFeatures(tiny_model).identity


def test_a_weight_a_name_and_a_shape_change_the_hash():
    def layer(name, value):
        module = torch.nn.Module()
        module.register_buffer(name, torch.tensor(value))
        return weights_hash(module)

    hashes = [
        layer("a", [1.0, 2.0]),
        layer("a", [1.0, 2.5]),
        layer("b", [1.0, 2.0]),
        layer("a", [[1.0, 2.0]]),
    ]
    assert len(set(hashes)) == 4
    assert layer("a", [1.0, 2.0]) == hashes[0]


def test_batches_do_not_matter(source):
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    expected = np.stack([source[i] / 255.0 for i in range(12)]).mean((1, 2))
    for batch_size in (1, 5, 12, 50):
        extractor = NetworkFeatures("mean", "mean", 3, network, batch_size=batch_size)
        np.testing.assert_allclose(extractor.extract(source), expected, atol=1e-6)


def test_every_extractor_goes_through_the_cache(tiny_model, source, tmp_path):
    cache = FeatureCache(tmp_path)
    for name in ("model", "latents"):
        extractor = get_extractor(name, tiny_model)
        first = cache.features(extractor, source)
        np.testing.assert_allclose(first, extractor.extract(source), rtol=1e-4, atol=1e-4)
        assert np.array_equal(cache.features(extractor, source), first)
    assert cache.info().entries == 24

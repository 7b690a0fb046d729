"""Features of images whose range is stretched first."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rl2qc.errors import UsageError
from rl2qc.features.cache import FeatureCache
from rl2qc.features.find import find_all, get_extractor
from rl2qc.features.stretched import stretch
from rl2qc.images.sources.base import as_source


def test_a_stretch_is_that_of_opencv(rng):
    for _ in range(20):
        low, high = np.sort(rng.choice(256, 2, replace=False))
        image = rng.integers(low, high + 1, (9, 7, 3), dtype=np.uint8)
        if image.min() == image.max():
            continue
        wanted = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
        assert np.abs(stretch(image).astype(int) - wanted.astype(int)).max() <= 1
        assert (stretch(image).min(), stretch(image).max()) == (0, 255)


def test_an_image_of_one_value_stays(rng):
    image = np.full((4, 4, 3), 7, np.uint8)
    assert np.array_equal(stretch(image), image)


def test_features_are_those_of_stretched_images(tiny_model, stained):
    images = stained(5) // 2 + 40
    plain, normalized = (get_extractor(n, tiny_model) for n in ("model", "model:normalized"))
    wanted = plain.extract(as_source(np.stack([stretch(i) for i in images]), size=64))
    found = normalized.extract(as_source(images, size=64))
    assert np.allclose(found, wanted, atol=1e-5)
    assert not np.allclose(found, plain.extract(as_source(images, size=64)), atol=1e-2)
    assert normalized.name == "model:normalized" and normalized.identity != plain.identity


def test_they_are_the_same_with_and_without_a_cache(tiny_model, stained, tmp_path):
    # Images larger than the patch: the range is that of the patch, whoever reads it.
    source = as_source(stained(3, 96), size=64)
    extractor = get_extractor("model:normalized", tiny_model)
    cache = FeatureCache(tmp_path)
    assert np.array_equal(cache.features(extractor, source), extractor.extract(source))
    assert np.array_equal(cache.features(extractor, source), extractor.extract(source))


def test_features_from_elsewhere_cannot_be_stretched(tiny_model, tmp_path):
    for title in ("real", "generated"):
        np.save(tmp_path / f"{title}.npy", np.ones((2, 3), np.float32))
    with pytest.raises(UsageError, match="computed elsewhere do not follow"):
        find_all([f"{tmp_path}:normalized"], tiny_model, ["real", "generated"])


def test_one_extractor_twice_is_named(tiny_model):
    with pytest.raises(UsageError, match="features model are those of model"):
        find_all(["model", "rl2"], tiny_model, ["real"])

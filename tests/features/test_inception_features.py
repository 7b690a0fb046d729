"""Inception-v3: torchvision's route, Pillow's resizing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from network_helpers import IMAGENET, normalised, pooled
from PIL import Image

from rl2qc.features.inception import InceptionFeatures
from rl2qc.images.sources.base import as_source


def test_inception_is_torchvisions_own_route(inception, rng):
    """At 299 px: the same features and probabilities as torchvision's preprocessing gives."""
    source = as_source(rng.integers(0, 256, (3, 299, 299, 3), np.uint8), 299)
    images = normalised(source, *IMAGENET)
    inception.transform_input = True  # as torchvision sets it when it loads weights
    expected = pooled(inception, images)
    with torch.inference_mode():
        probabilities = inception(images).softmax(1).numpy()
    extractor = InceptionFeatures(_copy(inception), batch_size=2)
    features = extractor.extract(source)
    assert features.shape == (3, extractor.dim) == (3, 2048)
    np.testing.assert_allclose(features, expected, atol=1e-4 * expected.max())
    np.testing.assert_allclose(extractor.probabilities(features), probabilities, rtol=1e-3)
    assert extractor.probabilities(features).sum(1) == pytest.approx(np.ones(3))


@pytest.mark.parametrize("side", [64, 420])
def test_inception_resizes_as_pillow_does(inception, stained, side):
    source = as_source(stained(2, side), side)
    resized = np.stack(
        [
            np.asarray(Image.fromarray(source[i]).resize((299, 299), Image.Resampling.BILINEAR))
            for i in range(2)
        ]
    )
    extractor = InceptionFeatures(_copy(inception))
    got, expected = extractor.extract(source), extractor.extract(as_source(resized, 299))
    # Pillow rounds to whole grey levels.
    np.testing.assert_allclose(got, expected, atol=0.02 * expected.max())


def _copy(inception):
    trunk = torchvision.models.inception_v3(weights=None, init_weights=False)
    trunk.load_state_dict(inception.state_dict())
    return trunk

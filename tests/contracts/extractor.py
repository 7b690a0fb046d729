"""What every extractor must hold, whoever wrote it; call :func:`check_extractor` in a test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rl2qc.features.base import FeatureExtractor
from rl2qc.images.sources.base import PatchSource


def check_extractor(
    make: Callable[[], FeatureExtractor], source: PatchSource, *, any_images: bool = True
) -> None:
    """Shape, numbers, order, batches, identity, and what follows from the features.

    Parameters
    ----------
    make
        Makes it anew each time.
    source
        At least six patches, of which no two are equal.
    any_images
        False for features that belong to the images of ``source`` as a whole.
    """
    extractor = make()
    assert isinstance(extractor, FeatureExtractor)
    assert extractor.name and isinstance(extractor.name, str)
    assert extractor.identity.strip() and "\n" not in extractor.identity
    features = extractor.extract(source)
    assert features.shape == (len(source), extractor.dim)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert len(np.unique(features, axis=0)) == len(source)
    _check_again(make, extractor, features, source)
    if any_images:
        _check_rows(extractor, features, source)
    _check_what_follows(extractor, features, source)


def _check_again(make, extractor, features, source):
    """Made again, it is the same: the cache takes its features for those of the first."""
    again = make()
    assert (again.name, again.dim, again.identity) == (
        extractor.name,
        extractor.dim,
        extractor.identity,
    )
    np.testing.assert_allclose(again.extract(source), features, rtol=1e-4, atol=_atol(features))


def _check_rows(extractor, features, source):
    """A patch has its features whatever stands beside it, and in whatever order."""
    order = np.random.default_rng(0).permutation(len(source))
    shuffled = extractor.extract(source.take(order))
    np.testing.assert_allclose(shuffled, features[order], rtol=1e-3, atol=_atol(features))
    alone = np.concatenate([extractor.extract(source.take([i])) for i in range(3)])
    np.testing.assert_allclose(alone, features[:3], rtol=1e-3, atol=_atol(features))


def _check_what_follows(extractor, features, source):
    probabilities = extractor.probabilities(features)
    if probabilities is not None:
        assert probabilities.ndim == 2 and len(probabilities) == len(source)
        assert probabilities.min() >= 0
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    if extractor.follows is not None:
        statistics = extractor.follows.statistics(source)
        np.testing.assert_allclose(
            extractor.of_statistics(statistics), features, rtol=1e-4, atol=_atol(features)
        )


def _atol(features):
    # Batches of another size sum in another order.
    return 1e-4 * float(np.abs(features).max())

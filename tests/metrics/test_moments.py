"""Streaming moments against NumPy on the whole set."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl2qc.metrics.moments import Moments


def assert_moments(moments, x, rtol=1e-10):
    assert moments.count == len(x)
    scale = np.abs(x - x.mean(axis=0)).max() ** 2
    np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=rtol)
    np.testing.assert_allclose(
        moments.covariance(), np.cov(x, rowvar=False).reshape(x.shape[1], -1), atol=rtol * scale
    )


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_batches_give_the_moments_of_the_whole(offset, rng):
    x = offset + rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
    moments = Moments.of(x[:1])
    for start in range(1, 200, 37):
        moments = moments.update(x[start : start + 37])
    assert_moments(moments, x)


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(1, 49), seed=st.integers(0, 2**32 - 1))
def test_merge_is_symmetric_and_exact_for_any_cut(cut, seed):
    x = np.random.default_rng(seed).normal(size=(50, 3)) * [1e-3, 1.0, 1e3]
    a, b = Moments.of(x[:cut]), Moments.of(x[cut:])
    for merged in (a.merge(b), b.merge(a)):
        assert_moments(merged, x)


def test_one_dimension(rng):
    x = rng.normal(size=(20, 1))
    assert Moments.of(x).covariance().shape == (1, 1)
    assert_moments(Moments.of(x), x)


def test_float32_is_accumulated_in_float64(rng):
    x = (1000 + rng.normal(size=(5000, 2))).astype(np.float32)
    assert_moments(Moments.of(x), x.astype(np.float64))


def test_identical_images_have_no_scatter():
    both = Moments.of(np.full((5, 3), 0.1)).update(np.full((7, 3), 0.1))
    np.testing.assert_allclose(both.scatter, 0, atol=1e-30)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Moments.of([[1.0]]).covariance(), "at least 2 images, got n = 1"),
        (lambda: Moments.of([[1.0]]).merge(Moments.of([[1.0, 2.0]])), "dimension, got 1 and 2"),
        (lambda: Moments.of(np.empty((0, 4))), "features is empty"),
        (lambda: Moments.of([1.0, 2.0]), "features must be a 2-D array"),
        (lambda: Moments.of([[1.0]]).update([[np.nan]]), "features must be finite"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_stream_takes_the_memory_of_a_batch(rng):
    """60 MB of features, of which no more than a few copies of one batch are held at a time."""
    batches = (rng.standard_normal((500, 50)) for _ in range(300))
    moments = Moments.of(next(batches))
    tracemalloc.start()
    try:
        for batch in batches:
            moments = moments.update(batch)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert moments.count == 150_000
    assert peak < 8 * 500 * 50 * 8

"""Rows that are one image, against all pairs compared one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl2qc.metrics._duplicates import first_occurrences


def by_pairs(x, metric):
    if metric == "cosine":
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        x = x / np.where(norms > 0, norms, 1)
    return (np.linalg.norm(x[:, None] - x[None], axis=2) < 1e-9).argmax(axis=1)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@given(seed=st.integers(0, 2**32 - 1), dimension=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_first_row_of_each_class(metric, seed, dimension):
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, size=(30, dimension)) * rng.choice([1, 3, 0.7], size=(30, 1))
    np.testing.assert_array_equal(first_occurrences(x, metric), by_pairs(x, metric))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dimension", [2, 64, 2048])
def test_rounded_multiples_are_found_and_neighbours_are_not(dtype, dimension, rng):
    x = rng.normal(size=(50, dimension)).astype(dtype)
    multiples = x * rng.uniform(1e-3, 1e3, size=(50, 1)).astype(dtype)
    far_enough = 100 * np.finfo(dtype).eps
    moved = (x * (1 + far_enough * rng.normal(size=x.shape))).astype(dtype)
    found = first_occurrences(np.concatenate([x, multiples, moved]), "cosine")
    np.testing.assert_array_equal(found[:100], np.tile(np.arange(50), 2))
    if dimension > 2:  # in the plane a change may be along the direction itself
        np.testing.assert_array_equal(found[100:], np.arange(100, 150))

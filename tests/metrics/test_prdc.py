"""Precision, recall, density and coverage against their definitions on the full table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from rl2qc.metrics.prdc import prdc

SCORES = ("precision", "recall", "density", "coverage")


def oracle(real, generated, k, inside):
    """The definitions of the two papers on float64 tables of all distances."""

    def radii(x):
        return np.sort(cdist(x, x), axis=1)[:, k]  # column 0 is the image itself

    table = cdist(real, generated)
    in_real = inside(table, radii(real)[:, None])
    in_generated = inside(table, radii(generated)[None, :])
    return (
        in_real.any(axis=0).mean(),
        in_generated.any(axis=1).mean(),
        in_real.sum(axis=0).mean() / k,
        inside(table.min(axis=1), radii(real)).mean(),
    )


def scores(result):
    return tuple(getattr(result, name) for name in SCORES)


@pytest.mark.parametrize("k", [1, 3, 5, 20])
@pytest.mark.parametrize(
    ("convention", "inside"), [("prdc", np.less), ("kynkaanniemi", np.less_equal)]
)
@pytest.mark.parametrize("shift", [0.0, 0.7, 50.0])
def test_definitions(k, convention, inside, shift, rng):
    real, generated = rng.normal(size=(90, 6)), shift + 0.8 * rng.normal(size=(60, 6))
    result = prdc(real, generated, k, convention=convention)
    assert scores(result) == pytest.approx(oracle(real, generated, k, inside))
    assert (result.k, result.convention) == (k, convention)
    assert (result.n_real, result.n_generated) == (90, 60)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6))
def test_conventions_on_a_grid_full_of_equal_distances(seed, k):
    rng = np.random.default_rng(seed)
    real = rng.integers(0, 4, size=(30, 2)).astype(float)
    generated = rng.integers(0, 4, size=(20, 2)).astype(float)
    for convention, inside in (("prdc", np.less), ("kynkaanniemi", np.less_equal)):
        found = scores(prdc(real, generated, k, convention=convention))
        assert found == pytest.approx(oracle(real, generated, k, inside))


def test_identical_sets(rng):
    x = rng.normal(size=(50, 4))
    result = prdc(x, x)
    # Each open ball holds its centre and k - 1 neighbours.
    assert scores(result) == pytest.approx((1, 1, 1, 1))
    assert prdc(x, x, convention="kynkaanniemi").density == pytest.approx(6 / 5)


def test_precision_and_recall_swap_with_the_arguments(rng):
    real, generated = rng.normal(size=(60, 4)), 0.2 * rng.normal(size=(60, 4))
    there, back = prdc(real, generated), prdc(generated, real)
    assert (there.precision, there.recall) == (back.recall, back.precision)
    # A generator that stays in the middle is precise and recalls little.
    assert there.precision > 0.9 > 0.5 > there.recall


def test_shift_scale_and_order_do_not_matter(rng):
    real, generated = rng.normal(size=(40, 4)), rng.normal(size=(50, 4))
    plain = prdc(real, generated)
    assert prdc(4 * rng.permutation(real) + 8, 4 * rng.permutation(generated) + 8) == plain


def test_identical_images_tell_the_conventions_apart():
    ones = np.ones((10, 3))
    assert scores(prdc(ones, ones)) == (0, 0, 0, 0)
    assert scores(prdc(ones, ones, convention="kynkaanniemi")) == (1, 1, 2, 1)


def test_sets_far_apart_score_zero(rng):
    real = rng.normal(size=(30, 4))
    assert scores(prdc(real, real + 1e6)) == (0, 0, 0, 0)


X = np.arange(7.0)[:, None]


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((X[:5], X), {}, "k = 5 needs more than 5 images in real, got n = 5"),
        ((X, X[:5]), {}, "k = 5 needs more than 5 images in generated, got n = 5"),
        ((X, X, 0), {}, "k must be a positive integer"),
        ((X, np.ones((9, 2))), {}, "real and generated must have the same dimension, got 1 and 2"),
        ((X, X * np.nan), {}, "generated must be finite"),
        ((X + np.inf, X), {}, "real must be finite"),
        ((X[:0], X), {}, "real is empty"),
        ((X[:, 0], X), {}, "real must be a 2-D array"),
        ((X, X), {"convention": "naeem"}, "convention must be one of"),
    ],
)
def test_bad_input(args, options, message):
    with pytest.raises(ValueError, match=message):
        prdc(*args, **options)

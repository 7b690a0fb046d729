"""RL2 against exact rational arithmetic, and its properties."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from rl2qc.metrics.moments import Moments
from rl2qc.metrics.rl2 import rl2


def exact_rl2(a, b):
    """The definition in rational arithmetic: no rounding before the square root."""
    total = Fraction(0)
    for column_a, column_b in zip(a.T.tolist(), b.T.tolist(), strict=True):
        mean_a = sum(map(Fraction, column_a)) / len(column_a)
        mean_b = sum(map(Fraction, column_b)) / len(column_b)
        total += (mean_a - mean_b) ** 2
    return math.sqrt(total)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_definition(dtype, offset, rng):
    a = (offset + rng.normal(size=(40, 6))).astype(dtype)
    b = (offset + 0.1 + rng.normal(size=(25, 6))).astype(dtype)
    result = rl2(a, b)
    assert result.value == pytest.approx(exact_rl2(a, b), rel=1e-10)
    assert float(result) == result.value
    assert (result.n_a, result.n_b, result.dimension) == (40, 25, 6)


def test_no_square_and_no_division_by_n_or_d():
    assert rl2(np.zeros((10, 4)), np.full((3, 4), 5.0)).value == 10.0


def test_identical_sets_score_zero(rng):
    x = rng.normal(size=(30, 8))
    assert rl2(x, x).value == 0
    assert rl2(x, x[::-1]).value == pytest.approx(0, abs=1e-15)


def test_symmetric_and_a_metric_on_means(rng):
    a, b, c = (rng.normal(size=(20, 5)) + i for i in range(3))
    assert rl2(a, b).value == rl2(b, a).value
    assert rl2(a, c).value <= rl2(a, b).value + rl2(b, c).value


def test_translation_scaling_and_duplication(rng):
    a, b = rng.normal(size=(20, 5)), rng.normal(size=(30, 5))
    value = rl2(a, b).value
    assert rl2(a + 7, b + 7).value == pytest.approx(value)
    assert rl2(3 * a, 3 * b).value == pytest.approx(3 * value)
    assert rl2(np.tile(a, (4, 1)), b).value == pytest.approx(value)


def test_streamed_sets_give_the_same(rng):
    a, b = rng.normal(size=(50, 4)), 1 + rng.normal(size=(30, 4))
    streamed = Moments.of(a[:20]).update(a[20:])
    assert rl2(streamed, b).value == pytest.approx(rl2(a, b).value, rel=1e-12)
    assert rl2(streamed, b).n_a == 50


def test_single_images():
    assert rl2([[0.0, 0.0]], [[3.0, 4.0]]).value == 5.0


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0, 2.0], [[1.0, 2.0]], "latents_a must be a 2-D array .* got shape"),
        ([[1.0]], np.empty((0, 1)), "latents_b is empty"),
        ([[1.0]], [[np.nan]], "latents_b must be finite"),
        ([[-np.inf], [1.0]], [[1.0]], "latents_a must be finite: .* in 1 of 2 rows"),
        ([[1.0]], [[1.0, 2.0]], "must have the same dimension, got 1 and 2"),
    ],
)
def test_bad_input(a, b, message):
    with pytest.raises(ValueError, match=message):
        rl2(a, b)

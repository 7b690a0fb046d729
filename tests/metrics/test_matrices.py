"""Distances and kernel of all images at once against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from rl2qc.metrics.matrices import Matrices, cosine_matrix, distance_matrix, halves


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_distances_are_those_of_differences(offset):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 16)) + offset
    x[10:20] = x[0]
    x[20:30] = x[1] + 1e-6 * rng.normal(size=(10, 16))
    got, expected = distance_matrix(x), cdist(x, x)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-11 * max(offset, 1))
    assert (got[10:20, 0] == 0).all()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_cosine_distances_are_those_of_the_directions(scale):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 16))
    x[10:20] = x[0] * rng.uniform(0.1, 9, size=(10, 1))
    x[20:30] = x[1] + 1e-5 * rng.normal(size=(10, 16))
    got, expected = cosine_matrix(scale * x), cdist(x, x, "cosine")
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-12)
    with pytest.raises(ValueError, match="row 1 is all zero"):
        cosine_matrix(np.array([[1.0], [0.0]]))


def test_halves_keep_groups_together():
    groups = np.repeat(["a", "b", "c", "d"], [10, 10, 10, 10])
    first, second = halves(np.arange(40), groups, 0)
    assert len(first) == len(second) == 20
    assert not set(groups[first]) & set(groups[second])
    with pytest.raises(ValueError, match="halved"):
        halves(np.arange(3), np.array(["a", "a", "a"]), 0)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_neighbours_of_rows_are_those_of_brute_force(distance, rng):
    x = rng.normal(size=(30, 4))
    matrices = Matrices(x, distance=distance)
    rows, others = rng.permutation(30)[:12], rng.permutation(30)[:9]
    table = cdist(x[rows], x[rows], distance)
    np.fill_diagonal(table, np.inf)
    np.testing.assert_allclose(matrices.spacing(rows, 3), np.sort(table, axis=1)[:, :3])
    assert matrices.spacing(rows[:2], 3).shape == (2, 1)
    across = cdist(x[rows], x[others], distance)
    at, nearest = matrices.nearest(rows, others)
    assert at.tolist() == across.argmin(axis=1).tolist()
    np.testing.assert_allclose(nearest, across.min(axis=1), atol=1e-12)
    at, nearest = matrices.nearest_of_all(rows, others, 4)
    np.testing.assert_allclose(nearest, np.sort(across, axis=1)[:, :4], atol=1e-12)
    np.testing.assert_allclose(nearest, np.take_along_axis(across, at, axis=1), atol=1e-12)


def test_the_kernel_is_the_one_of_kid(rng):
    x = rng.normal(size=(8, 5))
    np.testing.assert_allclose(Matrices(x).kernel, (x @ x.T / 5 + 1) ** 3)


def test_what_was_made_is_not_made_again():
    made = []
    matrices = Matrices([[0.0], [1.0]])
    for _ in range(3):
        assert matrices.once("a", lambda: made.append(1) or len(made)) == 1
    assert np.shares_memory(matrices.spacing(np.arange(2), 1), matrices.spacing(np.arange(2), 1))


def test_without_features_there_are_no_distances():
    with pytest.raises(ValueError, match="no features"):
        Matrices(pixels=[np.zeros((2, 16, 16, 3), np.uint8)]).distances  # noqa: B018


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("n", [299, 700])  # searched in full, and among the nearest that are kept
def test_neighbours_of_few_and_many_rows_are_those_of_brute_force(n, distance, rng):
    x = rng.normal(size=(n, 6))
    x[200:] += 4  # few of the first 200 are near to others
    x[40:60] = x[3]
    x[250] = x[4]
    matrices, every = Matrices(x, distance=distance), cdist(x, x, distance)
    every[every < 1e-7] = 0
    first, last = rng.permutation(n)[: n // 2], np.setdiff1d(np.arange(n), np.arange(200))
    for rows in (first, last, np.arange(30, 70), np.arange(4), rng.integers(n, size=n)):
        within = every[np.ix_(rows, rows)].copy()
        np.fill_diagonal(within, np.inf)
        found = matrices.spacing(rows, 3)
        assert found == pytest.approx(np.sort(within, axis=1)[:, :3], abs=1e-6)
        for reference in (first, first[::-1].copy(), np.arange(200), rng.integers(n, size=90)):
            across = every[np.ix_(rows, reference)]
            at, least = matrices.nearest(rows, reference)
            assert least == pytest.approx(across.min(axis=1), abs=1e-6)
            assert np.array_equal(at, across.argmin(axis=1))

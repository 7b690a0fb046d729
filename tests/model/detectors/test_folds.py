"""Folds and clusters: sizes, groups kept whole, similar patches kept together."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from rl2qc.model.detectors.base import Reference
from rl2qc.model.detectors.folds import fold_rows, groups_by_cluster, out_of_fold
from rl2qc.model.network.backbone import STATISTICS_DIM


@pytest.mark.parametrize("n", [100, 103])
def test_folds_are_about_equal(n):
    sizes = np.bincount(fold_rows(n, None, 0))
    assert len(sizes) == 10 and sizes.max() - sizes.min() <= 1


def test_a_group_lies_in_one_fold(rng):
    groups = [f"slide {g}" for g in rng.integers(0, 37, 400)]
    fold = fold_rows(400, groups, 1)
    for group in set(groups):
        assert len(set(fold[[g == group for g in groups]])) == 1
    sizes = np.bincount(fold)
    assert len(sizes) == 10 and sizes.min() > 20


def test_fewer_groups_than_folds():
    assert set(fold_rows(9, list("aaabbbccc"), 0)) == {0, 1, 2}


def test_similar_patches_are_kept_together(rng):
    slides = np.repeat(np.arange(12), 30)
    features = 20 * rng.normal(size=(12, 64))[slides] + rng.normal(size=(360, 64))
    clusters = np.array(groups_by_cluster(features.astype(np.float32), 0))
    # Nearly every pair of one slide has one cluster.
    same = slides[:, None] == slides
    assert (clusters[:, None] == clusters)[same].mean() > 0.8
    assert len(set(clusters)) == 12


def test_copies_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clusters = groups_by_cluster(np.repeat(np.eye(4, 32, dtype=np.float32), 30, axis=0), 0)
    assert len(clusters) == 120


def toy(n: int, rng: np.random.Generator) -> Reference:
    """Two damaged copies of each patch, in mixed order."""
    clean = rng.normal(size=(n, STATISTICS_DIM)).astype(np.float32)
    order = rng.permutation(2 * n)
    sources = np.tile(np.arange(n), 2)[order]
    held = np.sort(rng.permutation(n)[: n // 5])
    return Reference(clean, np.arange(n) % 5, clean[sources] + 1, sources, held)


def test_without_a_fold_nothing_of_it_is_left(rng):
    whole = toy(40, rng)
    rest = whole.without(2)
    kept = np.flatnonzero(whole.fold != 2)
    assert np.array_equal(rest.clean, whole.clean[kept])
    assert np.array_equal(rest.damaged, rest.clean[rest.sources] + 1)
    assert np.array_equal(kept[rest.held], [row for row in whole.held if row in kept])
    assert np.array_equal(np.sort(np.r_[rest.train, rest.held]), np.arange(len(rest)))
    assert len(rest.damaged) == 2 * len(rest) == 64


def test_a_given_hold_out_alone_calibrates(rng):
    whole = toy(40, rng)
    assert whole.calibrates.all()
    apart = replace(whole, apart=True)
    assert np.array_equal(np.flatnonzero(apart.calibrates), whole.held)


def test_out_of_fold_each_patch_is_scored_by_the_others(rng):
    reference = toy(40, rng)

    def fit(rest):
        mean = rest.clean.mean(0)
        return lambda x: -np.linalg.norm(x - mean, axis=1)

    found = out_of_fold(fit, reference)
    for row in (0, 13, 39):
        mean = reference.clean[reference.fold != row % 5].mean(0)
        expected = -np.linalg.norm(reference.clean[row] - mean)
        assert found[row] == pytest.approx(expected, rel=1e-6)

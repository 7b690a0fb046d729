"""The sliced Wasserstein distance of resamples against SciPy's of the same projections."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from rl2qc.metrics import sliced_rows
from rl2qc.metrics.matrices import Matrices
from rl2qc.metrics.sliced_rows import swd_of_rows


def test_swd_of_a_resample_is_that_of_its_images(stained):
    a, b = stained(12, seed=1), stained(9, seed=2)[:, ::-1] // 2
    rows, rng = Matrices(pixels=(a, b), seed=5), np.random.default_rng(0)
    known = rows.once("swd", lambda: sliced_rows._Projected(a, b, seed=5))
    for _ in range(3):
        drawn = rng.integers(12, size=12), 12 + rng.permutation(9)[:5]
        expected = []
        for level in known._levels:
            of_sets = []
            for of_set in drawn:
                values = level.projected[:, :, of_set].astype(np.float64)
                mean = level.mean[of_set].mean(axis=0)
                std = np.sqrt(level.square[of_set].mean(axis=0) - mean**2)
                values -= (mean[:, None] * level.sums)[:, :, None, None]
                values = np.sum(values / std[:, None, None, None], axis=0)
                of_sets.append(values.reshape(len(values), -1))
            expected.append(np.mean([wasserstein_distance(*x) for x in zip(*of_sets, strict=True)]))
        for _ in range(2):  # the second time from what is kept
            assert swd_of_rows(rows, *drawn) == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e6])
def test_values_of_resamples_are_sorted_to_a_65000th_of_the_largest(size, rng):
    values = (size * rng.normal(size=(3, 500))).astype(np.float32)
    found = sliced_rows._in_order(values.copy())
    assert np.abs(found - np.sort(values, axis=1)).max() <= np.abs(values).max() / 65_000
    assert (np.diff(found, axis=1) >= 0).all()


def test_values_of_nothing_stay_nothing():
    assert not sliced_rows._in_order(np.zeros((2, 4), np.float32)).any()

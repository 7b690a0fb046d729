"""MiFID against loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from rl2qc.metrics.mifid import mifid


def by_loops(train, generated, threshold):
    nearest = [min(1 - a @ b / np.sqrt((a @ a) * (b @ b)) for b in train) for a in generated]
    s, t = np.cov(train.T), np.cov(generated.T)
    shift = train.mean(axis=0) - generated.mean(axis=0)
    fid = shift @ shift + np.trace(s + t) - 2 * np.trace(sqrtm(s @ t)).real
    mean = np.mean(nearest)
    return fid / mean if mean < threshold else fid, fid, mean


@pytest.mark.parametrize("threshold", [0.01, 0.1, 2])
def test_by_loops(rng, threshold):
    train, generated = rng.normal(2, 1, size=(2, 60, 4))
    found = mifid(train, generated, threshold=threshold)
    expected = by_loops(train, generated, threshold)
    assert (found.value, found.fid, found.memorisation) == pytest.approx(expected, rel=1e-7)
    assert found.penalty == (1 if threshold < expected[2] else pytest.approx(expected[2]))


def test_copies_are_worse_than_new_images(rng):
    train, new = rng.normal(size=(2, 100, 8))
    copies = train[:60] + 1e-4 * rng.normal(size=(60, 8))
    assert mifid(train, copies).value > 1000 * mifid(train, new[:60]).value
    assert mifid(train, copies).fid < mifid(train, new[:60]).fid
    # Exact copies are no division by 0.
    assert np.isfinite(mifid(train, train[:60]).value)


def test_bad_input():
    with pytest.raises(ValueError, match="all zero"):
        mifid([[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="threshold must not be negative"):
        mifid([[1.0], [2.0]], [[1.0], [2.0]], threshold=-1)

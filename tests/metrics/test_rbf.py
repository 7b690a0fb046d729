"""MMD under a Gaussian kernel, against loops and against the closed form of two Gaussians."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.metrics import rbf
from rl2qc.metrics.matrices import Matrices
from rl2qc.metrics.rbf import median_distance, rbf_mmd, rbf_mmd_of_rows


def by_loops(x, y, sigma):
    def kernel(a, b):
        return np.exp(-np.sum((a - b) ** 2) / (2 * sigma**2))

    def within(s):
        pairs = [kernel(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]
        return np.mean(pairs)

    return within(x) + within(y) - 2 * np.mean([[kernel(a, b) for b in y] for a in x])


def test_by_loops(rng, monkeypatch):
    monkeypatch.setattr(rbf, "_BLOCK", 7)
    x, y = 5 + rng.normal(size=(20, 3)), 5.5 + rng.normal(size=(13, 3))
    assert rbf_mmd(x, y, sigma=0.7).value == pytest.approx(by_loops(x, y, 0.7), rel=1e-9)
    distances = [np.linalg.norm(a - b) for i, a in enumerate(x) for b in x[:i]]
    found = rbf_mmd(x, y)
    assert found.sigma == pytest.approx(np.median(distances))
    rows = np.arange(20), np.arange(20, 33)
    assert rbf_mmd_of_rows(Matrices(np.r_[x, y]), *rows) == pytest.approx(found.value, rel=1e-9)


def test_closed_form_of_two_gaussians(rng):
    """E k(x, y) of N(0, I) and N(m, I) is a Gaussian integral."""
    d, sigma, shift = 3, 2.0, 1.0
    x, y = rng.normal(size=(3000, d)), rng.normal(size=(3000, d))
    y[:, 0] += shift
    width = sigma**2 + 2
    same = (sigma**2 / width) ** (d / 2)
    expected = 2 * same * (1 - np.exp(-(shift**2) / (2 * width)))
    assert rbf_mmd(x, y, sigma=sigma).value == pytest.approx(expected, rel=0.1)


def test_the_bandwidth_fits_features_of_any_scale(rng):
    x, y = rng.normal(size=(2, 80, 16))
    y = y + 0.5
    wanted = rbf_mmd(x, y).value
    assert wanted > 0.02
    for scale in (1e-3, 1e3):
        assert rbf_mmd(scale * x, scale * y).value == pytest.approx(wanted, rel=1e-6)
        # A bandwidth for other features sees next to nothing.
        assert abs(rbf_mmd(scale * x, scale * y, sigma=4).value) < wanted / 20


def test_sets_of_one_source_scatter_around_0(rng):
    found = [rbf_mmd(*rng.normal(size=(2, 50, 4))).value for _ in range(200)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(200)
    assert min(found) < 0 < max(found)


def test_bad_input():
    with pytest.raises(ValueError, match="without any spread have none"):
        rbf_mmd(np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="positive and finite, got -1"):
        rbf_mmd([[1.0], [2.0]], [[1.0], [2.0]], sigma=-1)
    with pytest.raises(ValueError, match="at least 2 images"):
        rbf_mmd([[1.0]], [[1.0], [2.0]])
    assert median_distance([[0.0], [3.0]]) == 3

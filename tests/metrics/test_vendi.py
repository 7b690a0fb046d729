"""Vendi score and RKE against the definition, and against sets whose number of kinds is known."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.metrics.vendi import vendi


def by_definition(kernel):
    """exp of the von Neumann entropy, through singular values of the kernel."""
    share = np.linalg.svd(kernel / len(kernel), compute_uv=False)
    share = share[share > 1e-15]
    return np.exp(-np.sum(share * np.log(share))), 1 / np.sum((kernel / len(kernel)) ** 2)


@pytest.mark.parametrize("shape", [(12, 30), (40, 5)])
def test_cosine_by_definition(rng, shape):
    x = rng.normal(1, 1, size=shape)
    unit = x / np.sqrt((x**2).sum(axis=1, keepdims=True))
    kernel = np.array([[float(a @ b) for b in unit] for a in unit])
    found = vendi(x)
    assert (found.value, found.rke) == pytest.approx(by_definition(kernel), rel=1e-9)


def test_rbf_by_definition(rng):
    x = rng.normal(size=(25, 4))
    squared = np.array([[np.sum((a - b) ** 2) for b in x] for a in x])
    found = vendi(x, "rbf", sigma=1.5)
    expected = by_definition(np.exp(-squared / (2 * 1.5**2)))
    assert (found.value, found.rke) == pytest.approx(expected, rel=1e-9)
    assert vendi(x, "rbf").sigma == pytest.approx(
        np.median(np.sqrt(squared[np.triu_indices(25, 1)]))
    )


@pytest.mark.parametrize("n", [1, 3, 8])
def test_equal_and_orthogonal_images(n):
    same, apart = vendi(np.ones((n, 8))), vendi(np.eye(8)[:n])
    assert (same.value, same.rke) == pytest.approx((1, 1))
    assert (apart.value, apart.rke) == pytest.approx((n, n))


def test_kinds_are_counted_and_scale_does_not_matter():
    kinds = np.repeat(np.eye(6)[:4], [10, 10, 10, 10], axis=0)
    assert vendi(kinds).value == pytest.approx(4)
    assert vendi(1e40 * kinds).value == pytest.approx(4)
    # A rare kind counts less, and less still for RKE.
    rare = vendi(np.repeat(np.eye(6)[:2], [99, 1], axis=0))
    assert 1 < rare.rke < rare.value < 1.1


def test_bad_input():
    with pytest.raises(ValueError, match="row 1 is all zero"):
        vendi([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="similarity must be one of"):
        vendi([[1.0]], "dot")
    with pytest.raises(ValueError, match="without any spread"):
        vendi(np.ones((3, 2)), "rbf")

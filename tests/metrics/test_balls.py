"""Balls of both sets in one pass, against counting by distances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from rl2qc.metrics import _balls
from rl2qc.metrics._balls import balls
from rl2qc.metrics.neighbors import kneighbors


def gaussian(rng):
    return rng.normal(size=(300, 24))


def offset(rng):
    """A large common mean, which an uncentred expansion does not survive."""
    return 1e4 + rng.normal(size=(300, 24))


def clusters(spread):
    """Near-duplicates around far centres: below 1e-7 only differences tell."""

    def make(rng):
        centres = np.repeat(100 * rng.normal(size=(3, 24)), 100, axis=0)
        return centres + spread * rng.normal(size=(300, 24))

    return make


def tiny(rng):
    return 1e-30 * rng.normal(size=(300, 24))


MAKERS = [gaussian, offset, clusters(1e-4), clusters(1e-9), tiny]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("make", MAKERS)
def test_brute_force(rng, monkeypatch, strict, make):
    monkeypatch.setattr(_balls, "_ROWS", 70)
    monkeypatch.setattr(_balls, "_COLUMNS", 50)
    x = make(rng)
    real, generated = x[1::2], x[::2]
    radii = [kneighbors(s, s, 3, exclude_self=True).distances[:, -1] for s in (real, generated)]
    found = balls(real, generated, *radii, strict=strict)
    across = cdist(generated, real)
    inside = np.less if strict else np.less_equal
    of_real, of_generated = inside(across, radii[0]), inside(across, radii[1][:, None])
    np.testing.assert_array_equal(found.holding, of_real.sum(axis=1))
    np.testing.assert_array_equal(found.covered, of_real.any(axis=0))
    np.testing.assert_array_equal(found.reached, of_generated.any(axis=0))


def test_a_pair_lies_exactly_on_the_edge_of_its_own_ball(rng):
    x = 50 + rng.normal(size=(90, 13))
    radii = kneighbors(x, x, 4, exclude_self=True).distances[:, -1]
    # Each ball holds its centre and three others inside, and its fourth neighbour on the edge.
    assert balls(x, x, radii, radii, strict=True).holding.sum() == 90 * 4
    assert balls(x, x, radii, radii, strict=False).holding.sum() == 90 * 5


def test_nothing_is_inside_an_empty_open_ball():
    same = np.ones((3, 4))
    opened = balls(same, same, np.zeros(3), np.zeros(3), strict=True)
    closed = balls(same, same, np.zeros(3), np.zeros(3), strict=False)
    assert not opened.holding.any() and not opened.covered.any()
    assert (closed.holding == 3).all() and closed.reached.all()

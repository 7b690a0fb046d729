"""Several looks at one thing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl2qc.stats.looks import corrected, worst_of


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_worst_of_each(rows: list[tuple[int, float]]) -> None:
    names = sorted({of for of, _ in rows})
    of = np.array([names.index(name) for name, _ in rows])
    p = np.array([value for _, value in rows])
    expected = [min(np.flatnonzero(of == k), key=lambda i: p[i]) for k in range(len(names))]
    assert worst_of(p, of).tolist() == expected


def test_of_independent_looks_the_share_alpha_is_rejected(rng: np.random.Generator) -> None:
    for looks in (1, 4, 9):
        smallest = rng.uniform(size=(40_000, looks)).min(axis=1)
        p = corrected(smallest, np.full(len(smallest), looks))
        for alpha in (0.01, 0.05, 0.5):
            assert abs((p <= alpha).mean() - alpha) < 4 * np.sqrt(alpha / len(p))


def test_of_looks_that_agree_fewer_are_rejected(rng: np.random.Generator) -> None:
    p = corrected(rng.uniform(size=10_000), np.full(10_000, 9))
    assert (p <= 0.05).mean() < 0.01


def test_the_ends() -> None:
    assert corrected(np.array([0.0, 1.0]), np.array([4, 4])).tolist() == [0, 1]
    # Small ones keep their digits.
    assert corrected(np.array([1e-18]), np.array([9]))[0] == pytest.approx(9e-18, rel=1e-12)
    assert worst_of(np.empty(0), np.empty(0, np.int64)).tolist() == []

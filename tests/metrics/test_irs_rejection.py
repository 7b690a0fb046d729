"""Early rejection by IRS: the error over all looks, by simulation; the paper's toy."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.metrics.irs_counts import irs_minimum_learned
from rl2qc.metrics.irs_rejection import rejection_plan


def rejected_at(plan, classes, rng, repeats=1000):
    """First look that rejects each of many generators of uniform draws; 0 for none."""
    draws = rng.integers(0, classes, (repeats, plan.looks[-1]))
    found = np.zeros(repeats, int)
    for n, most in zip(plan.looks[::-1], plan.most[::-1], strict=True):
        ordered = np.sort(draws[:, :n], axis=1)
        distinct = 1 + (np.diff(ordered, axis=1) != 0).sum(axis=1)
        found[distinct <= most] = n
    return found


@pytest.mark.parametrize(("n_train", "n", "diversity"), [(800, 200, 0.8), (60, 300, 1.0)])
def test_good_generators_are_rejected_as_often_as_said(rng, n_train, n, diversity):
    plan = rejection_plan(n_train, n, diversity, alpha=0.1)
    share = np.mean(rejected_at(plan, round(diversity * n_train), rng) > 0)
    assert 0.03 < plan.error <= 0.1
    assert share == pytest.approx(plan.error, abs=4 * np.sqrt(0.1 / 1000))
    # Looking as often at the level of one look would err far more often.
    single = [irs_minimum_learned(n_train, look, diversity, 0.1) for look in plan.looks]
    assert sum(single) > sum(plan.most)


def test_poor_generators_are_rejected_early(rng):
    """Figure 7 of the supplement: 800 training values, the low one goes after about 60 draws."""
    plan = rejection_plan(800, 400, 1.0)
    low = rejected_at(plan, 200, rng)
    assert (low > 0).all()
    assert 30 < np.median(low) < 110
    middle = rejected_at(plan, 400, rng)
    assert np.median(low) < np.median(middle)


def test_looks_end_at_all_images():
    for n in (1, 9, 10, 11, 57, 12_000):
        plan = rejection_plan(100, n, 0.5)
        assert plan.looks[-1] == n and list(plan.looks) == sorted(set(plan.looks))
        assert len(plan.most) == len(plan.looks) and plan.error <= 0.05
    assert not plan.rejects(11, 0) and plan.rejects(12_000, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((100, 0, 0.8), "n_generated must be at least 1"),
        ((100, 10, 0), "diversity must be in"),
        ((100, 10, 1.1), "diversity must be in"),
        ((100, 10, 0.8, 0.5), "alpha must be in"),
        ((0, 10, 0.8), "n_train must be at least 1"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        rejection_plan(*arguments)

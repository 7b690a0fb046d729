"""How likely an agreement is by chance: against SciPy, counting and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from rl2qc.stats.agreement_p import chance_taus, p_of_mean_tau, p_of_tau


@pytest.mark.parametrize("n", [3, 5, 7])
def test_exact_law_without_ties_is_scipys(rng, n):
    a, b = rng.permutation(n), rng.permutation(n)
    expected = kendalltau(a, b, method="exact")
    found = p_of_tau(expected.statistic, chance_taus(a, b), n)
    assert found == pytest.approx(expected.pvalue)


def test_every_order_is_counted_with_ties():
    from itertools import permutations

    a, b = [1.0, 2.5, 2.5, 4.0], [1.0, 2.0, 3.5, 3.5]
    by_hand = sorted(kendalltau(a, list(order)).statistic for order in permutations(b))
    np.testing.assert_allclose(np.sort(chance_taus(a, b)), by_hand, atol=1e-12)


def test_more_generators_are_drawn_and_near_the_law(rng):
    a, b = rng.permutation(12), rng.permutation(12)
    expected = kendalltau(a, b, method="exact")
    chance = chance_taus(a, b, seed=1)
    assert np.array_equal(chance, chance_taus(a, b, seed=1))
    assert p_of_tau(expected.statistic, chance, 12) == pytest.approx(expected.pvalue, abs=0.02)
    # What was never drawn is not impossible.
    assert 0 < p_of_tau(1.0, chance, 12) < 1e-3


def test_mean_over_tasks_is_surer_than_each():
    chance = chance_taus([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    alone = p_of_tau(0.8, chance, 5)
    both = p_of_mean_tau([0.8, 0.8], [chance, chance])
    # All pairs of orders, counted.
    sums = np.add.outer(chance, chance) / 2
    assert both == pytest.approx(np.mean(np.abs(sums) >= 0.8 - 1e-9), abs=0.003)
    assert both < alone / 5


def test_a_flat_score_orders_nothing():
    with pytest.raises(ValueError, match="nothing is ordered"):
        chance_taus([1, 2, 3], [2, 2, 2])

"""From p-values to kept and rejected tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from rl2qc.filtering.decision import adjusted, keep_tiles, rejected_share

P_VALUES = st.lists(st.integers(1, 20).map(lambda k: k / 20), max_size=30)


@given(P_VALUES, st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.95]))
def test_benjamini_hochberg_is_scipys(p_values: list[float], alpha: float) -> None:
    keep = keep_tiles(p_values, alpha, "bh")
    assert keep.shape == (len(p_values),)
    if not p_values:
        return
    q_values = false_discovery_control(p_values)
    clear = np.abs(q_values - alpha) > 1e-9  # not decided by rounding
    np.testing.assert_array_equal(keep[clear], (q_values > alpha)[clear])
    np.testing.assert_allclose(adjusted(p_values, "bh"), q_values)
    # It never rejects what a threshold would keep.
    assert keep[keep_tiles(p_values, alpha)].all()


def test_benjamini_hochberg_by_hand() -> None:
    # Limits are 0.05 k / 5: the fourth holds, so the third is rejected with it.
    p_values = [0.039, 0.9, 0.035, 0.005, 0.02]
    assert keep_tiles(p_values, 0.05, "bh").tolist() == [False, True, False, False, False]


def test_the_share_is_of_tissue() -> None:
    keep = np.array([True, True, False])
    assert rejected_share(keep, [1.0, 1.0, 6.0]) == 0.75
    assert rejected_share(keep, [0.0, 0.0, 0.0]) == pytest.approx(1 / 3)
    assert np.isnan(rejected_share(keep[:0], []))


@pytest.mark.parametrize(("alpha", "method"), [(1.0, "bh"), (-0.1, "threshold"), (0.1, "holm")])
def test_decisions_that_do_not_exist(alpha: float, method: str) -> None:
    with pytest.raises(ValueError, match=r"alpha must lie|method must be"):
        keep_tiles([0.5], alpha, method)

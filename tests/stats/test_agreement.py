"""Rank agreement against SciPy and counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from rl2qc.stats.agreement import rank_agreement


@given(
    values=st.lists(st.tuples(*[st.integers(-3, 3).map(float)] * 3), min_size=2, max_size=9),
    directions=st.tuples(*[st.booleans()] * 3),
)
@settings(max_examples=80, deadline=None)
def test_same_as_scipy_with_ties(values, directions):
    columns = dict(zip("abc", zip(*values, strict=True), strict=True))
    higher = dict(zip("abc", directions, strict=True))
    with np.errstate(all="raise"):
        result = rank_agreement(columns, higher)
    oriented = {n: np.array(c) * (1 if higher[n] else -1) for n, c in columns.items()}
    for first in "abc":
        for second in "abc":
            tau, rho = result.between(first, second)
            if any(np.ptp(oriented[name]) == 0 for name in (first, second)):
                assert np.isnan(tau) and np.isnan(rho)
                continue
            x, y = oriented[first], oriented[second]
            assert tau == pytest.approx(kendalltau(x, y).statistic)
            assert rho == pytest.approx(spearmanr(x, y).statistic)


def test_rank_one_is_best_in_either_direction():
    result = rank_agreement(
        {"dice": [0.7, 0.9, 0.8, 0.8], "fid": [40, 10, 30, 20]}, {"dice": True, "fid": False}
    )
    assert result.metrics == ("dice", "fid")
    assert result.ranks.tolist() == [[4, 1, 2.5, 2.5], [4, 1, 3, 2]]
    assert result.kendall[0, 1] > 0.9 and result.spearman[0, 1] > 0.9


# Five translations of breast MRI (the first is none) and of lumbar MRI to CT: Dice of a
# segmentation and perceptual metrics, as published with Konz et al. (arXiv 2404.07318).
BREAST = {
    "dice": [0.927, 0.934, 0.865, 0.934, 0.95],
    "fid": [144, 107, 118, 156, 119],
    "kid": [0.069, 0.049, 0.089, 0.079, 0.067],
    "swd": [705, 556, 1037, 756, 500],
    "is": [2.58, 2.73, 3, 2.46, 2.91],
}
LUMBAR = {
    "dice": [0.007, 0.229, 0.158, 0.138, 0.942],
    "fid": [323, 210, 248, 208, 251],
    "kid": [0.3, 0.161, 0.217, 0.172, 0.242],
    "swd": [1553, 960, 1114, 932, 1359],
    "is": [2.93, 2.29, 2.22, 2.14, 2.29],
}
TAUS = {
    "breast": (BREAST, {"fid": -0.105, "kid": 0.527, "swd": 0.738, "is": -0.105}),
    "lumbar": (LUMBAR, {"fid": 0, "kid": 0.2, "swd": 0, "is": 0.105}),
}


@pytest.mark.parametrize("task", TAUS)
def test_perceptual_metrics_hardly_rank_translations_as_dice_does(task):
    table, taus = TAUS[task]
    result = rank_agreement(table, {name: name in ("dice", "is") for name in table})
    found = {name: result.between("dice", name)[0] for name in taus}
    assert found == pytest.approx(taus, abs=5e-4)
    assert np.array_equal(result.kendall, result.kendall.T)


def test_order_of_generators_and_monotone_changes_do_not_matter(rng):
    a, b = rng.normal(size=(2, 8))
    higher = {"a": True, "b": True}
    pair = rank_agreement({"a": a, "b": b}, higher).between("a", "b")
    order = rng.permutation(8)
    assert rank_agreement({"a": a[order], "b": b[order]}, higher).between("a", "b") == pair
    assert rank_agreement({"a": np.exp(a), "b": b**3}, higher).between("a", "b") == pair


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "no metrics"),
        ({"a": [1.0]}, "at least 2 generators"),
        ({"a": []}, "at least 2 generators"),
        ({"a": [1, 2], "b": [1, 2, 3]}, "one value a generator"),
        ({"a": [1, 2], "c": [1, 2]}, "nothing about c"),
        ({"a": [1, 2], "b": [1, np.nan]}, "not all are in b"),
        ({"a": [1, np.inf]}, "not all are in a"),
    ],
)
def test_bad_tables(table, message):
    with pytest.raises(ValueError, match=message):
        rank_agreement(table, {"a": True, "b": False})


def test_unknown_metric_is_named():
    result = rank_agreement({"a": [1, 2]}, {"a": True})
    with pytest.raises(ValueError, match="no metric 'z'; there are a"):
        result.between("a", "z")

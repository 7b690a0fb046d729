"""From p-values to kept and rejected tiles: arithmetic without a slide."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.arguments import Interval, check

__all__ = [
    "ADAPT",
    "COHORT_WIDE",
    "METHODS",
    "adjusted",
    "keep_tiles",
    "over_rejection_warnings",
    "rejected_share",
]

METHODS = ("threshold", "bh")
"""Ways to decide: each tile by itself, or Benjamini-Hochberg over all tiles of a slide."""

ADAPT = ("auto", "slide", "cohort", "none")
"""What evidence is judged beside: see :class:`rl2qc.filtering.settings.FilterSettings`."""

COHORT_WIDE = frozenset({"auto", "cohort"})
"""The ways to adapt that look at other slides."""

_ADVICE = (
    "stain, scanner or resolution may be unlike the model's reference, so look at them, and train "
    "on clean tiles of your own (rl2qc train)"
)


def keep_tiles(p_values: ArrayLike, alpha: float, method: str = "threshold") -> NDArray[np.bool_]:
    """Which tiles are kept.

    "threshold" rejects p <= alpha: of clean tiles, the share alpha is rejected on every slide.
    "bh" (Benjamini-Hochberg) rejects the k smallest, k the largest number with
    p_(k) <= alpha k / n: of the *rejected* tiles of a slide, at most the share alpha is clean on
    average. It rejects fewer than "threshold", and none at all where alpha k / n stays below the
    smallest p-value that the calibration set can give.

    Parameters
    ----------
    p_values : (n,)
        In [0, 1].
    alpha
        In [0, 1).
    method
        One of :data:`METHODS`.

    Returns
    -------
    (n,) bool.

    Raises
    ------
    UsageError
        An ``alpha`` or ``method`` that does not exist.

    References
    ----------
    Benjamini and Hochberg, "Controlling the false discovery rate", JRSS B 1995; for conformal
    p-values Bates et al., "Testing for outliers with conformal p-values", Annals of Statistics
    2023.

    Examples
    --------
    >>> keep_tiles([0.01, 0.04, 0.9], 0.05), keep_tiles([0.01, 0.04, 0.9], 0.05, "bh")
    (array([False, False,  True]), array([False,  True,  True]))
    """
    p = np.asarray(p_values, np.float64)
    check("alpha", alpha, float, within=Interval(0, 1, "left"))
    check("method", method, str, choices=METHODS)
    if method == "threshold":
        keep: NDArray[np.bool_] = p > alpha
        return keep
    ordered = np.sort(p)
    below = np.flatnonzero(ordered <= alpha * np.arange(1, len(p) + 1) / max(1, len(p)))
    if not len(below):
        return np.ones(len(p), np.bool_)
    keep = p > ordered[below[-1]]
    return keep


def adjusted(p_values: ArrayLike, method: str = "threshold") -> NDArray[np.float64]:
    """What ``method`` compares with alpha: the p-values, or for "bh" their q-values.

    A tile's q-value is the smallest alpha that rejects it, min over j >= k of p_(j) n / j for the
    k-th smallest of n p-values.

    Parameters
    ----------
    p_values : (n,)
    method
        One of :data:`METHODS`.

    Returns
    -------
    (n,) float64.

    Examples
    --------
    >>> adjusted([0.01, 0.04, 0.9], "bh").round(3)
    array([0.03, 0.06, 0.9 ])
    """
    p = np.asarray(p_values, np.float64)
    if method != "bh":
        return p
    order = np.argsort(p, kind="stable")
    raised = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(p)
    q[order] = np.minimum.accumulate(raised[::-1])[::-1]
    return q


def rejected_share(keep: NDArray[np.bool_], tissue: ArrayLike) -> float:
    """Share of the tissue that is rejected; of the tiles, if none holds tissue; NaN for no tile.

    Parameters
    ----------
    keep : (n,) bool
    tissue : (n,)
        Area of tissue in each tile, in any unit.

    Examples
    --------
    >>> rejected_share(np.array([True, False]), [3.0, 1.0])
    0.25
    """
    area = np.asarray(tissue, np.float64)
    if not len(keep):
        return float("nan")
    if not area.sum() > 0:
        return float(1 - keep.mean())
    return float(area[~keep].sum() / area.sum())


def over_rejection_warnings(
    warnings: Iterable[str], rejected: float, max_rejected: float, typically: str = ""
) -> tuple[str, ...]:
    """``warnings`` with the one about a slide that loses too much tissue brought up to date.

    A stain or scanner that the model does not know must not empty a slide unnoticed.
    ``typically`` is the likely reason that holds for the slide as a whole, if there is one.

    Examples
    --------
    >>> over_rejection_warnings([], 0.9, 0.5, "out of focus")[0][:63]
    '90% of the tissue is rejected (its typical tile: out of focus):'
    """
    others = tuple(warning for warning in warnings if not warning.endswith(_ADVICE))
    if not rejected > max_rejected:
        return others
    what = f" (its typical tile: {typically})" if typically else ""
    return (*others, f"{rejected:.0%} of the tissue is rejected{what}: {_ADVICE}")

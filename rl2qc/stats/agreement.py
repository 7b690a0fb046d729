"""Whether metrics agree on the ranks of generators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = ["RankAgreement", "rank_agreement"]


@dataclass(frozen=True, eq=False)
class RankAgreement:
    """How far metrics agree on the order of generators; better comes first in all.

    Parameters
    ----------
    metrics : tuple of str
        Names of the rows and columns below.
    ranks : ndarray, shape (metrics, generators)
        1 is the best generator; ties share their mean rank.
    kendall, spearman : ndarray, shape (metrics, metrics)
        Kendall's tau-b and Spearman's rho, 1 for the same order and -1 for the reverse. NaN
        where a metric gives all generators one value and so orders none.
    """

    metrics: tuple[str, ...]
    ranks: NDArray[np.float64]
    kendall: NDArray[np.float64]
    spearman: NDArray[np.float64]

    def between(self, first: str, second: str) -> tuple[float, float]:
        """Kendall's tau and Spearman's rho of two metrics, by name."""
        for name in (first, second):
            if name not in self.metrics:
                raise ValueError(f"no metric {name!r}; there are {', '.join(self.metrics)}")
        at = self.metrics.index(first), self.metrics.index(second)
        return float(self.kendall[at]), float(self.spearman[at])


def rank_agreement(
    table: Mapping[str, Sequence[float]], higher_is_better: Mapping[str, bool]
) -> RankAgreement:
    """Kendall's tau-b and Spearman's rho between metrics over several generators.

    Parameters
    ----------
    table : mapping of str to sequence of float
        Values of each metric, the generators in one order.
    higher_is_better : mapping of str to bool
        Direction of each metric in the table.

    Raises
    ------
    ValueError
        For fewer than two generators, rows of different lengths, a metric without a direction,
        or values that are not finite.

    References
    ----------
    Kendall, "The treatment of ties in ranking problems", Biometrika 1945; Spearman, "The proof
    and measurement of association between two things", 1904.

    Examples
    --------
    >>> agreement = rank_agreement(
    ...     {"dice": [0.9, 0.8, 0.7], "fid": [30.0, 20.0, 10.0]},
    ...     {"dice": True, "fid": False},
    ... )
    >>> agreement.between("dice", "fid")
    (-1.0, -1.0)
    """
    if not table:
        raise ValueError("the table holds no metrics")
    if missing := [name for name in table if name not in higher_is_better]:
        raise ValueError(f"higher_is_better says nothing about {', '.join(missing)}")
    if len(lengths := {len(row) for row in table.values()}) > 1:
        raise ValueError(f"all metrics need one value a generator, got {sorted(lengths)} values")
    values = np.array([list(row) for row in table.values()], dtype=np.float64)
    if values.shape[1] < 2:
        raise ValueError(f"agreement needs at least 2 generators, got {values.shape[1]}")
    if not np.isfinite(values).all():
        bad = [n for n, row in zip(table, values, strict=True) if not np.isfinite(row).all()]
        raise ValueError(f"values must be finite, but not all are in {', '.join(bad)}")
    signs = np.array([-1.0 if higher_is_better[name] else 1.0 for name in table])
    ranks: NDArray[np.float64] = rankdata(values * signs[:, None], axis=1)
    # Tau-b is the cosine between the signs of all pairwise differences, rho between ranks.
    pairs = np.sign(ranks[:, :, None] - ranks[:, None, :]).reshape(len(ranks), -1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    return RankAgreement(tuple(table), ranks, _cosines(pairs), _cosines(centred))


def _cosines(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine between all pairs of rows; NaN for rows of zeros."""
    products = rows @ rows.T
    squared = np.diag(products)
    scale = np.sqrt(np.outer(squared, squared))
    cosines = np.full_like(products, np.nan)
    np.divide(products, scale, out=cosines, where=scale > 0)
    clipped: NDArray[np.float64] = np.clip(cosines, -1, 1)
    return clipped

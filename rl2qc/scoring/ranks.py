"""The agreement of metrics on the ranks of generators, in words: where it says something."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.text import layout
from rl2qc.stats.agreement import RankAgreement

__all__ = ["Ranks", "rank_lines", "ranks_of"]

Unclear = Mapping[str, "tuple[tuple[str, str], ...] | None"]


@dataclass(frozen=True, eq=False)
class Ranks:
    """The metrics that order some generators for sure, or of whose surety nothing is known.

    Attributes
    ----------
    generators
    metrics
    ranks : (m, g) float64
        1 is best.
    kendall : (m, m) float64
    spearman : (m, m) float64
    doubtful
        How many pairs each leaves unclear; None where that is not known.
    silent
        Names of the metrics that tell no pair apart, which are left out.
    """

    generators: tuple[str, ...]
    metrics: tuple[str, ...]
    ranks: NDArray[np.float64]
    kendall: NDArray[np.float64]
    spearman: NDArray[np.float64]
    doubtful: tuple[int | None, ...]
    silent: tuple[str, ...]

    @property
    def n_pairs(self) -> int:
        """Pairs of generators."""
        return math.comb(len(self.generators), 2)

    @property
    def chance(self) -> int:
        """Unrelated metrics agree or disagree wholly in one of so many cases."""
        return math.factorial(len(self.generators)) // 2

    def silence(self) -> str:
        """What is to be said of the metrics that are left out; "" of none."""
        if not self.silent:
            return ""
        if not self.metrics:
            return f"ranks: no metric tells any two of these {len(self.generators)} sets apart"
        return f"left out, since they tell no two sets apart: {', '.join(self.silent)}"


def ranks_of(
    agreement: RankAgreement, generators: Sequence[str], unclear: Unclear, names: Sequence[str]
) -> Ranks:
    """The part of an agreement that says something.

    Parameters
    ----------
    agreement
    generators
        Titles.
    unclear
        By metric, the pairs that it does not tell apart; None where that is not known.
    names
        The metrics that are looked at.
    """
    n_pairs = math.comb(len(generators), 2)
    counts = [None if (p := unclear.get(n)) is None else len(p) for n in agreement.metrics]
    asked = [i for i, name in enumerate(agreement.metrics) if name in names]
    at = [i for i in asked if (count := counts[i]) is None or count < n_pairs]
    return Ranks(
        tuple(generators),
        tuple(agreement.metrics[i] for i in at),
        agreement.ranks[at],
        agreement.kendall[np.ix_(at, at)],
        agreement.spearman[np.ix_(at, at)],
        tuple(counts[i] for i in at),
        tuple(agreement.metrics[i] for i in asked if i not in at),
    )


def rank_lines(found: Ranks) -> list[str]:
    """The same for the terminal: ranks, then the agreement of the metrics."""
    if not found.metrics:
        return [found.silence()]
    rows = [("rank (1 is best)", *found.generators, "unclear pairs")]
    for name, row, k in zip(found.metrics, found.ranks, found.doubtful, strict=True):
        said = "?" if k is None else f"{k} of {found.n_pairs}"
        rows.append((name, *(f"{rank:g}" for rank in row), said))
    lines = [*layout(rows, right=range(1, len(found.generators) + 2))]
    if found.silent:
        lines.append(found.silence())
    if len(found.metrics) < 2:
        return lines
    count = len(found.metrics)
    matrix = [("agreement", *(str(i + 1) for i in range(count)))]
    for i, name in enumerate(found.metrics):
        cells = []
        for j in range(count):
            value = (found.spearman if j > i else found.kendall)[i, j]
            cells.append("." if i == j else "-" if math.isnan(value) else f"{value:+.2f}")
        matrix.append((f"{i + 1} {name}", *cells))
    return [
        *lines,
        "",
        *layout(matrix, right=range(1, count + 1)),
        "below the diagonal Kendall's tau, above it Spearman's rho: 1 same order, -1 reversed.",
        f"{len(found.generators)} generators: unrelated metrics come to +1 or -1 by chance in "
        f"1 of {found.chance} cases.",
        "unclear: pairs without a clear difference, whose order may be chance.",
    ]

"""What a comparison found: the tables, the JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from rl2qc.core.renamed import OldNames
from rl2qc.core.results import Result
from rl2qc.core.schemas import load_schema
from rl2qc.core.text import interval, layout, number
from rl2qc.scoring.quote import Quoted, QuotedTable, comparison_table
from rl2qc.scoring.results import plain
from rl2qc.scoring.spec import MetricSpec
from rl2qc.stats.agreement import RankAgreement
from rl2qc.stats.difference import Difference

__all__ = ["SCHEMA_VERSION", "Comparison", "difference_verdict", "schema"]

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Comparison(Result, Quoted, OldNames):
    """Generated sets side by side.

    Attributes
    ----------
    generators
        Titles; the first is what the others are compared with.
    values
        By metric, in the order of the generators; NaN where not defined.
    higher_is_better
        By metric.
    differences
        By metric and other generator: the first minus the other.
    agreement
        How far the metrics that tell the generators apart agree on their ranks; None for two,
        unless asked for.
    provenance
        Counts, settings, model, features and versions.
    warnings
        Plain sentences.
    n_generated
        By metric, images of each generator behind its value; scores from elsewhere have none.
    unclear
        By metric, the pairs of generators that its intervals do not tell apart; None where there
        are no intervals. Empty without agreement.
    verdicts
        By metric and other generator, what their difference says.

    Examples
    --------
    >>> import numpy as np
    >>> import rl2qc
    >>> images = np.random.default_rng(0).integers(0, 256, (36, 64, 64, 3), dtype=np.uint8)
    >>> sets = {"a": images[:12], "b": images[12:24] // 2}
    >>> found = rl2qc.compare(sets, images[24:], metrics=["swd"], n_resamples=0)
    >>> found.generators, list(found.values)
    (('a', 'b'), ['swd'])
    """

    old_names: ClassVar[Mapping[str, str]] = {"run": "provenance"}

    generators: tuple[str, ...]
    values: Mapping[str, tuple[float, ...]]
    higher_is_better: Mapping[str, bool | None]
    differences: Mapping[str, Mapping[str, Difference]]
    agreement: RankAgreement | None
    provenance: Mapping[str, Any]
    warnings: tuple[str, ...]
    n_generated: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unclear: Mapping[str, tuple[tuple[str, str], ...] | None] = field(default_factory=dict)
    verdicts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.generators)}: {len(self.values)} metrics>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the schema in the package describes it (:func:`schema`).

        A value that is not finite becomes None.
        """
        agreement = None
        if self.agreement is not None:
            agreement = {
                "metrics": list(self.agreement.metrics),
                "ranks": self.agreement.ranks.tolist(),
                "kendall": [_finite(row) for row in self.agreement.kendall.tolist()],
                "spearman": [_finite(row) for row in self.agreement.spearman.tolist()],
                "unclear_pairs": [
                    None if (pairs := self.unclear.get(name)) is None else [list(p) for p in pairs]
                    for name in self.agreement.metrics
                ],
            }
        return {
            "schema_version": SCHEMA_VERSION,
            "generators": list(self.generators),
            "metrics": {
                name: {
                    "higher_is_better": self.higher_is_better[name],
                    "values": _finite(row),
                    "n_generated": (
                        list(self.n_generated[name]) if name in self.n_generated else None
                    ),
                    "differences": {
                        other: {
                            **asdict(d),
                            "significant": d.significant,
                            "verdict": self.verdicts.get(name, {}).get(other, ""),
                        }
                        for other, d in self.differences.get(name, {}).items()
                    },
                }
                for name, row in self.values.items()
            },
            "agreement": agreement,
            "provenance": dict(self.provenance),
            # Its old name, for one release.
            "run": dict(self.provenance),
            "warnings": list(self.warnings),
        }

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """One line a metric and generator, with the difference of the first from it."""
        return [
            {
                "metric": name,
                "generator": title,
                "value": plain(value),
                "n_generated": self.n_generated[name][i] if name in self.n_generated else None,
                "first_minus_this": d.value if d else None,
                "low": d.low if d else None,
                "high": d.high if d else None,
                "verdict": self.verdicts.get(name, {}).get(title, ""),
            }
            for name, row in self.values.items()
            for i, (title, value) in enumerate(zip(self.generators, row, strict=True))
            for d in [self.differences.get(name, {}).get(title)]
        ]

    def quoted(self) -> QuotedTable:
        """A line a generator, for a paper; the best and the runner-up are marked."""
        return comparison_table(self.generators, self.values, self.higher_is_better)

    def quoted_metrics(self) -> list[str]:
        """Those that were compared."""
        return list(self.values)

    def describe(self) -> str:
        """What was compared, in a line."""
        made = self.provenance
        listed = ", ".join(f"{title} {n}" for title, n in made["n_generated"].items())
        return (
            f"{listed} generated against {made['n_real']} real images, {made['patch_size']} px, "
            f"model {made['checkpoint']} ({made['checkpoint_sha256'][:12]}), "
            f"features {made['features']}"
        )

    def table(self) -> str:
        """Values, then the differences from the first generator, then the agreement of ranks."""
        arrow = {True: "↑", False: "↓", None: ""}
        sizes = {n for counts in self.n_generated.values() for n in counts}
        rows = [("metric", "", *self.generators, *(["images"] if len(sizes) > 1 else []))]
        for name, row in self.values.items():
            counts = set(self.n_generated.get(name, ()))
            cells = ["all" if len(counts) > 1 else "".join(map(str, counts))]
            cells = cells if len(sizes) > 1 else []
            rows.append((name, arrow[self.higher_is_better[name]], *map(number, row), *cells))
        lines = layout(rows, right=range(2, 2 + len(self.generators)))
        first = self.generators[0]
        for other in self.generators[1:]:
            table = [("metric", f"{first} - {other}", "interval", "verdict")]
            for name, found in self.differences.items():
                if other in found:
                    d = found[other]
                    table.append(
                        (
                            name,
                            number(d.value),
                            interval(d.low, d.high),
                            self.verdicts.get(name, {}).get(other, ""),
                        )
                    )
            lines += ["", *layout(table, right=(1, 2))]
        if self.agreement is not None:
            lines += ["", *_agreement_lines(self.agreement, self.generators, self.unclear)]
        lines += ["", "↑ higher, ↓ lower is better"]
        if n_verdicts := sum(map(len, self.differences.values())):
            level = self.provenance["settings"]["level"]
            lines.append(
                f"interval: {level:.0%}, each by itself: 1 in {1 / (1 - level):.0f} leaves 0 out "
                f"by chance, so read these {n_verdicts} verdicts together"
            )
        return "\n".join(lines)


def schema() -> dict[str, Any]:
    """The JSON Schema of :meth::meth:`Comparison.to_dict`."""
    return load_schema("scoring", "comparison")


def difference_verdict(
    difference: Difference,
    titles: tuple[str, str],
    higher_is_better: bool | None,
    spec: MetricSpec | None = None,
) -> str:
    """What a difference says of two generators, in plain words.

    Parameters
    ----------
    difference
        Of the first from the second.
    titles
        Of both.
    higher_is_better
        None where neither direction is good in itself.
    spec
        The metric; None for a score from elsewhere.
    """
    if spec is not None and spec.compared is not None:
        own = spec.compared(difference)
        if own is not None:
            return own
    if not difference.significant:
        return "no clear difference"
    higher, lower = titles if difference.value > 0 else titles[::-1]
    more = spec.more if spec is not None else ""
    if higher_is_better is None or more:
        return f"{higher} {more or 'higher'}"
    return f"{higher if higher_is_better else lower} better"


def _agreement_lines(
    agreement: RankAgreement,
    generators: tuple[str, ...],
    unclear: Mapping[str, tuple[tuple[str, str], ...] | None],
) -> list[str]:
    n_pairs = math.comb(len(generators), 2)
    doubtful = {name: None if (p := unclear.get(name)) is None else len(p) for name in unclear}
    ranks = [("rank (1 is best)", *generators, "unclear pairs")]
    for name, row in zip(agreement.metrics, agreement.ranks, strict=True):
        k = doubtful.get(name)
        ranks.append(
            (name, *(f"{rank:g}" for rank in row), "?" if k is None else f"{k} of {n_pairs}")
        )
    count = len(agreement.metrics)
    matrix = [("agreement", *(str(i + 1) for i in range(count)))]
    for i, name in enumerate(agreement.metrics):
        cells = []
        for j in range(count):
            value = (agreement.spearman if j > i else agreement.kendall)[i, j]
            text = "." if i == j else "-" if math.isnan(value) else f"{value:+.2f}"
            chance = n_pairs in (doubtful.get(name), doubtful.get(agreement.metrics[j]))
            cells.append(f"({text})" if chance and i != j else text)
        matrix.append((f"{i + 1} {name}", *cells))
    return [
        *layout(ranks, right=range(1, len(generators) + 2)),
        "",
        *layout(matrix, right=range(1, count + 1)),
        "below the diagonal Kendall's tau, above it Spearman's rho: 1 same order, -1 reversed.",
        f"{len(generators)} generators: unrelated metrics come to +1 or -1 by chance in "
        f"1 of {math.factorial(len(generators)) // 2} cases.",
        "unclear: pairs without a clear difference, whose order may be chance; in brackets where "
        "that is so of all.",
    ]


def _finite(row: Sequence[float]) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in row]

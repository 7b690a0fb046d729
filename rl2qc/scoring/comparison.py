"""What a comparison found: the tables, the JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from rl2qc.core.renamed import OldNames
from rl2qc.core.results import Result
from rl2qc.core.schemas import load_schema
from rl2qc.core.text import interval, layout, number
from rl2qc.images.sources.images import PatchSource
from rl2qc.scoring.compare_page import write_page
from rl2qc.scoring.quote import Quoted, QuotedTable, comparison_table, fitted_words
from rl2qc.scoring.ranks import rank_lines, ranks_of
from rl2qc.scoring.results import plain
from rl2qc.scoring.side_by_side import SideBySide
from rl2qc.scoring.spec import METRICS, MetricSpec
from rl2qc.stats.agreement import RankAgreement
from rl2qc.stats.difference import Difference

__all__ = ["SCHEMA_VERSION", "Comparison", "difference_verdict", "schema"]

SCHEMA_VERSION = 2
_UNCLEAR = "no clear difference"


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
    extractors
        The same images by each of several extractors; None for one.
    intervals
        By metric, low and high of each generator's value; NaN where there is none.
    sources
        The images, by title, for the page; empty of a comparison read back.

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
    extractors: SideBySide | None = None
    intervals: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    sources: Mapping[str, PatchSource] = field(default_factory=dict, repr=False, compare=False)

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
                    "intervals": [_finite(ends) for ends in self.interval_of(name)],
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
            "extractors": None if self.extractors is None else self.extractors.to_dict(),
            "provenance": dict(self.provenance),
            # Its old name, for one release.
            "run": dict(self.provenance),
            "warnings": list(self.warnings),
        }

    def interval_of(self, name: str) -> tuple[tuple[float, float], ...]:
        """Low and high of each generator's value of a metric, NaN where there is none."""
        return self.intervals.get(name, ((math.nan, math.nan),) * len(self.generators))

    def to_html(self, path: str | Path) -> None:
        """Write a page with charts and pictures to ``path``, whole or not at all."""
        write_page(self, path)

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """One line a metric and generator, with the difference of the first from it."""
        return [
            {
                "metric": name,
                "generator": title,
                "value": plain(value),
                "value_low": plain(self.interval_of(name)[i][0]),
                "value_high": plain(self.interval_of(name)[i][1]),
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
            f"model {made['checkpoint']} ({made['checkpoint_sha256'][:12]})"
            f"{fitted_words(made)}, "
            f"features {made['features']}"
        )

    def shown(self, *, short: bool = False) -> tuple[str, ...]:
        """Names of the metrics; of ``short`` the recommended and those from elsewhere.

        All where metrics were asked for by name, or none is recommended.
        """
        names = tuple(self.values)
        if not short or self.provenance["settings"].get("metrics") is not None:
            return names
        few = tuple(n for n in names if n not in METRICS or METRICS.get(n).recommended)
        return few if any(n in METRICS for n in few) else names

    def table(self, *, short: bool = False) -> str:
        """Values, then the differences from the first generator, then the agreement of ranks.

        Of ``short`` those of the metrics that :meth:`shown` names then.
        """
        names = self.shown(short=short)
        lines = self._value_lines(names)
        for other in self.generators[1:]:
            lines += self._difference_lines(names, other)
        if self.agreement is not None:
            found = ranks_of(self.agreement, self.generators, self.unclear, names)
            lines += ["", *rank_lines(found)]
        if self.extractors is not None:
            lines += ["", self.extractors.table()]
        lines += ["", "↑ higher, ↓ lower is better"]
        if n_verdicts := sum(len(self.differences.get(name, ())) for name in names):
            level = self.provenance["settings"]["level"]
            lines.append(
                f"interval: {level:.0%}, each by itself: 1 in {1 / (1 - level):.0f} leaves 0 out "
                f"by chance, so read these {n_verdicts} verdicts together"
            )
        if hidden := len(self.values) - len(names):
            lines.append(f"{hidden} more metrics: --all, or in the files")
        return "\n".join(lines)

    def _value_lines(self, names: Sequence[str]) -> list[str]:
        arrow = {True: "↑", False: "↓", None: ""}
        sizes = {n for name in names for n in self.n_generated.get(name, ())}
        rows = [("metric", "", *self.generators, *(["images"] if len(sizes) > 1 else []))]
        for name in names:
            counts = set(self.n_generated.get(name, ()))
            cells = ["all" if len(counts) > 1 else "".join(map(str, counts))]
            cells = cells if len(sizes) > 1 else []
            values = map(number, self.values[name])
            rows.append((name, arrow[self.higher_is_better[name]], *values, *cells))
        return layout(rows, right=range(2, 2 + len(self.generators)))

    def _difference_lines(self, names: Sequence[str], other: str) -> list[str]:
        """The first generator minus another: those that say something, the others by name."""
        first, unclear = self.generators[0], []
        table = [("metric", f"{first} - {other}", "interval", "verdict")]
        for name in names:
            if (d := self.differences.get(name, {}).get(other)) is None:
                continue
            said = self.verdicts.get(name, {}).get(other, "")
            if said == _UNCLEAR:
                unclear.append(name)
            else:
                table.append((name, number(d.value), interval(d.low, d.high), said))
        lines = ["", *layout(table, right=(1, 2))] if len(table) > 1 else []
        if unclear:
            said = f"{first} and {other}, {_UNCLEAR}: {', '.join(unclear)}"
            lines += [*([] if lines else [""]), *textwrap.wrap(said, 100, subsequent_indent="  ")]
        return lines


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
        return _UNCLEAR
    higher, lower = titles if difference.value > 0 else titles[::-1]
    more = spec.more if spec is not None else ""
    if higher_is_better is None or more:
        return f"{higher} {more or 'higher'}"
    return f"{higher if higher_is_better else lower} better"


def _finite(row: Sequence[float]) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in row]

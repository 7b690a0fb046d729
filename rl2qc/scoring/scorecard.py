"""What a scoring found: the table, the JSON, the CSV, the page."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from rl2qc.core.renamed import OldNames
from rl2qc.core.results import Result
from rl2qc.core.schemas import load_schema
from rl2qc.core.text import interval, layout, number
from rl2qc.scoring.evidence import Evidence
from rl2qc.scoring.headline import Line, to_text
from rl2qc.scoring.page import write_page
from rl2qc.scoring.quote import Quoted, QuotedTable, fitted_words, score_table
from rl2qc.scoring.requirements import failed, read_requirements
from rl2qc.scoring.results import Curve, MetricResult
from rl2qc.scoring.side_by_side import SideBySide
from rl2qc.scoring.spec import METRICS

__all__ = ["SCHEMA_VERSION", "Scorecard", "schema"]

SCHEMA_VERSION = 2
_VERDICT_WIDTH = 36
_LEGEND = (
    "↑ higher, ↓ lower is better. value: of all images. at n and baseline: of generated and of "
    "real images against real ones at the same numbers of images, so compare these two. % below: "
    "share of the values of real against real below at n (about 50: like real)."
)


@dataclass(frozen=True)
class Scorecard(Result, Quoted, OldNames):
    """The scores of one generated set, how they were made, and what to beware of.

    Attributes
    ----------
    metrics
        By name, in the order of the table.
    provenance
        Counts, settings, model, features and versions.
    warnings
        Plain sentences.
    against_n
        Metrics against the number of images.
    evidence
        The arrays behind the numbers, for the page.
    headline
        Realism, diversity, memorisation and coverage, a plain line each.
    extractors
        The same images by each of several extractors; None for one.

    Examples
    --------
    >>> import numpy as np
    >>> import rl2qc
    >>> images = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)
    >>> card = rl2qc.score(images[:12], images[12:], metrics=["swd"], n_resamples=0)
    >>> list(card.metrics), card["swd"] == card.metrics["swd"].value
    (['swd'], True)
    """

    old_names: ClassVar[Mapping[str, str]] = {"run": "provenance"}

    metrics: Mapping[str, MetricResult]
    provenance: Mapping[str, Any]
    warnings: tuple[str, ...]
    against_n: Mapping[str, Curve] = field(default_factory=dict)
    evidence: Evidence | None = field(default=None, repr=False, compare=False)
    headline: tuple[Line, ...] = ()
    extractors: SideBySide | None = None

    def __getitem__(self, name: str) -> float:
        return self.metrics[name].value

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the schema in the package describes it (:func:`schema`)."""
        return {
            "schema_version": SCHEMA_VERSION,
            "headline": [line.to_dict() for line in self.headline],
            "metrics": {name: metric.to_dict() for name, metric in self.metrics.items()},
            "against_n": {name: curve.to_dict() for name, curve in self.against_n.items()},
            "extractors": None if self.extractors is None else self.extractors.to_dict(),
            "provenance": dict(self.provenance),
            # Its old name, for one release.
            "run": {k: v for k, v in self.provenance.items() if k != "seconds"},
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        made = self.provenance
        sets = f"{made.get('n_generated', '?')} generated against {made.get('n_real', '?')} real"
        return f"<Scorecard: {sets} images, {len(self.metrics)} metrics>"

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """One line a metric."""
        return [{"metric": n, **m.to_dict()} for n, m in self.metrics.items()]

    def to_html(self, path: str | Path) -> None:
        """Write a page with pictures to ``path``, whole or not at all.

        Raises
        ------
        UsageError
            For a scorecard without its evidence.
        """
        write_page(self, path)

    def describe(self) -> str:
        """What was scored, in a line."""
        made = self.provenance
        return (
            f"{made['n_generated']} generated against {made['n_real']} real images, "
            f"{made['patch_size']} px, model {made['checkpoint']} "
            f"({made['checkpoint_sha256'][:12]}){fitted_words(made)}, features {made['features']}, "
            f"{made['seconds']} s"
        )

    def answer(self) -> str:
        """Realism, diversity, memorisation and coverage in plain lines, for the terminal."""
        return "\n".join(to_text(self.headline))

    def shown(self, *, short: bool = False) -> dict[str, MetricResult]:
        """The metrics that have a value, or were asked for by name; of ``short`` the recommended.

        All of them where none is recommended.
        """
        asked = self.provenance["settings"].get("metrics") is not None
        rows = {n: m for n, m in self.metrics.items() if asked or not math.isnan(m.value)}
        few = {n: m for n, m in rows.items() if n in METRICS and METRICS.get(n).recommended}
        return few if short and few and not asked else rows

    def table(self, *, short: bool = False) -> str:
        """A table for the terminal, its notes below it; of ``short`` the recommended metrics."""
        shown = self.shown(short=short)
        rows = [("metric", "", "value", "interval", "at n", "baseline", "% below", "verdict")]
        for name, m in shown.items():
            # Continued on lines of their own, so that the table keeps to its width.
            first, *more = textwrap.wrap(m.verdict or m.meaning, _VERDICT_WIDTH) or [""]
            rows.append(
                (
                    f"{name} †" if m.paper else name,
                    {True: "↑", False: "↓", None: ""}[m.higher_is_better],
                    number(m.value),
                    interval(m.low, m.high),
                    number(m.observed),
                    number(m.baseline),
                    "-" if math.isnan(m.percentile) else f"{m.percentile:.0f}",
                    first,
                )
            )
            rows += [("", "", "", "", "", "", "", line) for line in more]
        lines = [*layout(rows, right=(2, 3, 4, 5, 6)), ""]
        level = f"interval: {self.provenance['settings']['level']:.0%}."
        marked = [f"{name} {m.paper}" for name, m in shown.items() if m.paper]
        paper = [f"†: in the form of its paper ({'; '.join(marked)})."] if marked else []
        notes = (_LEGEND, *paper, level, *self.resample_notes(), *self.group_notes())
        lines += textwrap.wrap(" ".join(notes), 100, break_on_hyphens=False)
        lines += [f"{name}: {said}" for name, m in shown.items() if (said := m.remarks)]
        if hidden := len(self.shown()) - len(shown):
            lines.append(f"{hidden} more metrics: --all, or in the files")
        return "\n".join(lines)

    def quoted(self) -> QuotedTable:
        """The recommended metrics, for a paper: ``.latex()``, ``.markdown()``."""
        return score_table(self.shown(short=True))

    def quoted_metrics(self) -> list[str]:
        """The recommended ones, or those that were asked for."""
        return list(self.shown(short=True))

    def unmet(self, requirements: str) -> tuple[str, ...]:
        """A line for each requirement that is not met, of such as "rl2 < 20, coverage > .6".

        Raises
        ------
        UsageError
            What is no requirement.
        """
        return failed(read_requirements(requirements), self.metrics)

    def resample_notes(self) -> list[str]:
        """Sentences on the numbers of images behind baselines and intervals."""
        lines = []
        names: dict[tuple[int, int], list[str]] = {}
        for name, m in self.metrics.items():
            if not math.isnan(m.baseline):
                sizes = (m.baseline_n_real, m.baseline_n_generated)
                names.setdefault(sizes, []).append(name)
        if names:
            common = max(names, key=lambda sizes: len(names[sizes]))
            parts = [f"{common[0]} real images against {common[1]}"]
            parts += [
                f"{', '.join(found)} {real} against {other}"
                for (real, other), found in names.items()
                if (real, other) != common
            ]
            lines.append(f"Baselines: {'; '.join(parts)}.")
        if self.is_capped:
            lines.append(
                f"Baselines and intervals draw from at most {self._cap:,.0f} images of a set; "
                "intervals are narrowed to all of them by the root of their number."
            )
        return lines

    def group_notes(self) -> list[str]:
        """Sentences on which images were taken to belong together, and how that is known."""
        made, lines = self.provenance, []
        for title, n_groups in made.get("groups", {}).items():
            said = made.get("group_evidence", {}).get(title, "")
            if n_groups is not None:
                worth = number(made.get("independent_images", {}).get(title, math.nan))
                lines.append(
                    f"{title}: {n_groups} groups ({said}), worth {worth} independent images"
                )
            elif not said:
                lines.append(f"{title}: no groups recognised, each image stands for itself")
        if not lines:
            return []
        return [f"Groups: {'; '.join(lines)} (--group-pattern, --groups name others)."]

    @property
    def is_capped(self) -> bool:
        """Whether a set is larger than what is resampled."""
        return any(self.provenance.get(n, 0) > self._cap for n in ("n_real", "n_generated"))

    @property
    def _cap(self) -> float:
        return float(self.provenance.get("resampled_images_at_most", math.inf))

    def curve_table(self) -> str:
        """The metrics against the number of images, for the terminal; empty without curves."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for name, curve in self.against_n.items():
            groups.setdefault(curve.n, []).append(name)
        lines: list[str] = []
        for sizes, names in groups.items():
            rows = [("generated images", *map(str, sizes), "infinite")]
            for name in names:
                curve = self.against_n[name]
                rows.append((name, *map(number, curve.values), number(curve.limit)))
            lines += layout(rows, right=range(1, len(sizes) + 2))
        lines += [f"{name}: {c.note}" for name, c in self.against_n.items() if c.note]
        if lines and self.is_capped:
            lines.append(
                f"The curves end at {self._cap:,.0f} images of a set; a limit is of all images."
            )
        return "\n".join(lines)


def schema() -> dict[str, Any]:
    """The JSON Schema of :meth::meth:`Scorecard.to_dict`."""
    return load_schema("scoring", "scorecard")

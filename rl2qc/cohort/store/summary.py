"""The summary of a run: a row for each input."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.files import write_csv
from rl2qc.core.text import printable
from rl2qc.filtering.evidence import describe_adaptation
from rl2qc.filtering.table import TileTable
from rl2qc.filtering.verdict import FLAGGED, VERDICTS

__all__ = [
    "SUMMARY",
    "SummaryRow",
    "csv_row",
    "describe_reasons",
    "describe_verdicts",
    "repeated",
    "row_from",
    "row_of",
    "run_warnings",
    "write_summary",
]

SUMMARY = "summary.csv"


@dataclass(frozen=True)
class SummaryRow:
    """What became of an input; ``status`` is "done", "partial" (images that cannot be used were
    left out) or "failed". ``verdict`` is one of :data:`rl2qc.filtering.verdict.VERDICTS`, ``areas``
    the share of the tissue under each kind of damage and ``area_um2`` the same in square microns
    (empty in results of before), ``reasons`` counts the rejected tiles by likely reason, and
    ``adapted`` says what they were judged beside, if that is the slides at hand."""

    name: str
    kind: str
    status: str
    verdict: str = ""
    why: str = ""
    tiles: int = 0
    kept: int = 0
    kept_share: float = math.nan
    median_log_likelihood: float = math.nan
    drift: float = math.nan
    flags: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    mpp: float | None = None
    level: int | None = None
    scale: float | None = None
    tissue_share: float | None = None
    tissue_threshold: float | None = None
    scanner: str = ""
    unreadable: int = 0
    seconds: float = 0.0
    error: str = ""
    warnings: tuple[str, ...] = ()
    path: str = ""
    adapted: str = ""
    areas: Mapping[str, float] = field(default_factory=dict)
    area_um2: Mapping[str, float] = field(default_factory=dict)

    @property
    def flagged(self) -> bool:
        """Whether a person should look, or it is to be dropped."""
        return self.verdict in FLAGGED


def row_of(table: TileTable, *, seconds: float = 0.0, path: str | Path = "") -> SummaryRow:
    """The row of a table of tiles."""
    likelihoods = table.measurements.get("log_likelihood", np.empty(0))
    return SummaryRow(
        name=table.name,
        kind=table.kind,
        status="partial" if table.failures and table.kind == "patches" else "done",
        verdict=table.verdict.word,
        why=table.verdict.why,
        tiles=len(table),
        kept=int(table.keep.sum()),
        kept_share=table.kept_share,
        median_log_likelihood=float(np.median(likelihoods)) if len(likelihoods) else math.nan,
        drift=table.drift,
        flags=table.flags,
        reasons=_count(table.reasons),
        mpp=table.mpp,
        level=table.level,
        scale=table.scale,
        tissue_share=table.tissue_coverage,
        tissue_threshold=table.tissue_threshold,
        scanner=table.scanner,
        unreadable=table.unreadable,
        seconds=seconds,
        warnings=table.warnings,
        path=str(path or table.path),
        adapted=describe_adaptation(table.adaptation, table.cohort),
        areas={name: round(share, 6) for name, share in table.areas.items()},
        area_um2={name: round(area, 1) for name, area in table.area_um2.items()},
    )


def describe_reasons(rows: Iterable[SummaryRow]) -> str:
    """The likely reasons of all rejections, the most frequent first; "" for none.

    Examples
    --------
    >>> describe_reasons([SummaryRow("a", "slide", "done", reasons={"ink or pen": 3})])
    '3 tiles rejected: ink or pen 3 (100%)'
    """
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row.reasons)
    if not total:
        return ""
    count = total.total()
    parts = (f"{name} {n} ({n / count:.0%})" for name, n in total.most_common())
    return f"{count} tiles rejected: {', '.join(parts)}"


def describe_verdicts(rows: Iterable[SummaryRow], most: int = 20) -> list[str]:
    """How often each verdict is given, and a line for each slide that is not simply used, the worst
    first; of more than ``most``, the others are counted.

    Examples
    --------
    >>> describe_verdicts([SummaryRow("a", "slide", "done", "use", "all of it")])
    ['verdicts: use 1']
    """
    given = [row for row in rows if row.verdict in VERDICTS]
    counts = Counter(row.verdict for row in given)
    lines = [f"{name} {counts[name]}" for name in VERDICTS if counts[name]]
    if not lines:
        return []
    odd = sorted(
        (row for row in given if row.verdict != VERDICTS[0]),
        key=lambda row: -VERDICTS.index(row.verdict),
    )
    said = [f"  {row.verdict}  {printable(row.name)}: {row.why}" for row in odd[:most]]
    if len(odd) > most:
        said.append(f"  and {len(odd) - most} more, in {SUMMARY}")
    return [f"verdicts: {', '.join(lines)}", *said]


def row_from(values: Mapping[str, Any]) -> SummaryRow:
    """The row that a record holds; null stands for NaN where a number is meant."""
    known = {f.name: f for f in fields(SummaryRow)}
    row = {name: value for name, value in values.items() if name in known}
    for name, value in row.items():
        if value is None and known[name].type == "float":
            row[name] = math.nan
        elif isinstance(value, list):
            row[name] = tuple(value)
    return SummaryRow(**row)


def write_summary(path: Path, rows: Iterable[SummaryRow]) -> None:
    """Write the rows as a CSV file, as in ``summary.csv``."""
    names = [f.name for f in fields(SummaryRow)]
    write_csv(path, names, (list(csv_row(row).values()) for row in rows))


def csv_row(row: SummaryRow) -> dict[str, Any]:
    """The row for a spreadsheet: what is unknown is empty."""
    values = {f.name: getattr(row, f.name) for f in fields(row)}
    values["areas"] = "; ".join(f"{name} {share:.4f}" for name, share in row.areas.items())
    values["area_um2"] = "; ".join(f"{name} {area:.1f}" for name, area in row.area_um2.items())
    values["reasons"] = "; ".join(f"{name} {n}" for name, n in row.reasons.items())
    values["warnings"], values["flags"] = "; ".join(row.warnings), "; ".join(row.flags)
    values["seconds"] = round(row.seconds, 2)
    return {
        name: "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
        for name, value in values.items()
    }


def _count(reasons: NDArray[np.str_]) -> dict[str, int]:
    """How often each reason is named, the most frequent first."""
    return dict(Counter(reasons[reasons != ""].tolist()).most_common())


def run_warnings(manifest: Mapping[str, Any], rows: Sequence[SummaryRow]) -> list[str]:
    """What a run says that is of none of its inputs: what was left out of them, say."""
    of_inputs = tuple(f"{row.name}: " for row in rows)
    lines = map(str, manifest.get("warnings", ()))
    of_slides = ((row.name, row.path) for row in rows if row.kind == "slide")
    return [*(line for line in lines if not line.startswith(of_inputs)), *repeated(of_slides)]


def repeated(slides: Iterable[tuple[str, str]]) -> list[str]:
    """What is to be said of results, name and path of the slide each, that are of one slide.

    Examples
    --------
    >>> repeated([("a", "a.svs"), ("b", "b.svs"), ("a.bak", "a.svs")])
    ['a and a.bak are results of one slide, whose tiles count twice: move the copy elsewhere']
    """
    names: dict[str, list[str]] = {}
    for name, path in slides:
        names.setdefault(path, []).append(name)
    return [
        f"{printable(same[0])} and {printable(same[1])} are results of one slide, whose tiles "
        "count twice: move the copy elsewhere"
        for same in names.values()
        if len(same) > 1
    ]

"""A card or comparison as papers want it: LaTeX, Markdown, a methods sentence, BibTeX."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from rl2qc.core.files import write_text
from rl2qc.core.text import number
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.spec import METRICS

__all__ = [
    "Quoted",
    "QuotedTable",
    "bibtex",
    "comparison_table",
    "fitted_words",
    "methods",
    "score_table",
]

_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
}
_ARROWS = {True: " \N{UPWARDS ARROW}", False: " \N{DOWNWARDS ARROW}", None: ""}


@dataclass(frozen=True)
class QuotedTable:
    """Cells, and how each stands out.

    Attributes
    ----------
    header
    rows
        Of text, as many cells as the header.
    best, second
        Places (row, column) of the best values and of the runners-up.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: frozenset[tuple[int, int]] = frozenset()
    second: frozenset[tuple[int, int]] = frozenset()

    def latex(self) -> str:
        """A tabular of booktabs: the best in bold, the runner-up underlined."""

        def marked(i: int, j: int, cell: str) -> str:
            text = _escaped(cell)
            if (i, j) in self.best:
                return rf"\textbf{{{text}}}"
            return rf"\underline{{{text}}}" if (i, j) in self.second else text

        lines = [rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}", r"\toprule"]
        lines += [" & ".join(map(_escaped, self.header)) + r" \\", r"\midrule"]
        lines += [
            " & ".join(marked(i, j, cell) for j, cell in enumerate(row)) + r" \\"
            for i, row in enumerate(self.rows)
        ]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])

    def markdown(self) -> str:
        """A table with pipes: the best in bold, the runner-up in italics."""

        def marked(i: int, j: int, cell: str) -> str:
            text = cell.replace("|", r"\|")
            if (i, j) in self.best:
                return f"**{text}**"
            return f"*{text}*" if (i, j) in self.second else text

        rows = [
            [marked(i, j, cell) for j, cell in enumerate(row)] for i, row in enumerate(self.rows)
        ]
        ruler = ["---", *(["--:"] * (len(self.header) - 1))]
        return "\n".join(f"| {' | '.join(row)} |" for row in [list(self.header), ruler, *rows])


class Quoted(ABC):
    """A result that papers quote; a subclass says which metrics it shows, and their table."""

    provenance: Mapping[str, Any]

    @abstractmethod
    def quoted(self) -> QuotedTable:
        """The table: ``.latex()``, ``.markdown()``."""

    @abstractmethod
    def quoted_metrics(self) -> list[str]:
        """The names in it."""

    def methods(self) -> str:
        """A sentence for the methods of a paper."""
        return methods(self.provenance, self.quoted_metrics())

    def bibtex(self) -> str:
        """The papers of the metrics."""
        return bibtex(self.quoted_metrics())

    def to_latex(self, path: str | Path) -> None:
        """Write the table to ``path``, with methods sentence and BibTeX as comments."""
        entries = "\n".join(f"% {line}".rstrip() for line in self.bibtex().splitlines())
        write_text(Path(path), f"% {self.methods()}\n{self.quoted().latex()}\n\n{entries}\n")

    def to_markdown(self, path: str | Path) -> None:
        """Write table, methods sentence and BibTeX to ``path``."""
        entries = f"```bibtex\n{self.bibtex()}\n```"
        text = f"{self.quoted().markdown()}\n\n{self.methods()}\n\n{entries}\n"
        write_text(Path(path), text)


def score_table(rows: Mapping[str, MetricResult]) -> QuotedTable:
    """A line a metric: value, interval, real against real."""
    cells = [
        [
            name + _ARROWS[m.higher_is_better],
            number(m.value),
            "-" if math.isnan(m.low) else f"[{number(m.low)}, {number(m.high)}]",
            number(m.observed),
            number(m.baseline),
        ]
        for name, m in rows.items()
    ]
    return QuotedTable(["metric", "value", "interval", "at n", "real against real"], cells)


def comparison_table(
    generators: Sequence[str],
    values: Mapping[str, Sequence[float]],
    directions: Mapping[str, bool | None],
) -> QuotedTable:
    """A line a generator, a column a metric; the best and the runner-up of each are marked."""
    best, second = set(), set()
    for j, (name, row) in enumerate(values.items(), 1):
        if directions[name] is None:
            continue
        sign = -1 if directions[name] else 1
        known = sorted({sign * v for v in row if math.isfinite(v)})
        for i, value in enumerate(row):
            if math.isfinite(value) and len(known) > 1:
                best |= {(i, j)} if sign * value == known[0] else set()
                second |= {(i, j)} if sign * value == known[1] and len(known) > 2 else set()
    header = ["generator", *(name + _ARROWS[directions[name]] for name in values)]
    rows = [
        [title, *(number(row[i]) for row in values.values())] for i, title in enumerate(generators)
    ]
    return QuotedTable(header, rows, frozenset(best), frozenset(second))


def methods(made: Mapping[str, Any], names: Sequence[str]) -> str:
    """A sentence for the methods of a paper: with what, on what, and how."""
    settings = made["settings"]
    n = made["n_generated"]
    counted = ", ".join(f"{t}: {k}" for t, k in n.items()) if isinstance(n, Mapping) else str(n)
    groups = made.get("groups", {}).get("real")
    real = f"{made['n_real']} real images" + (f" of {groups} groups" if groups else "")
    stored = made.get("encoding", {}).get("stored", {})
    kinds = sorted({name for counts in stored.values() for name in counts})
    done = sorted({r for rs in made.get("encoding", {}).get("harmonized", {}).values() for r in rs})
    encoded = f"; images stored as {', '.join(kinds)}" if kinds else ""
    encoded += f", brought to one encoding ({', '.join(done)})" if done else ""
    known = ", ".join(f"{k} {v}" for k, v in made["versions"].items() if k in ("rl2qc", "torch"))
    return (
        f"Scores ({', '.join(names)}) of generated images ({counted}) against {real} were computed "
        f"at {made['patch_size']} px with {known}, model {made['checkpoint']} (SHA-256 "
        f"{made['checkpoint_sha256'][:12]}){fitted_words(made)}, features {made['features']}, "
        f"seed {settings['seed']}{encoded}{_resampled(made)}."
    )


def _resampled(made: Mapping[str, Any]) -> str:
    """What intervals are of, and baselines, which a comparison has not."""
    settings = made["settings"]
    if not settings["n_resamples"]:
        return ""
    alone = isinstance(made["n_generated"], Mapping)
    what = "intervals" if alone else "intervals and real-against-real baselines"
    whole = " of whole groups" if made.get("groups", {}).get("real") else ""
    return f"; {settings['level']:.0%} {what} are of {settings['n_resamples']} resamples{whole}"


def fitted_words(made: Mapping[str, Any]) -> str:
    """What the flow was fitted to, where that is not the model's own reference."""
    if (fitted := made.get("fitted")) is None:
        return ""
    of = f" of {fitted['groups']} groups" if fitted["groups"] else ""
    return f" with its flow fitted to {fitted['n_real']} other real images{of}"


def bibtex(names: Sequence[str]) -> str:
    """The papers of metrics, each once."""
    known = _entries()
    keys: dict[str, str] = {}
    for name in names:
        for key in METRICS.get(name).cite if name in METRICS else ():
            keys[key] = key if key.startswith("@") else known[key]
    return "\n\n".join(keys.values())


def _entries() -> dict[str, str]:
    text = resources.files("rl2qc.scoring").joinpath("references.bib").read_text(encoding="utf-8")
    found = {}
    for entry in filter(None, (part.strip() for part in text.split("\n\n"))):
        found[entry.partition("{")[2].partition(",")[0]] = entry
    return found


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(c, c) for c in text)

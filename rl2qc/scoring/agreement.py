"""What came of holding scores against one of them: the agreement of their ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.results import Result
from rl2qc.core.schemas import load_schema
from rl2qc.core.text import layout, number
from rl2qc.stats.agreement import RankAgreement

__all__ = ["SCHEMA_VERSION", "Agreement", "MetricAgreement", "TaskAgreement", "schema"]

SCHEMA_VERSION = 2
_NONE: NDArray[np.float64] = np.empty(0)
# At or below which share of chance orders an agreement counts.
_ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class MetricAgreement:
    """How far one score orders the generators as another does.

    Attributes
    ----------
    tau, rho
        Kendall's tau-b and Spearman's rho: 1 for the same order, -1 for the reverse; NaN where
        either score orders nothing.
    p
        Share of the orders that agree, or disagree, at least as much by chance.
    by_chance
        The taus of these orders.
    """

    tau: float
    rho: float
    p: float
    by_chance: NDArray[np.float64] = field(default_factory=lambda: _NONE, repr=False)

    def verdict(self, against: str) -> str:
        """What that says, in plain words."""
        if math.isnan(self.tau):
            return "orders nothing"
        if self.p > _ALPHA:
            return "not told apart from chance"
        return f"ranks like {against}" if self.tau > 0 else f"ranks against {against}"


@dataclass(frozen=True, eq=False)
class TaskAgreement:
    """The agreement of scores within one task.

    Attributes
    ----------
    task
        Empty where the table knows none.
    generators
    ranks
        Of all scores, with their agreement among themselves.
    metrics
        By score, but the one that they are held against.
    """

    task: str
    generators: tuple[str, ...]
    ranks: RankAgreement
    metrics: Mapping[str, MetricAgreement]

    @property
    def least_p(self) -> float:
        """What a perfect agreement would have; NaN where no score orders anything."""
        known = [m.by_chance for m in self.metrics.values() if len(m.by_chance)]
        return min((float(np.mean(np.abs(c) >= c.max() - 1e-9)) for c in known), default=math.nan)


@dataclass(frozen=True, eq=False)
class Agreement(Result):
    """How far scores agree with one of them on the order of generators.

    Attributes
    ----------
    against
        The score that the others are held against.
    higher_is_better
        By score.
    tasks
        One where the table knows no tasks.
    overall
        Means over the tasks, by score; empty for one task.
    warnings
        Plain sentences.
    provenance
        The table and the settings.

    Examples
    --------
    >>> import rl2qc
    >>> found = rl2qc.agree({"generator": "abc", "dice": [1, 2, 3], "fid": [1, 2, 3]})
    >>> found["fid"], found.tasks[0].ranks.ranks.tolist()
    (-1.0, [[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    """

    against: str
    higher_is_better: Mapping[str, bool]
    tasks: tuple[TaskAgreement, ...]
    overall: Mapping[str, MetricAgreement]
    warnings: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        scores = len(self.higher_is_better) - 1
        return f"<Agreement with {self.against}: {scores} scores, {len(self.tasks)} tasks>"

    def __getitem__(self, name: str) -> float:
        """Kendall's tau of a score, over all tasks."""
        return (self.overall or self.tasks[0].metrics)[name].tau

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as the schema in the package describes it (:func:`schema`)."""
        return {
            "schema_version": SCHEMA_VERSION,
            "against": self.against,
            "higher_is_better": dict(self.higher_is_better),
            "tasks": [
                {
                    "task": t.task,
                    "generators": list(t.generators),
                    "scores": list(t.ranks.metrics),
                    "ranks": t.ranks.ranks.tolist(),
                    "kendall": _plain(t.ranks.kendall),
                    "spearman": _plain(t.ranks.spearman),
                    "agreement": self._of(t.metrics),
                }
                for t in self.tasks
            ],
            "overall": self._of(self.overall),
            "warnings": list(self.warnings),
            "provenance": dict(self.provenance),
        }

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """One line a task and score; that of all tasks is called ``all``."""
        parts = [(t.task, len(t.generators), t.metrics) for t in self.tasks]
        if self.overall:
            parts.append(("all", sum(len(t.generators) for t in self.tasks), self.overall))
        return [
            {
                "task": task,
                "score": name,
                "higher_is_better": self.higher_is_better[name],
                "generators": n,
                **found,
            }
            for task, n, metrics in parts
            for name, found in self._of(metrics).items()
        ]

    def table(self) -> str:
        """For each task the ranks of the generators, and the agreement of each score."""
        blocks = [self._task_lines(task) for task in self.tasks]
        if self.overall:
            head = f"mean over {len(self.tasks)} tasks"
            blocks.append([head, *self._lines(self.overall)])
        lines = "\n\n".join("\n".join(block) for block in blocks)
        return (
            f"{lines}\n\n↑ higher, ↓ lower is better. tau: Kendall's, of the ranks with those of "
            f"{self.against}: 1 the same order, -1 the reverse.\np: share of all orders of the "
            "generators that agree or disagree as much by chance."
        )

    def _task_lines(self, task: TaskAgreement) -> list[str]:
        names = task.ranks.metrics
        arrows = [f"{n} {'↑' if self.higher_is_better[n] else '↓'}" for n in names]
        rows = [("rank by", *arrows)]
        for at, generator in enumerate(task.generators):
            rows.append((generator, *(f"{ranks[at]:g}" for ranks in task.ranks.ranks)))
        title = f"{task.task}: " * bool(task.task) + f"{len(task.generators)} generators"
        lines = [title, *layout(rows, right=range(1, len(names) + 1)), ""]
        lines += self._lines(task.metrics)
        if task.least_p > _ALPHA:
            lines.append(
                f"of {len(task.generators)} generators even the same order is likely by chance "
                f"(p {task.least_p:.2g}): no score can be told apart"
            )
        return lines

    def _lines(self, metrics: Mapping[str, MetricAgreement]) -> list[str]:
        rows = [(f"with {self.against}", "tau", "p", "rho", "verdict")]
        for name, m in metrics.items():
            cells = (number(m.tau), "-" if math.isnan(m.p) else f"{m.p:.2g}", number(m.rho))
            rows.append((name, *cells, m.verdict(self.against)))
        return layout(rows, right=(1, 2, 3))

    def _of(self, metrics: Mapping[str, MetricAgreement]) -> dict[str, dict[str, Any]]:
        return {
            name: {
                "tau": _number(m.tau),
                "p": _number(m.p),
                "rho": _number(m.rho),
                "verdict": m.verdict(self.against),
            }
            for name, m in metrics.items()
        }


def schema() -> dict[str, Any]:
    """The JSON Schema of :meth:`Agreement.to_dict`."""
    return load_schema("scoring", "agreement")


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _plain(rows: NDArray[np.float64]) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in rows.tolist()]

"""What a watch over a training run found so far, as a table and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rl2qc.core.results import Result
from rl2qc.core.text import layout, number, printable
from rl2qc.html.charts import interval_chart
from rl2qc.html.environment import render, write_page

__all__ = ["Watched", "WatchedSet"]


@dataclass(frozen=True)
class WatchedSet:
    """What is known of the images of one checkpoint.

    Attributes
    ----------
    name, step
    stamp
        What it was when it was scored.
    scores
        Value and ends of the interval of each metric.
    rejected
        Whether it covers too few real images, surely; None where that was not asked.
    images
        How many there are.
    failure
        Why it could not be scored; "" otherwise.
    seconds
    warnings
        What :func:`rl2qc.score` warned of: images encoded in another way than the real ones, say.
    """

    name: str
    step: int
    stamp: str
    scores: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    rejected: bool | None = None
    images: int = 0
    failure: str = ""
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, known: Mapping[str, Any]) -> WatchedSet:
        """Rebuild what JSON holds of one, where what is not finite is null."""
        scores = {
            name: tuple(math.nan if end is None else float(end) for end in ends)
            for name, ends in known["scores"].items()
        }
        warnings = tuple(map(str, known.get("warnings", ())))
        return cls(**{**known, "scores": scores, "warnings": warnings})


@dataclass(frozen=True, repr=False)
class Watched(Result):
    """The checkpoints of a run so far.

    Attributes
    ----------
    run, folder
        What is watched, and where the results are.
    sets
        By step.
    metrics
        What is computed.
    waiting
        Names of sets that are still being written.

    Examples
    --------
    >>> one = WatchedSet("step_7", 7, "", {"swd": (0.5, 0.4, 0.6)}, images=9)
    >>> watched = Watched(Path("run"), Path("run.watch"), (one,), ("swd",))
    >>> print(watched.table())
    step  set     images  swd  rejected
       7  step_7       9  0.5  -
    """

    run: Path
    folder: Path
    sets: tuple[WatchedSet, ...]
    metrics: tuple[str, ...]
    waiting: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Watched {str(self.run)!r}: {len(self.scored)} sets scored>"

    @property
    def scored(self) -> tuple[WatchedSet, ...]:
        """Those that could be."""
        return tuple(one for one in self.sets if not one.failure)

    @property
    def warnings(self) -> dict[str, tuple[str, ...]]:
        """The names of the sets that each warning is of."""
        found: dict[str, tuple[str, ...]] = {}
        for one in self.sets:
            for warning in one.warnings:
                found[warning] = (*found.get(warning, ()), one.name)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "schema_version": 1,
            "run": str(self.run),
            "metrics": list(self.metrics),
            "sets": [asdict(one) for one in self.sets],
            "waiting": list(self.waiting),
        }

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """A line a set and metric."""
        return [
            {
                "step": one.step,
                "set": one.name,
                "images": one.images,
                "metric": metric,
                "value": value,
                "low": low,
                "high": high,
                "rejected": "" if one.rejected is None else str(one.rejected).lower(),
            }
            for one in self.scored
            for metric, (value, low, high) in one.scores.items()
        ]

    def table(self) -> str:
        """A line a set."""
        lines = [("step", "set", "images", *self.metrics, "rejected")]
        for one in self.sets:
            values = [number(one.scores[m][0]) if m in one.scores else "-" for m in self.metrics]
            said = {None: "-", True: "yes", False: "no"}[one.rejected]
            lines.append((str(one.step), printable(one.name), str(one.images), *values, said))
        return "\n".join(layout(lines, right=(0, *range(2, 3 + len(self.metrics)))))

    def page(self, *, refresh: float = 0) -> str:
        """The page's text, which asks for itself anew every ``refresh`` seconds."""
        return render("watch.html.j2", **self._content(), refresh=refresh)

    def to_html(self, path: str | Path) -> None:
        """Write the page to ``path``."""
        write_page(path, "watch.html.j2", **self._content(), refresh=0)

    def _content(self) -> dict[str, Any]:
        charts = {}
        for metric in self.metrics:
            known = [(one.step, *one.scores[metric]) for one in self.scored if metric in one.scores]
            if known:
                charts[metric] = interval_chart(*map(list, zip(*known, strict=True)))
        return {"watched": self, "charts": charts}

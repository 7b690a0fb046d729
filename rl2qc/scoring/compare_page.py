"""One self-contained page of a comparison: metrics against generators, ranks, samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from rl2qc.core.text import number, printable
from rl2qc.html import environment
from rl2qc.html.charts import interval_chart
from rl2qc.html.dots import Dot, dot_chart
from rl2qc.html.environment import encode
from rl2qc.images.sources.images import PatchSource
from rl2qc.scoring.ranks import Ranks, ranks_of
from rl2qc.scoring.spec import METRICS
from rl2qc.scoring.training_steps import training_steps

__all__ = ["write_page"]

# Images of each set on the sheet, and the side of one, px.
_SAMPLES, _SIDE = 8, 128


def write_page(found: Any, path: str | Path) -> None:
    """Write the page of a comparison, which knows it, to ``path``, whole or not at all."""
    steps = training_steps(found.generators)
    rows = [_row(found, name, steps) for name in found.values]
    names = found.shown(short=True)
    ranks = None
    if found.agreement is not None:
        ranks = ranks_of(found.agreement, found.generators, found.unclear, names)
    environment.write_page(
        path,
        "compare.html.j2",
        found=found,
        made={k: v for k, v in found.provenance.items() if k != "seconds"},
        steps=steps,
        tables=[[row for row in rows if (row["name"] in names) == here] for here in (True, False)],
        ranks=ranks,
        heat=None if ranks is None or len(ranks.metrics) < 2 else _heat(ranks),
        samples=_samples(found.sources, found.generators, found.provenance["settings"]["seed"]),
    )


def _row(found: Any, name: str, steps: Sequence[int] | None) -> dict[str, Any]:
    values, ends = found.values[name], found.interval_of(name)
    differences = found.differences.get(name, {})
    better = found.higher_is_better[name]
    order = sorted({v for v in values if math.isfinite(v)}, reverse=bool(better))
    cells = []
    for title, value, (low, high) in zip(found.generators, values, ends, strict=True):
        place = order.index(value) if better is not None and value in order else -1
        marks = ["best", "second"]
        known = differences.get(title)
        cells.append(
            {
                "value": value,
                "interval": "" if math.isnan(low) else f"{number(low)} to {number(high)}",
                "place": marks[place] if 0 <= place < min(2, len(order) - 1) else "",
                "significant": bool(known is not None and known.significant),
                "verdict": found.verdicts.get(name, {}).get(title, ""),
            }
        )
    spec = METRICS.get(name) if name in METRICS else None
    return {
        "name": name,
        "arrow": {True: "↑", False: "↓", None: ""}[better],
        "meaning": spec.meaning if spec is not None else "a score from elsewhere",
        "cells": cells,
        "chart": _chart(found.generators, values, ends, cells, steps),
    }


def _chart(
    titles: Sequence[str],
    values: Sequence[float],
    ends: Sequence[tuple[float, float]],
    cells: Sequence[Mapping[str, Any]],
    steps: Sequence[int] | None,
) -> Markup:
    if steps is not None:
        lows, highs = zip(*ends, strict=True)
        return interval_chart(steps, values, lows, highs)
    return dot_chart(
        [
            Dot(printable(title), value, low, high, "*" if cell["significant"] else "")
            for title, value, (low, high), cell in zip(titles, values, ends, cells, strict=True)
        ]
    )


def _heat(ranks: Ranks) -> list[dict[str, Any]]:
    """Rows of Kendall's tau with their colours: blue for the same order, red for the reverse."""
    return [
        {
            "name": name,
            "cells": [
                {
                    "text": "" if i == j else "-" if math.isnan(tau) else f"{tau:+.1f}",
                    "tone": "" if i == j or math.isnan(tau) else _tone(tau),
                }
                for j, tau in enumerate(row)
            ],
        }
        for i, (name, row) in enumerate(zip(ranks.metrics, ranks.kendall, strict=True))
    ]


def _tone(tau: float) -> str:
    """A class of the style sheet, in five steps."""
    return f"t{int(np.clip(round(2 * tau), -2, 2)) + 2}"


def _samples(
    sources: Mapping[str, PatchSource], generators: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """A few images of each set, drawn at random; the real ones first."""
    rows = []
    for title in ("real", *generators):
        if (source := sources.get(title)) is None:
            continue
        n = min(_SAMPLES, len(source))
        drawn = np.sort(np.random.default_rng(seed).choice(len(source), n, replace=False))
        pictures = [
            {
                "picture": encode(source[int(i)], _SIDE),
                "name": printable(Path(source.names[int(i)]).name),
            }
            for i in drawn
        ]
        rows.append({"title": printable(title), "pictures": pictures})
    return rows

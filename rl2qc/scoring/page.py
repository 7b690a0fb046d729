"""One self-contained page of a scorecard: the table, the distributions, the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.text import interval, printable
from rl2qc.errors import UsageError
from rl2qc.html import environment
from rl2qc.html.charts import Histogram, histogram, size_chart
from rl2qc.html.environment import encode
from rl2qc.images.sources.images import PatchSource
from rl2qc.scoring.evidence import Evidence
from rl2qc.scoring.spec import ANY, METRICS
from rl2qc.scoring.verdict import standing

__all__ = ["write_page"]

_STRIP, _NEIGHBOUR_ROWS = 10, 3
# Grey levels that a tile which shows something varies by.
_CONTRAST = 6.0
# Side of a picture on the page, px.
_SIDE = 128


def write_page(card: Any, path: str | Path) -> None:
    """Write the page of a scorecard, which knows it, to ``path``, whole or not at all.

    Raises
    ------
    UsageError
        For a scorecard without its evidence, such as one read back from JSON.
    """
    evidence: Evidence | None = card.evidence
    if evidence is None:
        raise UsageError("the page needs the scorecard as score() returned it")
    environment.write_page(
        path,
        "score.html.j2",
        card=card,
        # Equal images give equal pages, whether or not a run before this one was killed.
        made={k: v for k, v in card.provenance.items() if k != "seconds"},
        tables=_tables(card),
        likelihood=_both(evidence.log_likelihood),
        spacing=_both(evidence.spacing),
        baselines=[
            {
                "name": name,
                "metric": card.metrics[name],
                "histogram": histogram(
                    {"real": values}, mark=card.metrics[name].observed, bounds=_bounds(name)
                ),
            }
            for name, values in evidence.baselines.items()
        ],
        curves=[{"name": n, "curve": c, "chart": size_chart(c.n, c.values, c.limit)}
                for n, c in card.against_n.items() if len(c.n) > 1],
        best=_extremes(evidence, best=True),
        worst=_extremes(evidence, best=False),
        neighbours=_neighbours(evidence),
    )  # fmt: skip


def _bounds(name: str) -> tuple[float, float]:
    return METRICS.get(name).bounds if name in METRICS else ANY


def _tables(card: Any) -> list[list[dict[str, Any]]]:
    """The recommended metrics, then those that are folded away."""
    shown, short = card.shown(), card.shown(short=True)
    return [
        [
            {
                "name": name,
                "metric": m,
                "interval": interval(m.low, m.high),
                "standing": standing(m),
            }
            for name, m in rows.items()
        ]
        for rows in (short, {n: m for n, m in shown.items() if n not in short})
    ]


def _both(sets: Mapping[str, NDArray[np.float64]]) -> Histogram | None:
    return histogram(sets) if len(sets) == 2 else None


def _extremes(evidence: Evidence, *, best: bool) -> list[dict[str, Any]]:
    scores = evidence.log_likelihood.get("generated")
    if scores is None:
        return []
    order = np.argsort(-scores if best else scores, kind="stable")[:_STRIP]
    source = evidence.sources["generated"]
    return [{**_picture(source, int(i)), "text": f"log p {scores[i]:.1f}"} for i in order]


def _neighbours(evidence: Evidence) -> list[dict[str, Any]]:
    """Generated images beside their nearest real ones: the closest pairs, then typical ones."""
    if not evidence.nearest.size:
        return []
    nearest = evidence.nearest_distance[:, 0]
    order = np.argsort(nearest, kind="stable")
    middle = max(len(order) // 2 - _NEIGHBOUR_ROWS // 2, 0)
    # Blank tiles lie nearest to each other, and show nothing.
    source = evidence.sources["generated"]
    telling = (i for i in order if _shows_something(source, int(evidence.generated[i])))
    closest = list(islice(telling, _NEIGHBOUR_ROWS)) or list(order[:_NEIGHBOUR_ROWS])
    typical = order[middle : middle + _NEIGHBOUR_ROWS]
    rows: Sequence[int] = list(dict.fromkeys(int(i) for i in (*closest, *typical)))
    return [
        {
            "generated": _picture(evidence.sources["generated"], int(evidence.generated[row])),
            "real": [
                {**_picture(evidence.sources["real"], int(i)), "text": f"{distance:.3g}"}
                for i, distance in zip(
                    evidence.nearest[row], evidence.nearest_distance[row], strict=True
                )
            ],
            "closest": n < len(closest),
        }
        for n, row in enumerate(rows)
    ]


def _shows_something(source: PatchSource, index: int) -> bool:
    return bool(source[index].std(axis=(0, 1)).max() >= _CONTRAST)


def _picture(source: PatchSource, index: int) -> dict[str, Any]:
    return {
        "picture": encode(source[index], _SIDE),
        "name": printable(Path(source.names[index]).name),
    }

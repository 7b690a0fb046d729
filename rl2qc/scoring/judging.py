"""Verdicts of all rows of a card, each with an eye on the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.spec import MetricSpec
from rl2qc.scoring.verdict import is_few, lies_with_copies, verdict

__all__ = ["Case", "judged"]


@dataclass(frozen=True)
class Case:
    """What bears on every verdict.

    Attributes
    ----------
    n_images
        In the smaller set.
    n_copies
        Generated images that equal a real one, or nearly.
    paired
        Whether each generated image shows the scene of a real one.
    """

    n_images: int
    n_copies: int = 0
    paired: bool = False


def judged(
    specs: Sequence[MetricSpec],
    rows: Mapping[str, MetricResult],
    unjudged: Mapping[str, str],
    case: Case,
) -> dict[str, MetricResult]:
    """The rows with their verdicts.

    Nothing is praised where those that are asked for memorised images see some.

    Parameters
    ----------
    specs
        The metrics, in the order of the card.
    rows
        Without verdicts, by name.
    unjudged
        Why there is none, by name.
    case
    """
    seen = not case.paired and any(
        spec.question == "Memorisation"
        and not math.isnan(rows[spec.name].percentile)
        and not is_few(spec, case.n_images)
        and lies_with_copies(spec, rows[spec.name])
        for spec in specs
    )
    return {
        spec.name: replace(
            row := rows[spec.name],
            verdict=verdict(
                spec,
                row,
                case.n_images,
                case.n_copies,
                unjudged=unjudged.get(spec.name, ""),
                memorised=seen,
                paired=case.paired,
            ),
        )
        for spec in specs
    }

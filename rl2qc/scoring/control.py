"""What encoding alone is worth, and which verdicts must not rest on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rl2qc.core.text import number
from rl2qc.scoring.encoding import Control
from rl2qc.scoring.measure import Measured
from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import MetricSpec

__all__ = ["controls", "encoding_words", "unjudged_by_encoding", "with_controls"]


def controls(
    specs: Sequence[MetricSpec], control: Control | None, settings: ScoreSettings
) -> dict[str, float]:
    """What real images score against themselves encoded as the generated ones, by metric.

    Of those recommended metrics that ask how real images look and need no pixels at hand.
    """
    if control is None:
        return {}
    found = {}
    for spec in specs:
        if spec.question != "Realism" or not spec.recommended or "pixels" in spec.needs:
            continue
        try:
            value = spec.compute(control.real, control.again, settings)
        except ValueError:
            continue
        found[spec.name] = float(getattr(value, "value", value))
    return found


def with_controls(
    rows: Mapping[str, MetricResult], found: Mapping[str, float]
) -> dict[str, MetricResult]:
    """The rows, each with its control."""
    return {name: replace(row, control=found.get(name, math.nan)) for name, row in rows.items()}


def unjudged_by_encoding(
    specs: Sequence[MetricSpec], measured: Measured, found: Mapping[str, float]
) -> dict[str, str]:
    """Why metrics are not judged, by name: whatever compares pictures is moved by encoding.

    What asks for copies is judged all the same.
    """
    if not measured.encodings.differences.get("generated"):
        return {}
    words = {}
    for spec in specs:
        if spec.of == "real" or spec.question == "Memorisation":
            continue
        words[spec.name] = "not judged: the sets are encoded differently"
        if spec.name in found and measured.control is not None:
            words[spec.name] += (
                f"; real images as {measured.control.recipe.name} score {number(found[spec.name])} "
                "against themselves"
            )
    return words


def encoding_words(measured: Measured, found: Mapping[str, float]) -> str:
    """What differs and what it is worth, in a line; "" where nothing differs."""
    differences = measured.encodings.differences.get("generated", ())
    words = "; ".join(d.words for d in differences)
    if found and measured.control is not None:
        values = ", ".join(f"{name} {number(value)}" for name, value in found.items())
        words += f"; real images as {measured.control.recipe.name} against themselves: {values}"
    return words

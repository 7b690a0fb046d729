"""The value of every metric on whole sets: one loop over their specs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rl2qc.errors import UsageError
from rl2qc.scoring.image_sets import ImageSet
from rl2qc.scoring.rows import Resampled
from rl2qc.scoring.spec import MetricSpec, Value

__all__ = ["full_values"]

_NO_UNSEEN = "needs real images that the generator has not seen: rl2qc score --unseen"


def full_values(metrics: Sequence[Resampled], generated: int = 1) -> dict[str, Value]:
    """Values of metrics by name; what is not defined is NaN, its note says why.

    Parameters
    ----------
    metrics
        With their sets; a function that several share is called once.
    generated
        Which of the sets is scored; 0 is the real one.

    Raises
    ------
    UsageError
        For a metric that gives no number.
    """
    known: dict[Any, Any] = {}
    values = {}
    for metric in metrics:
        spec, real, judged = metric.spec, metric.sets[0], metric.sets[generated]
        try:
            if "unseen" in spec.needs and real.unseen is None:
                found: Any = Value(math.nan, _NO_UNSEEN)
            else:
                if spec.compute not in known:
                    known[spec.compute] = spec.compute(real, judged, metric.settings)
                found = known[spec.compute]
            values[spec.name] = _as_value(spec, found, real, judged)
        except UsageError:
            raise
        except ValueError as error:
            values[spec.name] = Value(math.nan, str(error), n_real=0, n_generated=0)
    return values


def _as_value(spec: MetricSpec, found: Any, real: ImageSet, generated: ImageSet) -> Value:
    """What a metric gave, with the numbers of images that it looked at."""
    if isinstance(found, Mapping):
        if spec.name not in found:
            raise UsageError(f"the function of the metric {spec.name} gives no value of that name")
        found = found[spec.name]
    if not isinstance(found, Value):
        try:
            found = Value(float(found))
        except TypeError:
            raise UsageError(
                f"the metric {spec.name} must give a number, got {type(found).__name__}"
            ) from None
    if not math.isfinite(found.value) and not found.note:
        raise ValueError(f"not defined for these images: {found.value}")
    counts = {
        "n_real": 0 if spec.of == "generated" else len(real),
        "n_generated": 0 if spec.of == "real" else len(generated),
    }
    missing = {name: n for name, n in counts.items() if getattr(found, name) is None}
    known: Value = replace(found, **missing)
    return known

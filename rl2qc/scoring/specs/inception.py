"""The Inception score of a classifier's probabilities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rl2qc.metrics.inception import inception_score
from rl2qc.scoring.spec import MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


def _inception_score(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    result = inception_score(generated.probabilities, seed=settings.seed)
    note = "; ".join((f"{len(result.per_split)} splits", *result.warnings))
    return Value(result.value, note, std=float(np.std(result.per_split)))


register_metric(
    MetricSpec(
        name="inception_score",
        cite=("salimans2016improved",),
        order=70,
        needs="probabilities",
        of="generated",
        higher_is_better=True,
        meaning="how sure a classifier is of each image, and how varied its answers",
        below="less distinct or less varied than real",
        above="more distinct or more varied than real",
        compute=_inception_score,
        tolerance=0.2,  # splits are drawn
        resample="bootstrap",
        bounds=(1.0, math.inf),
        enough=1000,
        curve=False,
    )
)

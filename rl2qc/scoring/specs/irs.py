"""IRS, the image retrieval score: of the images at hand, of infinitely many, adjusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rl2qc.metrics.irs import irs, irs_adjusted_of_rows, irs_of_rows
from rl2qc.metrics.irs_counts import irs_expected
from rl2qc.metrics.matrices import halves
from rl2qc.scoring.spec import NOT_NEGATIVE, SHARE, MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.metrics.matrices import Matrices, Rows
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


def _irs(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    tail = (1 - settings.level) / 2
    result = irs(real.features, generated.features, distance=settings.distance, alpha=tail)
    # The expected share rises with the number of images drawn from: bounds map to bounds.
    low, high = (
        irs_expected(result.n_train, result.n, share, tail).mean / result.n_train
        for share in (result.low, result.high)
    )
    saturated = "saturated: too few generated images to bound it from above; " * result.saturated
    duplicates = f", {result.n_duplicates} duplicates left out" * (result.n_duplicates > 0)
    return {
        "irs_alpha": Value(
            result.irs_alpha,
            f"{result.retrieved} of {result.n_train} real images retrieved{duplicates}",
            min(low, result.irs_alpha),
            max(high, result.irs_alpha),
            "occupancy",
            of_independent=True,
        ),
        "irs_inf": Value(
            result.value,
            f"{saturated}bounds of the occupancy model",
            result.low,
            result.high,
            "occupancy",
            of_independent=True,
        ),
    }


def _irs_of_rows(
    matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings
) -> dict[str, float]:
    return irs_of_rows(matrices, real, generated)


def _adjusted(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    x = real.features
    if real.unseen is None:
        kept, aside = halves(np.arange(len(real)), real.groups, settings.seed)
        train, new = x[kept], x[aside]
    else:
        train, new = x, real.unseen.features
    result = irs(train, generated.features, new, distance=settings.distance)
    assert result.adjusted is not None
    note = f"{len(train)} real images as training set, {len(new)} unseen"
    if result.adjusted_saturated:
        note = f"saturated: too few images to bound it; {note}"
    return Value(result.adjusted, note)


def _adjusted_of_rows(
    matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings
) -> float:
    return irs_adjusted_of_rows(matrices, real, generated)


_SHARED: Any = {"needs": "features", "higher_is_better": True, "enough": 100}

register_metric(
    MetricSpec(
        name="irs_alpha",
        cite=("dombrowski2025irs",),
        question="Coverage",
        order=30,
        meaning="share of the real images that generated ones retrieve",
        below="repeats fewer modes than real images cover",
        above="spreads over more real images than real ones do",
        compute=_irs,
        rows=_irs_of_rows,
        bounds=SHARE,
        **_SHARED,
    )
)
register_metric(
    MetricSpec(
        name="irs_inf",
        cite=("dombrowski2025irs",),
        question="Coverage",
        order=31,
        meaning="that share for infinitely many generated images",
        below="misses part of what real images cover",
        above="covers more than real images do",
        compute=_irs,
        rows=_irs_of_rows,
        bounds=SHARE,
        **_SHARED,
    )
)
register_metric(
    MetricSpec(
        name="irs_adjusted",
        paper="Dombrowski et al., CVPR 2025",
        by_extractor=True,
        cite=("dombrowski2025irs",),
        question="Coverage",
        recommended=True,
        order=32,
        meaning="that share relative to unseen real images",
        below="misses part of what unseen real images cover",
        above="covers more than unseen real images do",
        compute=_adjusted,
        rows=_adjusted_of_rows,
        tolerance=0.5,  # without unseen images a random half of the real ones
        bounds=NOT_NEGATIVE,
        **_SHARED,
    )
)

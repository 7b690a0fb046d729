"""Vendi score and RKE: effective numbers of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rl2qc.metrics.vendi import vendi
from rl2qc.scoring.spec import MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


def _vendi(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    found = vendi(generated.features)
    note = f"of {found.n} images, cosine kernel"
    return {"vendi": Value(found.value, note), "rke": Value(found.rke, note)}


_SHARED: Any = {
    "needs": "features",
    "of": "generated",
    "higher_is_better": True,
    "bounds": (1.0, float("inf")),
    "enough": 100,
    "resamples_at_most": 100,
    "shown": "on request",
    "more": "more varied",
    "below": "less varied than real",
    "above": "more varied than real, or noisier",
}

register_metric(
    MetricSpec(
        name="vendi",
        cite=("friedman2023vendi",),
        question="Diversity",
        order=130,
        meaning="effective number of different images",
        compute=_vendi,
        **_SHARED,
    )
)
register_metric(
    MetricSpec(
        name="rke",
        cite=("jalali2023rke",),
        question="Diversity",
        order=131,
        meaning="effective number of kinds of images, rare ones counting less",
        compute=_vendi,
        **_SHARED,
    )
)

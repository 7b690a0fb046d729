"""RL2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl2qc.metrics.rl2 import rl2
from rl2qc.scoring.spec import NOT_NEGATIVE, MetricSpec, register_metric
from rl2qc.scoring.specs._words import FAR, NEAR

if TYPE_CHECKING:
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


def _rl2(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> float:
    return rl2(real.latents, generated.latents).value


register_metric(
    MetricSpec(
        name="rl2",
        cite=("jeevan2025rl2",),
        order=10,
        needs="latents",
        higher_is_better=False,
        meaning="distance of the mean latents",
        below=NEAR,
        above=FAR,
        copies="below",
        question="Realism",
        recommended=True,
        on_scale=True,
        compute=_rl2,
        resample="bootstrap",
        bounds=NOT_NEGATIVE,
        enough=300,
    )
)

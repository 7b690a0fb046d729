"""How well a classifier tells generated from real images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl2qc.metrics.discriminator import discriminator_auc, discriminator_auc_of_rows
from rl2qc.scoring.spec import SHARE, MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.metrics.matrices import Matrices, Rows
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


def _auc(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    value = discriminator_auc(
        real.features,
        generated.features,
        real_groups=real.groups,
        generated_groups=generated.groups,
        seed=settings.seed,
    )
    return Value(value, "0.5 is best; five folds, groups kept together")


def _auc_of_rows(matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings) -> float:
    return discriminator_auc_of_rows(matrices, real, generated)


register_metric(
    MetricSpec(
        name="discriminator_auc",
        cite=("lopezpaz2017c2st",),
        order=75,
        needs="features",
        higher_is_better=False,
        meaning="how often a classifier tells a generated from a real image",
        below="its twins of the other set mislead the classifier: copies?",
        above="a classifier tells them from real images",
        compute=_auc,
        rows=_auc_of_rows,
        tolerance=0.25,  # folds are drawn
        resamples_at_most=60,
        bounds=SHARE,
        share=False,
        enough=100,
        copies="below",
        question="Realism",
        recommended=True,
    )
)

"""Precision, recall, density and coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rl2qc.metrics.prdc import prdc, prdc_of_rows
from rl2qc.scoring.spec import NOT_NEGATIVE, SHARE, MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.metrics.matrices import Matrices, Rows
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


def _prdc(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    result = prdc(
        real.features, generated.features, settings.prdc_k, convention=settings.prdc_convention
    )
    return {
        "precision": Value(
            result.precision, f"{result.k} neighbours, convention {result.convention}"
        ),
        "recall": Value(result.recall),
        "density": Value(result.density),
        "coverage": Value(result.coverage),
    }


def _prdc_of_rows(
    matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings
) -> dict[str, float]:
    return prdc_of_rows(
        matrices, real, generated, settings.prdc_k, convention=settings.prdc_convention
    )


_SHARED: Any = {
    "needs": "features",
    "higher_is_better": True,
    "compute": _prdc,
    "rows": _prdc_of_rows,
    "bounds": SHARE,
    "enough": 100,
}

register_metric(
    MetricSpec(
        name="precision",
        cite=("kynkaanniemi2019precision",),
        question="Realism",
        order=80,
        meaning="share of generated images that look real",
        below="fewer images look real than of other real ones",
        above="more images look real than of other real ones: safe and simple?",
        depends_on_n=False,
        **_SHARED,
    )
)
register_metric(
    MetricSpec(
        name="recall",
        cite=("kynkaanniemi2019precision",),
        question="Coverage",
        order=81,
        meaning="share of real images that could have been generated",
        below="part of the real images is out of reach",
        above="reaches more than other real images do: more spread out",
        **_SHARED,
    )
)
register_metric(
    MetricSpec(
        name="density",
        cite=("naeem2020prdc",),
        question="Realism",
        order=82,
        meaning="how deep generated images lie among real ones",
        below="lies in thinner regions than other real images",
        above="lies in denser regions than other real images: safe and simple?",
        depends_on_n=False,
        **_SHARED | {"bounds": NOT_NEGATIVE},
    )
)
register_metric(
    MetricSpec(
        name="coverage",
        by_extractor=True,
        cite=("naeem2020prdc",),
        question="Coverage",
        recommended=True,
        order=83,
        meaning="share of real images with a generated one nearby",
        below="fewer real images are covered than by other real ones",
        above="more real images are covered than by other real ones",
        **_SHARED,
    )
)

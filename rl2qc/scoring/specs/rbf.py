"""MMD under a Gaussian kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl2qc.metrics.rbf import rbf_mmd, rbf_mmd_of_rows
from rl2qc.scoring.spec import MetricSpec, Value, register_metric
from rl2qc.scoring.specs._words import FAR, NEAR

if TYPE_CHECKING:
    from rl2qc.metrics.matrices import Matrices, Rows
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


def _rbf_mmd(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    found = rbf_mmd(real.features, generated.features)
    return Value(found.value, f"bandwidth {found.sigma:.4g}, the median distance of real images")


def _of_rows(matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings) -> float:
    return rbf_mmd_of_rows(matrices, real, generated)


register_metric(
    MetricSpec(
        name="rbf_mmd",
        cite=("gretton2012mmd",),
        question="Realism",
        order=51,
        needs="features",
        higher_is_better=False,
        meaning="kernel distance of a Gaussian kernel, unbiased",
        below=NEAR,
        above=FAR,
        compute=_rbf_mmd,
        rows=_of_rows,
        enough=50,
        depends_on_n=False,
        shown="on request",
    )
)

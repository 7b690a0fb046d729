"""KID, the kernel distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl2qc.metrics.kernel import kid, kid_of_rows
from rl2qc.scoring.spec import MetricSpec, Value, register_metric
from rl2qc.scoring.specs._words import FAR, NEAR

if TYPE_CHECKING:
    from rl2qc.metrics.matrices import Matrices, Rows
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


def _kid(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    result = kid(real.features, generated.features, seed=settings.seed)
    note = (
        f"mean over {result.n_subsets} subsets of {result.subset_size} images, standard "
        f"deviation {result.std:.3g}; over all pairs {result.unbiased:.4g}"
    )
    return Value(result.value, note, std=result.std)


def _kid_of_rows(matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings) -> float:
    return kid_of_rows(matrices, real, generated)


register_metric(
    MetricSpec(
        name="kid",
        published="the published Inception KID",
        by_extractor=True,
        cite=("binkowski2018kid",),
        order=50,
        needs="features",
        higher_is_better=False,
        meaning="kernel distance, unbiased",
        below=NEAR,
        above=FAR,
        copies="below",
        question="Realism",
        recommended=True,
        compute=_kid,
        rows=_kid_of_rows,
        # All pairs in place of a mean over subsets of them.
        tolerance=0.3,
        enough=50,
        depends_on_n=False,
    )
)

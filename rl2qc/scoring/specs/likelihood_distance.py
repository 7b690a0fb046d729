"""FLD and FLD+."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl2qc.metrics.likelihood_distance import fld, fld_plus
from rl2qc.scoring.spec import NOT_NEGATIVE, MetricSpec, Value, register_metric
from rl2qc.scoring.specs._words import FAR, NEAR

if TYPE_CHECKING:
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


def _fld(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    assert real.unseen is not None
    found = fld(real.features, real.unseen.features, generated.features)
    note = f"{found.n_unseen} unseen images; real ones have {found.train_value:.4g}"
    if found.dropped:
        note += f"; {found.dropped} dimensions without spread are left out"
    return Value(found.value, note)


def _fld_plus(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    dimensions = real.latents.shape[1]
    value = fld_plus(real.log_likelihood, generated.log_likelihood, dimensions=dimensions)
    shift = float(generated.log_likelihood.mean() - real.log_likelihood.mean())
    return Value(value, f"{shift:.4g} nats over {dimensions} dimensions")


register_metric(
    MetricSpec(
        name="fld",
        cite=("jiralerspong2023fld",),
        question="Realism",
        order=60,
        needs=("features", "unseen"),
        higher_is_better=False,
        meaning="unlikelihood of unseen images among the generated ones",
        below=NEAR,
        above=FAR,
        compute=_fld,
        resamples_at_most=30,
        enough=100,
        curve=False,
        shown="on request",
    )
)
register_metric(
    MetricSpec(
        name="fld_plus",
        cite=("jeevan2024fldplus",),
        question="Realism",
        order=126,
        needs=("likelihood", "latents"),
        higher_is_better=True,
        meaning="likelihood as a share of that of real images, per dimension",
        below="less likely than real images",
        above="likelier than real images: smoother or simpler than real?",
        compute=_fld_plus,
        resample="bootstrap",
        bounds=NOT_NEGATIVE,
        depends_on_n=False,
        shown="on request",
    )
)

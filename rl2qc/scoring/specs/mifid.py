"""MiFID."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl2qc.metrics.mifid import mifid
from rl2qc.scoring.spec import NOT_NEGATIVE, MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings


def _mifid(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    found = mifid(real.features, generated.features)
    below = "below" if found.memorisation < found.threshold else "not below"
    note = (
        f"FID {found.fid:.4g}, mean least cosine distance {found.memorisation:.4g} to real images, "
        f"{below} {found.threshold:g}"
    )
    return Value(found.value, "; ".join((note, *found.warnings)))


register_metric(
    MetricSpec(
        name="mifid",
        published="the published Inception MiFID",
        cite=("bai2021mifid",),
        question="Realism",
        order=42,
        needs="features",
        higher_is_better=False,
        meaning="FID, divided by the distance to real images where that is small",
        below="nearer to real than real sets are to each other",
        above="farther from real, or nearer to single real images: copies?",
        compute=_mifid,
        resample="bootstrap",
        resamples_at_most=50,
        bounds=NOT_NEGATIVE,
        enough=300,
        fits_covariance=True,
        shown="on request",
    )
)

"""SWD, the sliced Wasserstein distance of local textures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl2qc.metrics.sliced import swd
from rl2qc.metrics.sliced_rows import swd_of_rows
from rl2qc.scoring.spec import NOT_NEGATIVE, MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.metrics.matrices import Matrices, Rows
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings

# Of the value; resamples make do with fewer.
PATCHES, PROJECTIONS = 32, 128


def _swd(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    result = swd(
        real.pixels,
        generated.pixels,
        n_projections=PROJECTIONS,
        patches_per_image=PATCHES,
        seed=settings.seed,
    )
    note = (
        f"{PROJECTIONS} projections of {PATCHES} patches an image at {len(result.level_sizes)} "
        "levels, the literature prints it times 1,000; each set is standardised by itself, as "
        "published, so a shift of colour, brightness or contrast that all images share is not seen"
    )
    return Value(result.value, note)


def _swd_of_rows(matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings) -> float:
    return swd_of_rows(matrices, real, generated)


register_metric(
    MetricSpec(
        name="swd",
        cite=("karras2018progressive",),
        order=60,
        needs="pixels",
        higher_is_better=False,
        meaning="distance of local textures at every scale",
        below="textures nearer to real than real sets are to each other: copies?",
        above="textures unlike those of real images",
        copies="below",
        question="Realism",
        compute=_swd,
        rows=_swd_of_rows,
        tolerance=1.0,  # with fewer patches distances are larger
        resamples_at_most=60,
        bounds=NOT_NEGATIVE,
        enough=50,
        curve=False,
    )
)

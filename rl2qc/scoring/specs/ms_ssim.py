"""MS-SSIM of pairs of generated images, beside that of pairs of real ones."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from rl2qc.metrics.ms_ssim import msssim_diversity
from rl2qc.scoring.baselines import of_real
from rl2qc.scoring.spec import SHARE, MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.settings import ScoreSettings

_PAIRS = 200


def _ms_ssim(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    found = msssim_diversity(generated.pixels, n_pairs=_PAIRS, seed=settings.seed)
    # Pairs that share an image, or a slide, are not independent: units / 2 are counted on.
    groups = generated.groups
    units = found.n if groups is None else len(np.unique(groups))
    error = found.std / math.sqrt(min(found.n_pairs, max(units // 2, 1)))
    reach = NormalDist().inv_cdf((1 + settings.level) / 2) * error
    return Value(
        found.value,
        "; ".join((f"{found.n_pairs} pairs", *found.warnings)),
        low=max(0.0, found.value - reach),
        high=min(1.0, found.value + reach),
        method="normal",
        std=found.std,
        error=error,
    )


register_metric(
    MetricSpec(
        name="ms_ssim",
        cite=("wang2003msssim",),
        question="Diversity",
        order=110,
        needs="pixels",
        of="generated",
        higher_is_better=None,
        meaning="mean similarity of pairs of generated images",
        below="pairs are less similar than real ones",
        above="pairs are more similar than real ones",
        compute=_ms_ssim,
        tolerance=0.2,  # pairs are drawn
        # Pairs of repeated images would be similar by themselves.
        resample=None,
        bounds=SHARE,
        enough=50,
        # A mean over pairs does not depend on their number.
        baseline=of_real,
        curve=False,
        shown="on request",
    )
)

"""FID, its limit at infinitely many images, and its baseline as a share of it (r_FID)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.frechet import fid, fid_of_rows, rank_warnings
from rl2qc.metrics.frechet_limit import fid_infinity
from rl2qc.metrics.frechet_ratio import r_fid, r_fid_of_rows
from rl2qc.scoring.baselines import share_of
from rl2qc.scoring.spec import (
    NOT_NEGATIVE,
    MetricSpec,
    Value,
    register_metric,
)
from rl2qc.scoring.specs._words import FAR, NEAR

if TYPE_CHECKING:
    from rl2qc.metrics.matrices import Matrices, Rows
    from rl2qc.scoring.baselines import Baselines
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.results import Curve
    from rl2qc.scoring.rows import Resampled
    from rl2qc.scoring.settings import ScoreSettings

# Of either set, for the line of FID in 1/N: it takes no more images to draw it well.
_LIMIT_IMAGES, _LIMIT_POINTS = 20_000, 6


def _fid(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    result = fid(real.features, generated.features)
    return Value(result.value, "; ".join(result.warnings))


def _fid_of_rows(matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings) -> float:
    return fid_of_rows(matrices, real, generated)


def limit_in_1_over_n(
    curve: Curve, real: ImageSet, generated: ImageSet, settings: ScoreSettings
) -> Curve:
    """A curve of FID with its extrapolation, where there are images enough for the 1/N law."""
    x, y = (_some(s.features, settings.seed) for s in (real, generated))
    limit = fid_infinity(x, y, n_points=_LIMIT_POINTS, seed=settings.seed)
    if limit.warnings:
        return replace(curve, note="; ".join(limit.warnings))
    sizes = f"{limit.sizes[0]} to {limit.sizes[-1]} images"
    note = f"linear in 1/N from {sizes}: R squared {limit.r_squared:.3f}"
    return replace(curve, limit=limit.value, note=note)


def _some(x: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    if len(x) <= _LIMIT_IMAGES:
        return x
    return x[np.random.default_rng(seed).permutation(len(x))[:_LIMIT_IMAGES]]


def _r_fid(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> Value:
    result = r_fid(
        real.features,
        generated.features,
        real_groups=real.groups,
        generated_groups=generated.groups,
        seed=settings.seed,
    )
    if not math.isfinite(result.value):
        raise ValueError("undefined: the generated images equal the real ones")
    note = "; ".join((f"median of {result.n_splits} splits", *result.warnings))
    return Value(result.value, note, n_real=result.n_real, n_generated=result.n_generated)


def _r_fid_of_rows(
    matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings
) -> float:
    return r_fid_of_rows(matrices, real, generated)


def _r_fid_of_baselines(metric: Resampled, baselines: Baselines) -> Value:
    """The baseline of FID over FID at its numbers of images: at no cost, and no second answer."""
    found = baselines.of("fid").baseline
    if not found.observed:
        raise ValueError("undefined: the generated images equal the real ones")
    smallest, dimension = min(found.n_real, found.n_generated), metric.sets[0].features.shape[1]
    note = f"median of {found.n_resamples} splits"
    return Value(
        found.value / found.observed,
        "; ".join((note, *rank_warnings(smallest, dimension))),
        n_real=found.n_real,
        n_generated=found.n_generated,
    )


_SHARED: Any = {
    "needs": "features",
    "bounds": NOT_NEGATIVE,
    "enough": 300,
    "fits_covariance": True,
    "resamples_at_most": 100,
}

register_metric(
    MetricSpec(
        name="fid",
        published="the published Inception FID",
        by_extractor=True,
        cite=("heusel2017fid",),
        order=40,
        higher_is_better=False,
        meaning="distance of the fitted Gaussians",
        below=NEAR,
        above=FAR,
        copies="below",
        question="Realism",
        recommended=True,
        compute=_fid,
        rows=_fid_of_rows,
        resample="bootstrap",
        curve=limit_in_1_over_n,
        **_SHARED,
    )
)
register_metric(
    MetricSpec(
        name="r_fid",
        published="the published Inception FID",
        by_extractor=True,
        cite=("osuala2023medigan",),
        order=41,
        higher_is_better=True,
        meaning="real-against-real FID as a share of the observed one",
        below=FAR,
        above=NEAR,
        copies="above",
        question="Realism",
        compute=_r_fid,
        rows=_r_fid_of_rows,
        # One halving of each resample in place of the median over many.
        tolerance=math.inf,
        baseline=share_of("fid"),
        from_baselines=_r_fid_of_baselines,
        # A median over splits of whole sets, which a subset has not got.
        curve=False,
        **_SHARED,
    )
)

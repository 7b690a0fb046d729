"""WAD-Div: of the generated set alone, and against the real one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rl2qc.errors import UsageError
from rl2qc.metrics.wad_div import wad_div, wad_div_against_real_of_rows, wad_div_of_rows
from rl2qc.scoring.spec import NOT_NEGATIVE, SHARE, MetricSpec, Value, register_metric

if TYPE_CHECKING:
    from rl2qc.metrics.matrices import Matrices, Rows
    from rl2qc.metrics.wad_div import WadDivOptions
    from rl2qc.scoring.image_sets import ImageSet
    from rl2qc.scoring.results import MetricResult
    from rl2qc.scoring.settings import ScoreSettings
    from rl2qc.stats.difference import Difference


def _alone(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, float]:
    x, by = generated.features, settings.distance
    return {
        "wad_div_zero": wad_div(x, "zero", settings.k, distance=by).value,
        "wad_div_exponential": wad_div(x, "exponential", settings.k, distance=by).value,
    }


def _alone_of_rows(
    matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings
) -> dict[str, float]:
    return wad_div_of_rows(matrices, generated, settings.k)


def _against_real(real: ImageSet, generated: ImageSet, settings: ScoreSettings) -> dict[str, Value]:
    scale: WadDivOptions = {} if settings.w_max is None else {"w_max": settings.w_max}
    result = wad_div(
        generated.features,
        real.features,
        settings.k,
        distance=settings.distance,
        seed=settings.seed,
        **scale,
    )
    n: Any = {"n_real": result.n_reference, "n_generated": result.n}
    note = f"both sets at {result.n} images, {settings.k} neighbours"
    if result.n_draws > 1:
        note += f", the larger drawn {result.n_draws} times"
    undefined = "undefined: the real set has no spread"

    of_scale = "" if settings.w_max is None else f"W_max is {settings.w_max:g}, as given"

    def defined(value: float | None) -> Value:
        return Value(math.nan, undefined, **n) if value is None else Value(value, of_scale, **n)

    return {
        "wad_div_empirical": Value(result.value, note, **n),
        "wad_div_normalized": defined(result.normalized),
        "wad_div_ratio": defined(result.ratio),
    }


def _against_real_of_rows(
    matrices: Matrices, real: Rows, generated: Rows, settings: ScoreSettings
) -> dict[str, float]:
    return wad_div_against_real_of_rows(matrices, real, generated, settings.k, w_max=settings.w_max)


def _neighbours_enough(title: str, n: int, settings: ScoreSettings) -> None:
    if settings.k >= n:
        raise UsageError(
            f"k = {settings.k} needs more than {settings.k} images, the {title} set holds "
            f"{n}: give more images or a smaller k"
        )


def _clipped(result: MetricResult, n_copies: int) -> str | None:
    # The clipped value cannot tell more.
    if result.value == 1 and not math.isnan(result.percentile):
        return "at least as dispersed as real: see wad_div_ratio"
    return None


def _both_clipped(difference: Difference) -> str | None:
    if difference.value_a == difference.value_b == 1:
        return "both as dispersed as real: see wad_div_ratio"
    return None


_ALONE: Any = {
    "needs": "features",
    "compute": _alone,
    "rows": _alone_of_rows,
    "of": "generated",
    "bounds": NOT_NEGATIVE,
    "enough": 300,
    "check": _neighbours_enough,
}
_AGAINST_REAL: Any = {
    **_ALONE,
    "compute": _against_real,
    "rows": _against_real_of_rows,
    "of": "both",
}

register_metric(
    MetricSpec(
        name="wad_div_zero",
        cite=("seyfarth2026waddiv",),
        question="Diversity",
        order=20,
        higher_is_better=True,
        meaning="mean distance to the nearest neighbours",
        below="images lie closer together than real ones: less varied",
        above="images lie farther apart than real ones: more varied, or noisier",
        # Noise spreads images as well: more is not better by itself.
        more="more spread",
        **_ALONE,
    )
)
register_metric(
    MetricSpec(
        name="wad_div_exponential",
        cite=("seyfarth2026waddiv",),
        order=21,
        higher_is_better=None,
        meaning="neighbour distances against an exponential law",
        below="nearer to an exponential law than real ones",
        above="farther from an exponential law than real ones",
        **_ALONE,
    )
)
register_metric(
    MetricSpec(
        name="wad_div_empirical",
        cite=("seyfarth2026waddiv",),
        order=22,
        higher_is_better=False,
        meaning="neighbour distances against those of the real set",
        below="spacing closer to real than real sets have",
        above="spacing unlike that of real images",
        **_AGAINST_REAL,
    )
)
register_metric(
    MetricSpec(
        name="wad_div_normalized",
        paper="Seyfarth et al., BVM 2026",
        cite=("seyfarth2026waddiv",),
        question="Diversity",
        order=23,
        higher_is_better=True,
        meaning="0: all equal, 1: as dispersed as the real set",
        below="less varied than real",
        above="at least as varied as real",
        verdict=_clipped,
        compared=_both_clipped,
        # A ratio cut off at 1, and no share of images.
        share=False,
        **_AGAINST_REAL | {"bounds": SHARE},
    )
)
register_metric(
    MetricSpec(
        name="wad_div_ratio",
        cite=("seyfarth2026waddiv",),
        question="Diversity",
        recommended=True,
        order=24,
        higher_is_better=None,
        meaning="the same unclipped: above 1, more dispersed than real",
        below="less varied than real",
        above="more dispersed than real: more varied, or noisier",
        more="more spread",
        **_AGAINST_REAL,
    )
)

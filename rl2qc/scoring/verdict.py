"""What a score says about the generated set, in plain words."""

from __future__ import annotations

import math

from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.spec import Alarm, MetricSpec

__all__ = ["MANY_COPIES", "Unjudged", "is_few", "lies_with_copies", "standing", "verdict"]

# Fewer images than this are not told apart by anything, so that like real means nothing.
_FEWEST = 50
# Share of copies from which any score is that of real images in part.
MANY_COPIES = 0.05
# Percentiles of the baseline between which a value is like real.
_BETWEEN = 2.5, 97.5
# Those beyond which a few images are not called "not told apart": other metrics may be surer.
_LEANING = 10.0, 90.0
_LIKE_REAL = "like real"
_FEW = " (few images)"
_COPIES = ": copies?"


class Unjudged(str):
    """Words that stand in place of a verdict, and say why there is none."""


def verdict(
    spec: MetricSpec,
    result: MetricResult,
    n_images: int,
    n_copies: int = 0,
    *,
    unjudged: str = "",
    memorised: bool = False,
    paired: bool = False,
) -> str:
    """What a value means, from its place among values of real against real images.

    Parameters
    ----------
    spec, result
        The metric, and what it found.
    n_images
        In the smaller set: a few images are unlike nothing.
    n_copies
        Generated images that equal a real one.
    unjudged
        Why there is no verdict.
    memorised
        Whether generated images are copies of real ones, counted or seen by authenticity: nothing
        is then praised without that.
    paired
        Whether each generated image shows the scene of a real one, and so lies near it.

    Returns
    -------
    Empty where there is nothing to compare the value with.
    """
    percentile = result.percentile
    if math.isnan(result.value):
        return "not computed"
    if unjudged:
        return Unjudged(unjudged)
    if spec.verdict is not None and (own := spec.verdict(result, n_copies)) is not None:
        return own
    if math.isnan(percentile):
        return ""
    few = is_few(spec, n_images)
    copied = memorised or n_copies > MANY_COPIES * n_images
    if _BETWEEN[0] <= percentile <= _BETWEEN[1]:
        if few and not _LEANING[0] <= percentile <= _LEANING[1]:
            words = _beyond(spec, result, paired).partition(":")[0]
            return f"perhaps {words}, too few images to tell"
        if few:
            return "not told apart from real" + _FEW
        return _LIKE_REAL + (", to which copies add" if copied else "")
    words = _beyond(spec, result, paired)
    if copied and _is_praise(spec, percentile):
        words = f"{words.partition(':')[0]}, to which copies add"
    return words + (_FEW if few else "")


def is_few(spec: MetricSpec, n_images: int) -> bool:
    """Whether a set is too small for the metric to be relied on."""
    return n_images < max(spec.enough, _FEWEST)


def lies_with_copies(spec: MetricSpec, result: MetricResult) -> bool:
    """Whether a value lies beyond its baseline on the side that copies move it to."""
    beyond = {
        "below": result.percentile < _BETWEEN[0],
        "above": result.percentile > _BETWEEN[1],
        "": False,
    }
    return beyond[spec.copies]


def _beyond(spec: MetricSpec, result: MetricResult, paired: bool) -> str:
    """What it means to lie on this side of the baseline."""
    below = result.percentile < 50
    words = spec.below if below else spec.above
    if paired and spec.copies == ("below" if below else "above"):
        return words.removesuffix(_COPIES) + ": as paired scenes are"
    unbounded = math.isinf(spec.bounds[1])
    if spec.higher_is_better is False and not below and result.baseline > 0 and unbounded:
        words += f" ({result.observed / result.baseline:.1f} x the baseline)"
    return words


def _is_praise(spec: MetricSpec, percentile: float) -> bool:
    """Whether a value beyond the baseline lies on its better side, and not with copies alone."""
    below = percentile < 50
    if spec.copies == ("below" if below else "above"):
        return False
    return spec.higher_is_better is (not below)


def standing(result: MetricResult) -> str:
    """How a value is to be shown: "well", "badly", or "" for neither."""
    if isinstance(result.verdict, Unjudged):
        return ""
    percentile = result.percentile
    beyond = percentile < _BETWEEN[0] if result.higher_is_better else percentile > _BETWEEN[1]
    if isinstance(result.verdict, Alarm) or (result.higher_is_better is not None and beyond):
        return "badly"
    return "well" if result.verdict == _LIKE_REAL else ""

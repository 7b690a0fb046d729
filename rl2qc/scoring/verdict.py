"""What a score says about the generated set, in plain words."""

from __future__ import annotations

import math

from rl2qc.scoring.results import MetricResult
from rl2qc.scoring.spec import Alarm, MetricSpec

__all__ = ["standing", "verdict"]

# Fewer images than this are not told apart by anything, so that like real means nothing.
_FEWEST = 50
# Share of copies from which any score is that of real images in part.
_MANY_COPIES = 0.05
# Percentiles of the baseline between which a value is like real.
_BETWEEN = 2.5, 97.5
_LIKE_REAL = "like real"


def verdict(spec: MetricSpec, result: MetricResult, n_images: int, n_copies: int = 0) -> str:
    """What a value means, from its place among values of real against real images.

    Parameters
    ----------
    spec, result
        The metric, and what it found.
    n_images
        In the smaller set: a few images are unlike nothing.
    n_copies
        Generated images that equal a real one.

    Returns
    -------
    Empty where there is nothing to compare the value with.
    """
    percentile = result.percentile
    if math.isnan(result.value):
        return "not computed"
    if spec.verdict is not None and (own := spec.verdict(result, n_copies)) is not None:
        return own
    if math.isnan(percentile):
        return ""
    if _BETWEEN[0] <= percentile <= _BETWEEN[1]:
        if n_images < max(spec.enough, _FEWEST):
            return "not told apart from real (few images)"
        if n_copies > _MANY_COPIES * n_images:
            return "like real, to which copies add"
        return _LIKE_REAL
    words = spec.below if percentile < 50 else spec.above
    if spec.higher_is_better is False and percentile > 50 and result.baseline > 0:
        words += f" ({result.observed / result.baseline:.1f} x the baseline)"
    return words


def standing(result: MetricResult) -> str:
    """How a value is to be shown: "well", "badly", or "" for neither."""
    percentile = result.percentile
    beyond = percentile < _BETWEEN[0] if result.higher_is_better else percentile > _BETWEEN[1]
    if isinstance(result.verdict, Alarm) or (result.higher_is_better is not None and beyond):
        return "badly"
    return "well" if result.verdict == _LIKE_REAL else ""

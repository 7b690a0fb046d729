"""What was found of one metric: its row of a scorecard, its curve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from rl2qc.core.renamed import OldNames

__all__ = ["Curve", "MetricResult", "plain"]

_NAN = math.nan


@dataclass(frozen=True)
class MetricResult(OldNames):
    """One row of a scorecard; NaN (null in JSON) stands for what is not defined.

    Attributes
    ----------
    value
    low, high
        Confidence interval.
    std
        Standard deviation of the parts that the value is the mean of, such as KID's subsets.
    baseline, baseline_low, baseline_high
        Median and central range of the metric of real against real images.
    observed
        The metric of generated images at the numbers of images that the baseline has: the value
        to set against it, since most metrics depend on those numbers.
    percentile
        Share of the values of real against real, in percent, below ``observed``.
    n_real, n_generated
        Images that the value was computed on; 0 for a side that it does not look at.
    baseline_n_real, baseline_n_generated
        Images on the two sides of the baseline.
    higher_is_better
        None where neither direction is good in itself.
    meaning
        What it says, in a few plain words.
    control
        The metric of real images against themselves, encoded as the generated ones are: what a
        difference of encoding is worth. NaN without one.
    basis
        On which features it is, and what it must not be taken for; empty where nobody would.
    paper
        The paper that reports its scores in this form; empty for other forms.
    as_jpeg, as_blur, as_far_as
        The JPEG quality, and the standard deviation of a blur in px, that move real images as far;
        the same in words. NaN and empty where that was not asked, NaN beyond all that were tried.
    verdict
        What the value says about this generated set.
    note
        Why something is not defined, or how it was made.
    method
        How the interval was made; empty without one.
    n_resamples
    """

    old_names: ClassVar[Mapping[str, str]] = {
        "floor": "baseline",
        "floor_low": "baseline_low",
        "floor_high": "baseline_high",
        "null_percentile": "percentile",
        "null_n_real": "baseline_n_real",
        "null_n_generated": "baseline_n_generated",
    }

    value: float
    higher_is_better: bool | None
    meaning: str
    low: float = _NAN
    high: float = _NAN
    std: float = _NAN
    baseline: float = _NAN
    baseline_low: float = _NAN
    baseline_high: float = _NAN
    observed: float = _NAN
    percentile: float = _NAN
    n_real: int = 0
    n_generated: int = 0
    baseline_n_real: int = 0
    baseline_n_generated: int = 0
    control: float = _NAN
    basis: str = ""
    paper: str = ""
    as_jpeg: float = _NAN
    as_blur: float = _NAN
    as_far_as: str = ""
    verdict: str = ""
    note: str = ""
    method: str = ""
    n_resamples: int = 0

    @property
    def remarks(self) -> str:
        """What is to be said below the value, in a line."""
        return "; ".join(filter(None, (self.as_far_as, self.basis, self.note)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a number that is not finite becomes None."""
        return {key: plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Curve:
    """A metric against the number of images.

    Attributes
    ----------
    n
        Images in the generated set, rising; the real set shrinks in proportion.
    values
        Means over random subsets.
    limit
        The value at infinitely many images, where a law is known; NaN otherwise.
    note
        Whether the limit is an estimate.
    """

    n: tuple[int, ...]
    values: tuple[float, ...]
    limit: float = _NAN
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "n": list(self.n),
            "values": [plain(v) for v in self.values],
            "limit": plain(self.limit),
            "note": self.note,
        }


def plain(value: Any) -> Any:
    """A value for JSON: None in place of a number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value

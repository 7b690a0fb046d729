"""Charts as numbers that a template draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Histogram", "histogram"]


_BINS = 32


@dataclass(frozen=True)
class Histogram:
    """Shares of values in equal bins, for one or two sets on one axis.

    Attributes
    ----------
    series
        Height of each bin by title, 1 for the highest bin of all.
    low, high
        Ends of the axis.
    mark
        Where on the axis the observed value stands, 0 to 1; None without one.
    """

    series: Mapping[str, list[float]]
    low: float
    high: float
    mark: float | None = None


def histogram(
    sets: Mapping[str, ArrayLike], *, mark: float | None = None, bins: int = _BINS
) -> Histogram:
    """Bin values; those beyond the central 96 % of all are counted in the bins at the ends.

    Examples
    --------
    >>> histogram({"a": [0.0, 1.0, 1.0]}, bins=2).series
    {'a': [0.5, 1.0]}
    """
    values = {title: np.asarray(v, dtype=np.float64) for title, v in sets.items()}
    pooled = np.concatenate(list(values.values()))
    low, high = (float(q) for q in np.quantile(pooled, [0.02, 0.98]))
    if mark is not None:
        low, high = min(low, mark), max(high, mark)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    if mark is not None:  # room beside the line
        low, high = low - 0.02 * (high - low), high + 0.02 * (high - low)
    shares = {
        title: np.histogram(np.clip(v, low, high), bins, (low, high))[0] / len(v)
        for title, v in values.items()
    }
    top = max(float(s.max()) for s in shares.values())
    return Histogram(
        {title: (s / top).tolist() for title, s in shares.items()},
        low,
        high,
        None if mark is None else (mark - low) / (high - low),
    )

"""The arrays behind the numbers of a scorecard, for pages and further analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.images.sources.base import PatchSource

__all__ = ["Evidence"]

_Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a scorecard was computed from; empty where it was not asked for.

    Attributes
    ----------
    sources
        The images, ``real`` and ``generated``.
    log_likelihood, keep
        For each image of ``real`` and ``generated``.
    nulls
        Real-against-real values by metric.
    spacing
        Distances to the k nearest neighbours in the own set, flat, by set, at equal numbers.
    generated : (g,) intp
        The generated images whose neighbours follow: all, or those drawn of a large set.
    nearest : (g, m) intp
        Nearest real images of each of them, nearest first.
    nearest_distance : (g, m) float64
    """

    sources: Mapping[str, PatchSource]
    log_likelihood: Mapping[str, _Floats]
    keep: Mapping[str, NDArray[np.bool_]]
    nulls: Mapping[str, _Floats]
    spacing: Mapping[str, _Floats]
    generated: NDArray[np.intp]
    nearest: NDArray[np.intp]
    nearest_distance: _Floats

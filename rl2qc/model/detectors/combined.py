"""The filter's score: how far a patch falls short of clean ones, by density and by probe.

Stage densities know what is normal, and the probe knows what damage does. Both are in standard
deviations of clean patches that they were not fitted to, and the score is the sum of their
shortfalls, ``-softplus(-stages) - softplus(-probe)``: a detector that finds a patch better than
usual does not make up for one that finds it worse. What a network was taught of damage by other
laboratories, its evidence, is a third.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rl2qc.model.detectors.base import FILTER_SCORE, DetectorSpec, Scores, register_detector

__all__ = ["shortfall"]


def shortfall(scores: Mapping[str, Scores]) -> Scores:
    """Minus the sum of softplus(-score) over all scores (n,); at most 0, higher is more normal.

    Examples
    --------
    >>> scores = {"stages": np.array([0.0, 9.0]), "probe": np.array([0.0, -9.0])}
    >>> shortfall(scores).round(2).tolist()
    [-1.39, -9.0]
    """
    total = sum((np.logaddexp(0, -each) for each in scores.values()), np.zeros(1))
    return np.asarray(-total)


register_detector(
    DetectorSpec(
        FILTER_SCORE,
        parts=("stages", "probe"),
        joined=("evidence",),
        combine=shortfall,
        meaning="stages, probe and evidence together: minus the sum of their shortfalls",
        order=10,
    )
)

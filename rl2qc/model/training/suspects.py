"""Which patches of an unsorted reference are not to be learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rl2qc.model.detectors.base import Reference
from rl2qc.model.detectors.folds import fold_rows
from rl2qc.model.detectors.stages import StageDetector
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.network.statistics import Statistics
from rl2qc.stats.adaptation import judge_own
from rl2qc.stats.prior import GeneralPrior

__all__ = ["damaged_patches", "suspects"]

# Evidence of damage that so few clean patches have; rounds of densities, and the distance from the
# median, in robust standard deviations, that is no longer taken for chance.
_RARE, _ROUNDS, _FAR = 0.01, 2, 6.0
_MAD = 1.4826
# Densities of five folds need as many.
_ENOUGH = 60


def damaged_patches(
    statistics: Statistics, prior: GeneralPrior | None, rare: float = _RARE
) -> NDArray[np.bool_]:
    """Which patches (n,) show what a general network was taught to be damage, beside what is usual
    in all of them; none without such a network."""
    if prior is None:
        return np.zeros(len(statistics), np.bool_)
    found = judge_own(statistics[:, STATISTICS_DIM:], prior)[1].p_value < rare
    return np.asarray(found, np.bool_)


def suspects(
    statistics: Statistics,
    groups: Sequence[str] | None,
    prior: GeneralPrior | None,
    *,
    seed: int = 0,
) -> NDArray[np.bool_]:
    """Which patches (n,) are not to be learnt from: damaged by evidence, or far from the others.

    Densities of the stages are fitted to what is left, and each patch is scored by those that did
    not see its group; what lies 6 robust standard deviations below the median, with the spread of
    the better half, is set aside, twice, as in robust estimates of covariance [1]_.

    Parameters
    ----------
    statistics : (n, d) float32
    groups
        Slide, or part of a slide, of each.
    prior
        What the network was taught of damage; None for one that was not.
    seed
        Of the folds.

    References
    ----------
    .. [1] Rousseeuw and Van Driessen, "A fast algorithm for the minimum covariance determinant
       estimator", Technometrics 1999 (the C-step).
    """
    out = damaged_patches(statistics, prior)
    stages = statistics[:, :STATISTICS_DIM]
    fold = fold_rows(len(stages), groups, seed=seed)
    for _ in range(_ROUNDS):
        if (~out).sum() < _ENOUGH:
            break
        detector = StageDetector().fit(Reference(stages[~out], fold[~out]))
        scores = detector.out_of_fold_
        middle = float(np.median(scores))
        spread = _MAD * float(np.median(scores[scores >= middle] - middle))
        far = np.zeros(len(out), np.bool_)
        far[~out] = scores < middle - _FAR * max(spread, 1e-6)
        if not far.any():
            break
        out = out | far
    return out

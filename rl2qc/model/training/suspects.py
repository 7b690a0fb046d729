"""Which patches of an unsorted reference are not to be learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.images.odd_hue import hue_p_values
from rl2qc.model.detectors.base import Reference
from rl2qc.model.detectors.combined import shortfall
from rl2qc.model.detectors.evidence import EvidenceDetector
from rl2qc.model.detectors.folds import fold_rows
from rl2qc.model.detectors.stages import StageDetector
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.network.statistics import Rows, Statistics
from rl2qc.stats.adaptation import judge_own
from rl2qc.stats.prior import GeneralPrior
from rl2qc.stats.unsorted import clean_probabilities, stand_for_clean

__all__ = ["Doubted", "damaged_patches", "suspects"]

# Of those that evidence alone says to be damaged, the share that may be clean; what a mixture of
# several slides, each with a spread of its own, would take for the rare end of them.
_FALSE = 0.05
# Evidence of damage that so few clean patches have, to begin with: what is set aside looks far to
# densities that did not see it, which clean patches should not; rounds of densities; and how likely
# clean what is learnt from must be.
_RARE, _ROUNDS, _LIKELY = 0.001, 2, 0.5
# Densities of five folds need as many.
_ENOUGH = 60


def damaged_patches(
    statistics: Statistics, prior: GeneralPrior | None, rare: float = _RARE
) -> NDArray[np.bool_]:
    """Which patches (n,) show what a general network was taught to be damage, beside what is usual
    in all of them; none without such a network."""
    return _evidence(statistics, prior) < rare


def _surely_damaged(statistics: Statistics, prior: GeneralPrior | None) -> NDArray[np.bool_]:
    """Which patches (n,) are so, hardly any clean ones among them."""
    p = _evidence(statistics, prior)
    limits = _FALSE * np.arange(1, len(p) + 1) / max(1, len(p))
    below = np.sort(p) <= limits
    return p <= (limits[np.flatnonzero(below)[-1]] if below.any() else -1.0)


def _evidence(statistics: Statistics, prior: GeneralPrior | None) -> NDArray[np.float64]:
    """P-values (n,) of the evidence of damage; 1 without a general network."""
    if prior is None:
        return np.ones(len(statistics))
    found = judge_own(statistics[:, STATISTICS_DIM:], prior)[1].p_value
    return np.asarray(found, np.float64)


class Doubted(NamedTuple):
    """What is not to be learnt from, and what calibrates.

    Attributes
    ----------
    out : (n,) bool
        Patches that are more likely damaged than clean.
    stands : (n,) bool
        Those that stand for the clean ones: of rare patches as many as are clean among them.
    """

    out: NDArray[np.bool_]
    stands: NDArray[np.bool_]


def suspects(
    statistics: Statistics,
    groups: Sequence[str] | None,
    prior: GeneralPrior | None,
    *,
    odd_hue: ArrayLike | None = None,
    seed: int = 0,
) -> Doubted:
    """Which patches are not to be learnt from: damaged by evidence, or far from the others.

    What evidence alone says to be damaged, one in twenty of it falsely [2]_, is out, and what a hue
    that the others do not have condemns beyond doubt. Densities of the stages are fitted to what is
    left, and each other patch is scored by those that did not see its group, and by its evidence.
    Clean and damaged are then taken apart as a mixture (:mod:`rl2qc.stats.unsorted`), twice, as in
    robust estimates of covariance [1]_.

    Parameters
    ----------
    statistics : (n, d) float32
    groups
        Slide, or part of a slide, of each.
    prior
        What the network was taught of damage; None for one that was not.
    odd_hue : (n,)
        Share of each patch whose hue no stain has; none without.
    seed
        Of the folds.

    References
    ----------
    .. [1] Rousseeuw and Van Driessen, "A fast algorithm for the minimum covariance determinant
       estimator", Technometrics 1999 (the C-step).
    .. [2] Benjamini and Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995) 289-300.
    """
    sure = _surely_damaged(statistics, prior)
    if odd_hue is not None:
        sure |= hue_p_values(odd_hue) < 1
    out = damaged_patches(statistics, prior) | sure
    stands, left = ~out, ~sure
    fold = fold_rows(len(statistics), groups, seed=seed)
    for _ in range(_ROUNDS):
        if (~out).sum() < _ENOUGH or len(np.unique(fold[~out])) < 2:
            break
        shortfalls = _shortfalls(statistics, fold, out, prior)
        clean = np.zeros(len(out))
        clean[left] = clean_probabilities(shortfalls[left])
        out, stands = clean < _LIKELY, stand_for_clean(clean, shortfalls)
    return Doubted(out, stands)


def _shortfalls(
    statistics: Statistics, fold: Rows, out: NDArray[np.bool_], prior: GeneralPrior | None
) -> NDArray[np.float64]:
    """How far each patch (n,) falls short of those that are not out, by what did not see it."""
    reference = Reference(statistics[~out], fold[~out], prior=prior)
    stages = StageDetector().fit(replace(reference, clean=statistics[~out, :STATISTICS_DIM]))
    scores = {"stages": np.empty(len(out))}
    scores["stages"][~out] = stages.out_of_fold_
    if out.any():
        scores["stages"][out] = stages.scores(statistics[out, :STATISTICS_DIM])
    if prior is not None:
        scores["evidence"] = EvidenceDetector().fit(reference).scores(statistics)
    return -shortfall(scores)

"""What a general model was taught of damage, as a detector: its raw score against a reference.

The prior takes no part in the fit to a reference, so every clean patch calibrates it.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.detectors.base import (
    DetectorSpec,
    Reference,
    Scores,
    State,
    checked_standard,
    register_detector,
)
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.stats.prior import GeneralPrior

__all__ = ["EvidenceDetector"]


class EvidenceDetector:
    """The prior's log-odds that a patch is clean, in standard deviations of clean patches.

    Attributes
    ----------
    prior : GeneralPrior
    standard_ : (2,) float64
        Median and lower standard deviation of the log-odds of clean patches.
    out_of_fold_ : (n,) float64
        Score of each clean patch.
    """

    prior: GeneralPrior
    standard_: NDArray[np.float64]
    out_of_fold_: Scores

    def fit(self, reference: Reference) -> Self:
        """Standardise by the clean patches of a reference with a prior."""
        assert reference.prior is not None
        # How many lines clean tissue has by itself, the other detectors learn of the reference.
        self.prior = reference.prior.together()
        raw = self._raw(reference.clean)
        median, low = np.quantile(raw, [0.5, 0.1587])
        self.standard_ = np.array([median, max(median - low, 1e-9)])
        self.out_of_fold_ = self._standardise(raw)
        return self

    def scores(self, rows: NDArray[np.float32]) -> Scores:
        """Score (n,) of rows (n, d) of statistics and evidence, standard deviations."""
        return self._standardise(self._raw(rows))

    def _raw(self, rows: NDArray[np.float32]) -> Scores:
        return np.asarray(-self.prior.scores(rows[:, STATISTICS_DIM:]))

    def _standardise(self, raw: Scores) -> Scores:
        return np.asarray((raw - self.standard_[0]) / self.standard_[1])

    def state(self) -> State:
        """All fitted numbers as arrays, by name."""
        classes = np.frombuffer("\n".join(self.prior.classes).encode(), np.uint8).copy()
        return {"standard": self.standard_, "classes": classes, **self.prior.state()}

    @classmethod
    def from_state(cls, state: State, density: FeatureDensity | None = None) -> Self:
        """Rebuild a fitted detector; KeyError if a part is missing, ValueError if one is odd."""
        detector = cls()
        detector.standard_ = checked_standard(state)
        classes = np.asarray(state["classes"], np.uint8).tobytes().decode().split("\n")
        detector.prior = GeneralPrior.from_state(state, tuple(classes))
        return detector


register_detector(
    DetectorSpec(
        "evidence",
        EvidenceDetector,
        "log-odds of clean by what the network was taught of damage, in standard deviations",
        reads="evidence",
        out_of_fold=lambda fitted: fitted.out_of_fold_,
        order=35,
    )
)

"""The filter's detector: how far a patch falls short of clean ones, by density and by probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.model.detectors.folds import fold_rows
from rl2qc.model.detectors.probe import DamageProbe
from rl2qc.model.detectors.stages import StageDetector

__all__ = ["Detector"]


class Detector:
    """Stage densities, which know what is normal, and a probe, which knows what damage does.

    Both are in standard deviations of clean patches that they were not fitted to, and the score is
    the sum of their shortfalls, ``-softplus(-stages) - softplus(-probe)``: a look that finds a
    patch better than usual does not make up for one that finds it worse.

    Everything comes from the statistics of one forward pass. Standardisation and calibration come
    from cross-fitting: the patches are cut into ten folds, slide by slide where slides are known,
    and each fold is scored by what was fitted to the others.

    Parameters
    ----------
    seed
        Of folds and clusters.

    Attributes
    ----------
    stages_ : StageDetector
    probe_ : DamageProbe
    standard_ : (2,) float64
        Median and lower standard deviation of the probe's scores out of fold.
    calibration_ : dict of (m,) float64
        Scores out of fold, by name, of the patches that calibrate.

    Examples
    --------
    >>> from rl2qc.model.network.backbone import STATISTICS_DIM
    >>> clean = np.random.default_rng(0).normal(size=(200, STATISTICS_DIM))
    >>> detector = Detector().fit(clean, clean + 2, np.arange(200))
    >>> bool(detector.score_samples(clean + 3).max() < detector.calibration_["detector"].min())
    True
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(
        self,
        clean: ArrayLike,
        damaged: ArrayLike,
        sources: NDArray[np.int64],
        groups: Sequence[str] | None = None,
        calibrates: NDArray[np.bool_] | None = None,
    ) -> Detector:
        """Fit to statistics of clean patches and of damaged copies of them.

        Parameters
        ----------
        clean : (n, 2048)
        damaged : (m, 2048)
        sources : (m,) int
            The clean patch that each damaged one is a copy of.
        groups
            Slide or patient of each clean patch: no group is split between folds.
        calibrates : (n,) bool
            Patches that may calibrate; None: all. Patches that the backbone was trained on lie
            closer together than new ones, so they may fit but should not calibrate.
        """
        good, bad = np.asarray(clean, np.float64), np.asarray(damaged, np.float64)
        calibrating = np.ones(len(good), np.bool_) if calibrates is None else calibrates
        fold = fold_rows(len(good), groups, self.seed)
        self.stages_ = StageDetector(seed=self.seed).fit(good, fold)
        found = np.empty(len(good))
        for f in np.unique(fold):
            probe = DamageProbe().fit(good[fold != f], bad[fold[sources] != f])
            found[fold == f] = probe.score_samples(good[fold == f])
        median, low = np.quantile(found, [0.5, 0.1587])
        self.standard_ = np.array([median, max(median - low, 1e-9)])
        self.probe_ = DamageProbe().fit(good, bad)
        by_stages = self.stages_.out_of_fold_[calibrating]
        by_probe = self._standardise(found)[calibrating]
        self.calibration_ = {
            "stages": by_stages,
            "probe": by_probe,
            "detector": _shortfall(by_stages, by_probe),
        }
        return self

    def scores(self, statistics: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Scores (n,) by name of statistics (n, 2048): stages, probe and their sum, detector."""
        stages = self.stages_.score_samples(statistics)
        probe = self._standardise(self.probe_.score_samples(statistics))
        return {"stages": stages, "probe": probe, "detector": _shortfall(stages, probe)}

    def score_samples(self, statistics: ArrayLike) -> NDArray[np.float64]:
        """Score (n,) of statistics (n, 2048); at most 0, higher is more normal."""
        return self.scores(statistics)["detector"]

    def _standardise(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((scores - self.standard_[0]) / self.standard_[1])

    def state(self) -> dict[str, NDArray[np.float64]]:
        """All fitted numbers but the calibration as arrays, by name."""
        return {
            "standard": self.standard_,
            **{f"stages.{k}": v for k, v in self.stages_.state().items()},
            **{f"probe.{k}": v for k, v in self.probe_.state().items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.float64]]) -> Detector:
        """Rebuild a fitted detector; KeyError if a part is missing."""
        detector = cls()
        detector.standard_ = state["standard"]
        detector.stages_ = StageDetector.from_state(_part(state, "stages."))
        detector.probe_ = DamageProbe.from_state(_part(state, "probe."))
        return detector


def _shortfall(stages: NDArray[np.float64], probe: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-np.logaddexp(0, -stages) - np.logaddexp(0, -probe))


def _part(state: Mapping[str, NDArray[np.float64]], prefix: str) -> dict[str, NDArray[np.float64]]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

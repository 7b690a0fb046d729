"""A linear probe that tells reference patches from damaged copies of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression

from rl2qc.core.arrays import checked_array
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.detectors.base import (
    DetectorSpec,
    Reference,
    Scores,
    State,
    checked_standard,
    register_detector,
)
from rl2qc.model.detectors.folds import out_of_fold

__all__ = ["DamageProbe", "ProbeDetector"]

# In standard deviations: beyond, a statistic says "far away" and no more.
CLIP = 10.0


class DamageProbe:
    """Logistic regression on stage statistics, clean against damaged.

    A density sees that a patch is unusual; the probe knows the directions in which damage moves
    the patches of this very stain and scanner, and sees damage that is small beside the variety of
    clean tissue. Damage is synthetic: no labelled artifact is used.

    Parameters
    ----------
    C
        Inverse strength of the penalty, as in scikit-learn.

    Attributes
    ----------
    mean_, scale_ : (d,) float64, of the clean patches
    weights_ : (d,) float64
    intercept_ : float

    References
    ----------
    Li et al., "CutPaste", CVPR 2021 (self-supervision by synthetic damage).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> clean = rng.normal(size=(200, 8))
    >>> probe = DamageProbe().fit(clean, clean + 2)
    >>> bool(probe.score_samples(clean).min() > probe.score_samples(clean + 4).max())
    True
    """

    def __init__(self, C: float = 0.01) -> None:
        self.C = C

    def fit(self, clean: ArrayLike, damaged: ArrayLike) -> DamageProbe:
        """Fit to statistics (n, d) of clean patches and (m, d) of damaged copies."""
        good, bad = np.asarray(clean, np.float64), np.asarray(damaged, np.float64)
        self.mean_ = _single(good.mean(0))
        # A dead statistic has no spread: the floor keeps it from deciding alone.
        spread = good.std(0)
        self.scale_ = _single(np.maximum(spread, 1e-3 * float(spread.max()) + 1e-9))
        model = LogisticRegression(C=self.C, class_weight="balanced", max_iter=1000)
        model.fit(self._scaled(np.r_[good, bad]), np.r_[np.zeros(len(good)), np.ones(len(bad))])
        self.weights_ = _single(model.coef_[0])
        self.intercept_ = float(np.float32(model.intercept_[0]))
        return self

    def score_samples(self, statistics: ArrayLike) -> NDArray[np.float64]:
        """Log-odds (n,) that a patch is clean; higher is more normal."""
        x = self._scaled(np.asarray(statistics, np.float64))
        return np.asarray(-(x @ self.weights_ + self.intercept_))

    def _scaled(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.clip((x - self.mean_) / self.scale_, -CLIP, CLIP))

    def state(self) -> dict[str, NDArray[np.float64]]:
        """All fitted numbers as arrays, by name."""
        return {
            "mean": self.mean_,
            "scale": self.scale_,
            "weights": self.weights_,
            "intercept": np.array([self.intercept_]),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.float64]]) -> DamageProbe:
        """Rebuild a fitted probe; KeyError if a part is missing, ValueError if one is odd."""
        probe = cls()
        probe.mean_ = checked_array(state, "mean", (None,))
        width = (len(probe.mean_),)
        probe.scale_ = checked_array(state, "scale", width, above=0)
        probe.weights_ = checked_array(state, "weights", width)
        probe.intercept_ = float(checked_array(state, "intercept", (1,))[0])
        return probe


class ProbeDetector:
    """The probe's log-odds in standard deviations of clean patches that it was not fitted to.

    Attributes
    ----------
    probe_ : DamageProbe
    standard_ : (2,) float64
        Median and lower standard deviation of the log-odds out of fold.
    out_of_fold_ : (n,) float64
        Score of each patch by the probe that was fitted without its fold.
    """

    probe_: DamageProbe
    standard_: NDArray[np.float64]
    out_of_fold_: Scores

    def fit(self, reference: Reference) -> Self:
        """Fit to clean patches and damaged copies, and standardise out of fold."""
        raw = out_of_fold(
            lambda rest: DamageProbe().fit(rest.clean, rest.damaged).score_samples, reference
        )
        median, low = np.quantile(raw, [0.5, 0.1587])
        self.standard_ = np.array([median, max(median - low, 1e-9)])
        self.probe_ = DamageProbe().fit(reference.clean, reference.damaged)
        self.out_of_fold_ = self._standardise(raw)
        return self

    def scores(self, statistics: ArrayLike) -> Scores:
        """Score (n,) of stage statistics (n, 2048), standard deviations."""
        return self._standardise(self.probe_.score_samples(statistics))

    def _standardise(self, raw: Scores) -> Scores:
        return np.asarray((raw - self.standard_[0]) / self.standard_[1])

    def state(self) -> State:
        """All fitted numbers as arrays, by name."""
        return {"standard": self.standard_, **self.probe_.state()}

    @classmethod
    def from_state(cls, state: State, density: FeatureDensity | None = None) -> Self:
        """Rebuild a fitted detector; KeyError if a part is missing, ValueError if one is odd."""
        detector = cls()
        detector.standard_ = checked_standard(state)
        detector.probe_ = DamageProbe.from_state(state)
        return detector


def _single(array: NDArray[np.float64]) -> NDArray[np.float64]:
    # As stored: a loaded probe gives the very numbers of the fitted one.
    return np.asarray(array, np.float32).astype(np.float64)


register_detector(
    DetectorSpec(
        "probe",
        ProbeDetector,
        "log-odds of clean against damaged, in standard deviations of clean patches",
        out_of_fold=lambda fitted: fitted.out_of_fold_,
        order=30,
    )
)

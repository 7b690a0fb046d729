"""Scores of the model's density of pooled features: its likelihood, and how typical that is.

References
----------
Nalisnick et al., "Detecting out-of-distribution inputs to deep generative models using
typicality", 2019.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.arrays import checked_array
from rl2qc.model.density.features import FeatureDensity, log_likelihood
from rl2qc.model.detectors.base import (
    DetectorSpec,
    Reference,
    Scores,
    State,
    register_detector,
)
from rl2qc.model.network.backbone import POOLED

__all__ = ["LogLikelihood", "Typicality"]


class LogLikelihood:
    """The flow's log p of the pooled features, in nats: the RL2 paper's score."""

    density: FeatureDensity

    def fit(self, reference: Reference) -> Self:
        """Take the density of the reference; it is fitted already."""
        assert reference.density is not None
        self.density = reference.density
        return self

    def scores(self, statistics: NDArray[np.float32]) -> Scores:
        """Log p (n,) of stage statistics (n, 2048), nats."""
        return log_likelihood(self.density, statistics[:, POOLED])

    def state(self) -> State:
        """Nothing: the density is the model's."""
        return {}

    @classmethod
    def from_state(cls, state: State, density: FeatureDensity) -> Self:
        """Rebuild a fitted detector."""
        detector = cls()
        detector.density = density
        return detector


class Typicality(LogLikelihood):
    """Minus the distance of log p from the median of held-out clean patches, in nats.

    In many dimensions a likelihood far above the usual is as odd as one far below.

    Attributes
    ----------
    median_ : float
        Of the log-likelihoods of held-out clean patches, nats.
    """

    median_: float

    def fit(self, reference: Reference) -> Self:
        """Find the median of the held-out patches."""
        super().fit(reference)
        self.median_ = float(np.median(super().scores(reference.clean[reference.held])))
        return self

    def scores(self, statistics: NDArray[np.float32]) -> Scores:
        """Score (n,) of stage statistics (n, 2048), nats; at most 0."""
        return -np.abs(super().scores(statistics) - self.median_)

    def state(self) -> State:
        """The median, (1,) float64."""
        return {"median": np.array([self.median_])}

    @classmethod
    def from_state(cls, state: State, density: FeatureDensity) -> Self:
        """Rebuild a fitted detector; KeyError if the median is missing, ValueError if it is odd."""
        detector = super().from_state(state, density)
        detector.median_ = float(checked_array(state, "median", (1,))[0])
        return detector


register_detector(
    DetectorSpec(
        "log_likelihood",
        LogLikelihood,
        "the flow's log p of the pooled features, nats",
        calibration="held_out",
        order=40,
    )
)
register_detector(
    DetectorSpec(
        "typicality",
        Typicality,
        "minus the distance of log p from the median of clean patches, nats",
        calibration="held_out",
        order=50,
    )
)

"""Every score that a quality model can give a patch, behind one interface.

Each is higher for more normal patches and is calibrated to conformal p-values by the scores of
held-out clean patches, so that any of them can be asked for and none has to be believed.

References
----------
Nalisnick et al., "Detecting out-of-distribution inputs to deep generative models using
typicality", 2019. Lee et al., "A simple unified framework for detecting out-of-distribution
samples", NeurIPS 2018 (Mahalanobis). Sun et al., "Out-of-distribution detection with deep nearest
neighbors", ICML 2022.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from rl2qc.model.density.features import FeatureDensity, log_likelihood
from rl2qc.model.detectors.combined import Detector
from rl2qc.model.network.backbone import POOLED

__all__ = ["FILTER_SCORE", "SCORES", "Score", "ScoreBook"]

Score = Literal["detector", "stages", "probe", "log_likelihood", "typicality", "mahalanobis", "knn"]
SCORES: tuple[Score, ...] = get_args(Score)
# The one that decides what the filter keeps.
FILTER_SCORE: Score = "detector"
DETECTED = {"detector", "stages", "probe"}
NEIGHBORS = 5
# More reference features make checkpoints larger, and neighbours hardly nearer.
MAX_REFERENCE = 1000


class ScoreBook:
    """The scores of stage statistics (n, 2048).

    - ``detector``: stages and probe together (:class:`Detector`).
    - ``stages``: the least normal stage, in standard deviations (:class:`StageDetector`).
    - ``probe``: log-odds of clean against damaged, in standard deviations (:class:`DamageProbe`).
    - ``log_likelihood``: the flow's log p of the pooled features, nats (the RL2 paper's).
    - ``typicality``: minus the distance of log p from the median of clean patches, nats.
    - ``mahalanobis``: minus the squared length of the whitened pooled features.
    - ``knn``: minus the mean distance to the nearest reference features, whitened.

    Parameters
    ----------
    density
        Whitening and flow of the pooled features.
    detector
        Of the stages and the probe.
    reference : (m, 512) float32
        Pooled features of clean patches.
    median_log_likelihood
        Of held-out clean patches, nats.
    """

    def __init__(
        self,
        density: FeatureDensity,
        detector: Detector,
        reference: NDArray[np.float32],
        median_log_likelihood: float,
    ) -> None:
        self.density, self.detector, self.reference = density, detector, reference
        self.median_log_likelihood = median_log_likelihood
        self._neighbors = NearestNeighbors(n_neighbors=min(NEIGHBORS, len(reference)))
        self._neighbors.fit(self._leading(reference))

    def __call__(
        self, statistics: NDArray[np.float32], names: Iterable[Score]
    ) -> dict[Score, NDArray[np.float64]]:
        """The named scores, (n,) float64 each."""
        wanted = list(names)
        # Three names, one computation.
        found = self.detector.scores(statistics) if DETECTED & set(wanted) else {}
        return {
            name: found[name] if name in DETECTED else getattr(self, f"_{name}")(statistics)
            for name in wanted
        }

    def _log_likelihood(self, statistics: NDArray[np.float32]) -> NDArray[np.float64]:
        return log_likelihood(self.density, statistics[:, POOLED])

    def _typicality(self, statistics: NDArray[np.float32]) -> NDArray[np.float64]:
        return -np.abs(self._log_likelihood(statistics) - self.median_log_likelihood)

    def _mahalanobis(self, statistics: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            z = self.density.whitening(torch.from_numpy(statistics[:, POOLED].copy()))
        return np.asarray(-z.square().sum(1).double().numpy())

    def _knn(self, statistics: NDArray[np.float32]) -> NDArray[np.float64]:
        distances, _ = self._neighbors.kneighbors(self._leading(statistics[:, POOLED]))
        return np.asarray(-distances.mean(1), np.float64)

    def _leading(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            leading, _ = self.density.split(torch.from_numpy(features.copy()))
        return np.asarray(leading.numpy())

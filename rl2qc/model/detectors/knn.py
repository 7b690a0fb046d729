"""The distance to the nearest reference patches.

References
----------
Sun et al., "Out-of-distribution detection with deep nearest neighbors", ICML 2022.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from rl2qc.core.arrays import checked_array
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.detectors.base import (
    DetectorSpec,
    Reference,
    Scores,
    State,
    register_detector,
)
from rl2qc.model.network.backbone import FEATURE_DIM, POOLED

__all__ = ["NearestReference"]

NEIGHBORS = 5
# More reference features make checkpoints larger, and neighbours hardly nearer.
MAX_REFERENCE = 1000


class NearestReference:
    """Minus the mean distance to the nearest reference features, in whitened units.

    Attributes
    ----------
    reference_ : (m, 512) float16
        Pooled features of at most 1,000 training patches, in the precision in which they are
        stored.
    """

    density: FeatureDensity
    reference_: NDArray[np.float16]

    def fit(self, reference: Reference) -> Self:
        """Draw training patches, and keep their features."""
        assert reference.density is not None
        train = reference.train
        order = np.random.default_rng(reference.seed).permutation(len(train))
        rows = train[np.sort(order[:MAX_REFERENCE])]
        features = reference.clean[rows][:, POOLED].astype(np.float16)
        return self._know(features, reference.density)

    def scores(self, statistics: NDArray[np.float32]) -> Scores:
        """Score (n,) of stage statistics (n, 2048), whitened units; at most 0."""
        distances, _ = self._neighbors.kneighbors(self._leading(statistics[:, POOLED]))
        return np.asarray(-distances.mean(1), np.float64)

    def state(self) -> State:
        """The features of the reference."""
        return {"reference": self.reference_}

    @classmethod
    def from_state(cls, state: State, density: FeatureDensity) -> Self:
        """Rebuild a fitted detector; KeyError if the features are missing, ValueError if odd."""
        features = checked_array(state, "reference", (None, FEATURE_DIM))
        return cls()._know(features.astype(np.float16), density)

    def _know(self, features: NDArray[np.float16], density: FeatureDensity) -> Self:
        self.reference_, self.density = features, density
        self._neighbors = NearestNeighbors(n_neighbors=min(NEIGHBORS, len(features)))
        self._neighbors.fit(self._leading(features.astype(np.float32)))
        return self

    def _leading(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            leading, _ = self.density.split(torch.from_numpy(features.copy()))
        return np.asarray(leading.numpy())


register_detector(
    DetectorSpec(
        "knn",
        NearestReference,
        "minus the mean distance to the nearest reference features, whitened",
        calibration="held_out",
        order=70,
    )
)

"""The distance from the mean of the reference, by its own covariance.

References
----------
Lee et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from rl2qc.model.detectors.base import DetectorSpec, Scores, register_detector
from rl2qc.model.detectors.likelihood import LogLikelihood
from rl2qc.model.network.backbone import POOLED

__all__ = ["Mahalanobis"]


class Mahalanobis(LogLikelihood):
    """Minus the squared length of the whitened pooled features; it rests on the density alone."""

    def scores(self, statistics: NDArray[np.float32]) -> Scores:
        """Score (n,) of stage statistics (n, 2048), squared standard deviations; at most 0."""
        with torch.inference_mode():
            z = self.density.whitening(torch.from_numpy(statistics[:, POOLED].copy()))
        return np.asarray(-z.square().sum(1).double().numpy())


register_detector(
    DetectorSpec(
        "mahalanobis",
        Mahalanobis,
        "minus the squared length of the whitened pooled features",
        calibration="held_out",
        order=60,
    )
)

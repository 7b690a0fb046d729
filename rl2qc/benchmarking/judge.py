"""How a filter would judge images: beside what is usual in the clean ones, if its model adapts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.quality import QualityModel
from rl2qc.stats.adaptation import adapt, judge, judge_own

__all__ = ["Judge"]

# Of all tiles, in the mixture that clean ones are kept from.
_DAMAGED = 0.3


class Judge:
    """Scores and p-values of images beside a set of clean ones.

    Parameters
    ----------
    model
    clean : (n, d)
        Statistics of the clean images.

    Attributes
    ----------
    scores, p_values : (n,)
        Of the clean images, higher is more normal; where they are few, each is judged by what all
        others say is usual.
    """

    def __init__(self, model: QualityModel, clean: NDArray[np.float32]) -> None:
        self._model, self._clean = model, clean
        self._prior = model.prior if model.adapts else None
        if self._prior is not None:
            self._usual = adapt(clean[:, STATISTICS_DIM:], self._prior)
        self.scores, self.p_values = self(clean)
        if self._prior is not None:
            self.p_values = judge_own(clean[:, STATISTICS_DIM:], self._prior)[1].p_value

    def __call__(
        self, statistics: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and p-values (m,) of images that take no part in what is usual."""
        if self._prior is None:
            found = self._model.measure_statistics(statistics)
            # As the calibration has it: what is not finite is as abnormal as can be.
            return np.where(np.isfinite(found["score"]), found["score"], -np.inf), found["p_value"]
        judged = judge(statistics[:, STATISTICS_DIM:], self._usual, self._prior)
        return -judged.score, judged.p_value

    def kept_among(self, damaged: NDArray[np.float32], alpha: float, seed: int) -> float:
        """Share of the clean images that is kept where three in ten of all are damaged.

        Parameters
        ----------
        damaged : (m, d)
            Statistics that these are drawn from.
        alpha
        seed
            Of the draw.
        """
        if self._prior is None:
            return float((self.p_values > alpha).mean())
        n = len(self._clean)
        wanted = min(len(damaged), round(n * _DAMAGED / (1 - _DAMAGED)))
        drawn = np.random.default_rng(seed).choice(len(damaged), wanted, replace=False)
        both = np.concatenate([self._clean, damaged[drawn]])[:, STATISTICS_DIM:]
        return float((judge_own(both, self._prior)[1].p_value[:n] > alpha).mean())

"""The filter's detector: the least normal of five looks at a patch, from fine to coarse.

The pooled last layer of a ResNet knows architecture and forgets colour, focus and noise, which the
early stages carry. So the spatial mean and standard deviation of the stem and of each of the four
stages get a density each, and a patch is as normal as its least normal stage. All five come from
the forward pass that makes the features.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

from rl2qc.model.backbone import STAGE_WIDTHS, STATISTICS_DIM

__all__ = ["StageDetector"]

_PARTS = ("mean_", "components_", "explained_variance_", "noise_variance_")


class StageDetector:
    """One Gaussian density a stage, combined by the smallest standardised log-likelihood.

    Densities are probabilistic PCA (Tipping and Bishop 1999, scikit-learn's ``PCA``). Each stage's
    log-likelihood is standardised by the median and the lower standard deviation of held-out clean
    patches, so that stages of 128 to 1,024 numbers count alike.

    Parameters
    ----------
    n_components
        Leading components of each stage that have a variance of their own.

    Attributes
    ----------
    densities_ : dict of PCA, by stage
    centers_, scales_ : dict of float, by stage
        Median and lower standard deviation of the held-out log-likelihoods, nats.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> statistics = rng.normal(size=(300, STATISTICS_DIM))
    >>> detector = StageDetector(8).fit(statistics[:200], statistics[200:])
    >>> bool(detector.score_samples(statistics[:1] + 3)[0] < -3)
    True
    """

    def __init__(self, n_components: int = 32) -> None:
        self.n_components = n_components

    def fit(self, statistics: ArrayLike, held_out: ArrayLike) -> StageDetector:
        """Fit to stage statistics (n, 2048) and standardise on those of held-out patches."""
        train, held = _split(statistics), _split(held_out)
        self.densities_ = {
            # "full": exact, hence the same on every run.
            stage: PCA(min(self.n_components, len(x) // 2), svd_solver="full").fit(x)
            for stage, x in train.items()
        }
        self.centers_: dict[str, float] = {}
        self.scales_: dict[str, float] = {}
        for stage, density in self.densities_.items():
            median, low = np.quantile(density.score_samples(held[stage]), [0.5, 0.1587])
            self.centers_[stage] = float(median)
            self.scales_[stage] = float(max(median - low, 1e-6 * abs(median), 1e-9))
        return self

    def stage_scores(self, statistics: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Standardised log-likelihood (n,) of each stage; higher is more normal."""
        return {
            stage: (self.densities_[stage].score_samples(x) - self.centers_[stage])
            / self.scales_[stage]
            for stage, x in _split(statistics).items()
        }

    def score_samples(self, statistics: ArrayLike) -> NDArray[np.float64]:
        """Score (n,) of stage statistics (n, 2048): the smallest over the stages."""
        scores: NDArray[np.float64] = np.min(list(self.stage_scores(statistics).values()), axis=0)
        return scores

    def state(self) -> dict[str, NDArray[np.float64]]:
        """All fitted numbers as arrays, by name."""
        state: dict[str, NDArray[np.float64]] = {}
        for stage, density in self.densities_.items():
            for part in _PARTS:
                state[f"{stage}.{part}"] = np.atleast_1d(getattr(density, part)).astype(np.float64)
            state[f"{stage}.standard"] = np.array([self.centers_[stage], self.scales_[stage]])
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.float64]]) -> StageDetector:
        """Rebuild a fitted detector; KeyError if a part is missing."""
        detector = cls(len(state[f"{next(iter(STAGE_WIDTHS))}.components_"]))
        detector.densities_, detector.centers_, detector.scales_ = {}, {}, {}
        for stage in STAGE_WIDTHS:
            density = PCA()
            for part in _PARTS:
                setattr(density, part, state[f"{stage}.{part}"])
            density.noise_variance_ = float(density.noise_variance_[0])
            density.n_components_, density.n_features_in_ = density.components_.shape
            detector.densities_[stage] = density
            center, scale = state[f"{stage}.standard"]
            detector.centers_[stage], detector.scales_[stage] = float(center), float(scale)
        return detector


def _split(statistics: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Statistics (n, 2048) as (n, 2 x width) a stage."""
    array = np.asarray(statistics, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != STATISTICS_DIM:
        raise ValueError(f"stage statistics must be (n, {STATISTICS_DIM}), got {array.shape}")
    ends = np.cumsum([2 * width for width in STAGE_WIDTHS.values()])
    return dict(zip(STAGE_WIDTHS, np.split(array, ends[:-1], axis=1), strict=True))

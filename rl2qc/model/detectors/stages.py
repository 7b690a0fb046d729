"""Densities of the five stages of the network, from fine to coarse; the least normal one counts.

The pooled last layer of a ResNet knows architecture and forgets colour, focus and noise, which the
early stages carry. So the spatial mean and standard deviation of the stem and of each of the four
stages get a density each, and a patch is as normal as its least normal stage. All five come from
the forward pass that makes the features.

A reference may hold several kinds of tissue or stain. It is cut into a few clusters with densities
of their own, and a patch is as normal as under the cluster that knows it best: one kind that
varies much does not set the threshold for one that varies little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from rl2qc.core.arrays import checked_array
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.density.ppca import PPCA
from rl2qc.model.detectors.base import (
    DetectorSpec,
    Reference,
    Scores,
    State,
    register_detector,
)
from rl2qc.model.network.backbone import POOLED, STAGE_WIDTHS, STATISTICS_DIM

__all__ = ["StageDetector"]

# A cluster is worth its own densities from about this many patches.
CLUSTER_SIZE = 200
MAX_CLUSTERS = 6
MIN_ROWS = 40
# Components of the pooled features in which clusters are sought.
CLUSTER_COMPONENTS = 16


class StageDetector:
    """One Gaussian density a stage and cluster, combined by minimum and maximum.

    Each density's log-likelihood is standardised by the median and the lower standard deviation
    of clean patches that it was not fitted to, so that stages of 128 to 1,024 numbers, and
    clusters of any spread, count the same: each fold is scored by densities fitted to the others.

    Parameters
    ----------
    n_components
        Leading components of each stage that have a variance of their own.
    n_clusters
        None: one for every 200 patches, at most 6.

    Attributes
    ----------
    densities_ : list (cluster) of dict (stage) of PPCA
    standards_ : (clusters, stages, 2) float64
        Median and lower standard deviation of the log-likelihoods out of fold, nats.
    out_of_fold_ : (n,) float64
        Score of each patch by the densities that it was not fitted to.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> statistics = rng.normal(size=(300, STATISTICS_DIM)).astype(np.float32)
    >>> detector = StageDetector(8).fit(Reference(statistics, np.arange(300) % 5))
    >>> bool(detector.scores(statistics[:1] + 3)[0] < detector.out_of_fold_.min())
    True
    """

    def __init__(self, n_components: int = 64, n_clusters: int | None = None) -> None:
        self.n_components, self.n_clusters = n_components, n_clusters

    def fit(self, reference: Reference) -> Self:
        """Fit to the stage statistics of the clean patches."""
        statistics, fold = reference.clean, reference.fold
        stages = _split(statistics)
        n = len(stages["stem"])
        pooled = np.asarray(statistics, np.float64)[:, POOLED]
        clusters = _clusters(pooled, fold, self.n_clusters, reference.seed)
        k = int(clusters.max()) + 1
        raw = np.empty((k, len(stages), n))
        for f in np.unique(fold):
            densities = self._densities(stages, clusters, fold != f)
            raw[:, :, fold == f] = _raw(densities, {s: x[fold == f] for s, x in stages.items()})
        self.standards_ = np.empty((k, len(stages), 2))
        for c in range(k):
            median, low = np.quantile(raw[c][:, clusters == c], [0.5, 0.1587], axis=1)
            self.standards_[c, :, 0] = median
            self.standards_[c, :, 1] = np.maximum(median - low, 1e-6 * np.abs(median) + 1e-9)
        self.densities_ = self._densities(stages, clusters, np.ones(n, np.bool_))
        self.out_of_fold_ = self._combine(raw)
        return self

    def _densities(
        self,
        stages: Mapping[str, NDArray[np.float64]],
        clusters: NDArray[np.int64],
        rows: NDArray[np.bool_],
    ) -> list[dict[str, PPCA]]:
        found = []
        for c in range(int(clusters.max()) + 1):
            own = rows & (clusters == c)
            m = max(1, min(self.n_components, int(own.sum()) // 3))
            found.append({stage: PPCA.fit(x[own], m) for stage, x in stages.items()})
        return found

    def _combine(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores (n,) of raw log-likelihoods (clusters, stages, n)."""
        scores: NDArray[np.float64] = self._standardise(raw).min(1).max(0)
        return scores

    def _standardise(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((raw - self.standards_[..., :1]) / self.standards_[..., 1:])

    def stage_scores(self, statistics: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Standardised log-likelihood (n,) of each stage under the patch's best cluster."""
        standard = self._standardise(_raw(self.densities_, _split(statistics)))
        best = standard.min(1).argmax(0)
        rows = np.arange(standard.shape[2])
        return {stage: standard[best, i, rows] for i, stage in enumerate(STAGE_WIDTHS)}

    def scores(self, statistics: ArrayLike) -> Scores:
        """Score (n,) of stage statistics (n, 2048): standard deviations, higher is more normal."""
        return self._combine(_raw(self.densities_, _split(statistics)))

    def state(self) -> dict[str, NDArray[np.float64]]:
        """All fitted numbers as arrays, by name."""
        state = {"standards": self.standards_}
        for c, densities in enumerate(self.densities_):
            for stage, density in densities.items():
                state |= {f"{c}.{stage}.{k}": v for k, v in density.state().items()}
        return state

    @classmethod
    def from_state(cls, state: State, density: FeatureDensity | None = None) -> Self:
        """Rebuild a fitted detector; KeyError if a part is missing, ValueError if one is odd."""
        standards = checked_array(state, "standards", (None, len(STAGE_WIDTHS), 2))
        if not (standards[..., 1] > 0).all():
            raise ValueError("standard deviations of the stages must lie above 0")
        detector = cls(n_clusters=len(standards))
        detector.standards_ = standards
        parts = PPCA.__dataclass_fields__
        detector.densities_ = [
            {
                s: PPCA.from_state({p: state[f"{c}.{s}.{p}"] for p in parts}, 2 * width)
                for s, width in STAGE_WIDTHS.items()
            }
            for c in range(len(standards))
        ]
        detector.n_components = len(detector.densities_[0]["stem"].variances)
        return detector


def _clusters(
    features: NDArray[np.float64], fold: NDArray[np.int64], n_clusters: int | None, seed: int
) -> NDArray[np.int64]:
    """Cluster (n,) of each patch; a cluster can be fitted without any one fold."""
    k = n_clusters or max(1, min(MAX_CLUSTERS, len(features) // CLUSTER_SIZE))
    if k == 1:
        return np.zeros(len(features), np.int64)
    leading = PCA(CLUSTER_COMPONENTS, svd_solver="covariance_eigh").fit_transform(features)
    found = KMeans(k, n_init=5, random_state=seed).fit_predict(leading)
    left = min(int(((found == c) & (fold != f)).sum()) for c in range(k) for f in np.unique(fold))
    if left < MIN_ROWS:
        return _clusters(features, fold, k - 1, seed)
    return np.asarray(found, np.int64)


def _raw(
    densities: Sequence[Mapping[str, PPCA]], stages: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Log-likelihoods (clusters, stages, n)."""
    return np.array([[d[s].log_likelihood(x) for s, x in stages.items()] for d in densities])


def _split(statistics: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Statistics (n, 2048) as (n, 2 x width) a stage."""
    array = np.asarray(statistics, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != STATISTICS_DIM:
        raise ValueError(f"stage statistics must be (n, {STATISTICS_DIM}), got {array.shape}")
    ends = np.cumsum([2 * width for width in STAGE_WIDTHS.values()])
    return dict(zip(STAGE_WIDTHS, np.split(array, ends[:-1], axis=1), strict=True))


register_detector(
    DetectorSpec(
        "stages",
        StageDetector,
        "the least normal stage, in standard deviations of clean patches",
        out_of_fold=lambda fitted: fitted.out_of_fold_,
        order=20,
    )
)

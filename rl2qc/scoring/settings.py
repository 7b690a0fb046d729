"""How to score: what the user can choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rl2qc.errors import UsageError
from rl2qc.features.base import DEFAULT_FEATURES, Extractor
from rl2qc.metrics.neighbors import Metric
from rl2qc.metrics.prdc import Convention
from rl2qc.scoring.spec import CATALOGUE, chosen_metrics

__all__ = ["ScoreSettings", "kinds", "resamples_of"]

# Most resamples of the metrics that cost most: enough to fix the ends of an interval roughly.
_PIXEL_RESAMPLES, _FID_RESAMPLES = 60, 100


@dataclass(frozen=True)
class ScoreSettings:
    """How to score.

    Parameters
    ----------
    metrics : sequence of str, optional
        Names in `rl2qc.scoring.spec.CATALOGUE`; None for all but the optional ones.
    k : int
        Neighbours of WAD-Div.
    prdc_k : int
        Neighbours of precision, recall, density and coverage.
    prdc_convention : {"prdc", "kynkaanniemi"}
        Whether an image on the edge of a ball lies in it (`rl2qc.metrics.prdc.prdc`).
    distance : {"euclidean", "cosine"}
        Between neighbours in WAD-Div, IRS and authenticity; precision, recall, density and
        coverage are defined by the Euclidean one.
    alpha : float
        False-positive rate at which the filter keeps an image: p-value above alpha.
    features : str, path or Extractor
        For the metrics of features: name or file of an extractor, or one of your own
        (:func:`rl2qc.features.base.find_extractors`), or a folder of features that were computed
        elsewhere (`rl2qc.features.precomputed.load_precomputed`). RL2 and likelihoods are always
        the model's own.
    cache : bool
        Keep features between runs (`rl2qc.features.cache.FeatureCache`).
    group_pattern : str, optional
        Regular expression whose first group is the slide or patient, in the file name or else in
        the path below the folder that a set's files share (`rl2qc.images.groups.slide_ids`):
        whole groups are then resampled. Generated images that it does not match stand by
        themselves.
    mpp : float, optional
        Microns per pixel of the images, to be held against the model's; None for not known.
    any_mpp : bool
        Only warn where they are far apart.
    n_resamples : int
        Resamples of intervals and of the real-against-real null; 0 for values alone.
    level : float
        Coverage of the intervals.
    seed : int
        Of every random draw.

    Raises
    ------
    UsageError
        For options out of range.
    """

    metrics: Sequence[str] | None = None
    k: int = 3
    prdc_k: int = 5
    prdc_convention: Convention = "prdc"
    distance: Metric = "euclidean"
    alpha: float = 0.05
    features: str | Path | Extractor = DEFAULT_FEATURES
    cache: bool = True
    group_pattern: str | None = None
    mpp: float | None = None
    any_mpp: bool = False
    n_resamples: int = 200
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("alpha", "level"):
            if not 0 < getattr(self, name) < 1:
                raise UsageError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        for name in ("k", "prdc_k"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name, kind in (("distance", Metric), ("prdc_convention", Convention)):
            if getattr(self, name) not in get_args(kind):
                known = " or ".join(get_args(kind))
                raise UsageError(f"{name} must be {known}, got {getattr(self, name)!r}")
        if self.n_resamples < 0 or self.n_resamples == 1:
            raise UsageError(f"n_resamples must be 0 or at least 2, got {self.n_resamples}")
        if self.seed < 0:
            raise UsageError(f"seed must not be negative, got {self.seed}")
        chosen_metrics(self.metrics)


def kinds(settings: ScoreSettings) -> set[str]:
    """What the chosen metrics are computed from."""
    return {CATALOGUE[name].kind for name in chosen_metrics(settings.metrics)}


def resamples_of(name: str, settings: ScoreSettings) -> int:
    """How many resamples a metric gets."""
    if CATALOGUE[name].kind == "pixels":
        return min(settings.n_resamples, _PIXEL_RESAMPLES)
    if name in ("fid", "r_fid"):
        return min(settings.n_resamples, _FID_RESAMPLES)
    return settings.n_resamples

"""Image sets stacked for resampling: metrics of row numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.metrics.inception import inception_score
from rl2qc.metrics.matrices import RowMetrics
from rl2qc.metrics.rl2 import rl2
from rl2qc.scoring.image_sets import ImageSet, at_most
from rl2qc.scoring.pixels import SwdRows, read_sample
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import CATALOGUE, chosen_metrics

__all__ = ["RESAMPLED_AT_MOST", "RowMetric", "Stack", "feature_stack", "pixel_stack"]

_Rows: TypeAlias = NDArray[np.intp]
RowMetric: TypeAlias = Callable[[_Rows, _Rows], float]
"""A metric of (real, generated) row numbers of a stack."""
# Images of a set that resamples draw from: their distance matrix is held in memory.
RESAMPLED_AT_MOST = 1000


@dataclass(frozen=True, eq=False)
class Stack:
    """Rows of several sets, numbered through, and metrics of row numbers.

    Attributes
    ----------
    rows
        Row numbers of each set, the real one first.
    images
        Which image of its set each row is.
    groups
        Slide of each row by set, or None.
    metrics
        By name.
    """

    rows: tuple[_Rows, ...]
    images: tuple[_Rows, ...]
    groups: tuple[NDArray[np.str_] | None, ...]
    metrics: Mapping[str, RowMetric]
    features: RowMetrics | None = None


def feature_stack(
    sets: Sequence[ImageSet], settings: ScoreSettings, held_out: ImageSet | None = None
) -> Stack:
    """Features, latents and likelihoods of at most 1,000 images of each set.

    ``held_out`` serves the metrics that need real images beside the real set; its rows, which are
    never resampled, are none of the stack's.
    """
    n_scored = len(sets)
    sets = [*sets, *([] if held_out is None else [held_out])]
    images = [at_most(len(s), RESAMPLED_AT_MOST, settings.seed) for s in sets]
    rows = _numbered(images)
    groups = [None if s.groups is None else s.groups[i] for s, i in zip(sets, images, strict=True)]
    metrics: dict[str, RowMetric] = {}
    stacked = None
    if (features := _joined([s.features for s in sets], images)) is not None:
        # A slide of one set is none of another's.
        labels = np.concatenate(
            [
                np.array([f"{n}:{label}" for label in (np.arange(len(i)) if g is None else g)])
                for n, (g, i) in enumerate(zip(groups, images, strict=True))
            ]
        )
        stacked = RowMetrics(
            features,
            k=settings.k,
            prdc_k=settings.prdc_k,
            prdc_convention=settings.prdc_convention,
            distance=settings.distance,
            groups=None if settings.group_pattern is None else labels,
            held_out=None if held_out is None else rows[-1],
            seed=settings.seed,
        )
        metrics |= _feature_metrics(stacked)
    if (latents := _joined([s.latents for s in sets], images)) is not None:
        metrics["rl2"] = lambda a, b: rl2(latents[a], latents[b]).value
    if (scores := _joined([s.log_likelihood for s in sets], images)) is not None:
        metrics |= _likelihood_metrics("mean_log_likelihood", scores, np.mean)
        metrics |= _likelihood_metrics("median_log_likelihood", scores, np.median)
    if (keep := _joined([s.keep for s in sets], images)) is not None:
        metrics |= _likelihood_metrics("kept_fraction", keep, np.mean)
    if any(s.probabilities is not None for s in sets):
        metrics["inception_score"] = _inception_score(sets, images, settings.seed)
    scored = slice(n_scored)
    return Stack(rows[scored], tuple(images[scored]), tuple(groups[scored]), metrics, stacked)


def pixel_stack(
    sets: Sequence[ImageSet], settings: ScoreSettings
) -> tuple[Stack, list[NDArray[np.uint8]]]:
    """A bounded number of images of each set, read once, and metrics of their patches."""
    samples = [read_sample(s.source, settings.seed) for s in sets]
    images = [rows for _, rows in samples]
    groups = [None if s.groups is None else s.groups[i] for s, i in zip(sets, images, strict=True)]
    pixels = [p for p, _ in samples]
    metrics: dict[str, RowMetric] = {}
    if "swd" in chosen_metrics(settings.metrics):
        metrics["swd"] = SwdRows(*pixels, seed=settings.seed)
    return Stack(_numbered(images), tuple(images), tuple(groups), metrics), pixels


def _feature_metrics(stacked: RowMetrics) -> dict[str, RowMetric]:
    def of_neighbours(name: str) -> RowMetric:
        def metric(real: _Rows, generated: _Rows) -> float:
            values = stacked.neighbours(real, generated)
            if name not in values:
                raise ValueError("too few images, or a real set without any spread")
            return values[name]

        return metric

    direct: dict[str, RowMetric] = {
        "fid": stacked.fid,
        "r_fid": stacked.r_fid,
        "kid": stacked.kid,
        "irs_adjusted": stacked.irs_adjusted,
        "nearer_train": stacked.nearer_train,
    }
    return {
        name: direct.get(name) or of_neighbours(name)
        for name, spec in CATALOGUE.items()
        if spec.kind == "features"
    }


def _likelihood_metrics(
    name: str,
    values: NDArray[np.generic],
    reduce: Callable[[Any], Any],
) -> dict[str, RowMetric]:
    return {
        f"{name}_real": lambda real, generated: float(reduce(values[real])),
        f"{name}_generated": lambda real, generated: float(reduce(values[generated])),
    }


def _inception_score(sets: Sequence[ImageSet], images: Sequence[_Rows], seed: int) -> RowMetric:
    """Of sets without probabilities the metric raises ValueError."""
    blocks = [s.probabilities for s in sets]
    width = max(p.shape[1] for p in blocks if p is not None)
    stacked = np.concatenate(
        [
            np.full((len(i), width), np.nan) if p is None else p[i]
            for p, i in zip(blocks, images, strict=True)
        ]
    )

    def metric(real: _Rows, generated: _Rows) -> float:
        p = stacked[generated]
        if np.isnan(p).any():
            raise ValueError("the classifier's probabilities of real images are not known")
        return inception_score(p, seed=seed).value

    return metric


def _numbered(images: Sequence[_Rows]) -> tuple[_Rows, ...]:
    ends = np.cumsum([len(i) for i in images])
    return tuple(np.arange(end - len(i), end) for i, end in zip(images, ends, strict=True))


def _joined(
    parts: Sequence[NDArray[np.generic] | None], images: Sequence[_Rows]
) -> NDArray[np.generic] | None:
    known = [part[i] for part, i in zip(parts, images, strict=True) if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None

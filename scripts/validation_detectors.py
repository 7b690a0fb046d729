"""Detectors to choose from: the package's, its parts, others of other sizes, and those of papers.

A detector is fitted to :class:`Validation` patches and gives the scores of its calibrating rows,
and a function that scores statistics (:data:`DETECTORS`, by what they are called in tables).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.density.ppca import PPCA
from rl2qc.model.detectors.base import FILTER_SCORE, Reference
from rl2qc.model.detectors.combined import shortfall
from rl2qc.model.detectors.folds import fold_rows
from rl2qc.model.detectors.probe import DamageProbe, ProbeDetector
from rl2qc.model.detectors.stages import StageDetector
from rl2qc.model.network.backbone import POOLED, STAGE_WIDTHS
from rl2qc.model.training.flow import fit_density

__all__ = ["DETECTORS", "Detect", "Score", "Validation"]

Score = Callable[[np.ndarray], np.ndarray]
Detect = Callable[["Validation"], tuple[np.ndarray, Score]]


@dataclass(frozen=True)
class Validation:
    """Statistics of clean patches and of a damaged copy of each, and which of them calibrate."""

    clean: np.ndarray
    damaged: np.ndarray
    groups: np.ndarray
    calibrates: np.ndarray


def package(part: str) -> Detect:
    """The package's detector, or a part of it."""

    def detect(of: Validation) -> tuple[np.ndarray, Score]:
        reference = Reference(
            of.clean,
            fold_rows(len(of.clean), of.groups.tolist(), 0),
            damaged=of.damaged,
            sources=np.arange(len(of.clean)),
        )
        stages, probe = StageDetector().fit(reference), ProbeDetector().fit(reference)

        def parts(scores: dict[str, np.ndarray]) -> np.ndarray:
            return shortfall(scores) if part == FILTER_SCORE else scores[part]

        calibration = parts({"stages": stages.out_of_fold_, "probe": probe.out_of_fold_})
        return calibration[of.calibrates], lambda y: parts(
            {"stages": stages.scores(y), "probe": probe.scores(y)}
        )

    return detect


def stages(components: int, clusters: int) -> Detect:
    """Densities of the stages alone, of other sizes."""

    def detect(of: Validation) -> tuple[np.ndarray, Score]:
        fold = fold_rows(len(of.clean), of.groups.tolist(), 0)
        fitted = StageDetector(components, clusters).fit(Reference(of.clean, fold))
        return fitted.out_of_fold_[of.calibrates], fitted.scores

    return detect


def one_stage(stage: str) -> Detect:
    """The density of one stage, without clusters."""
    ends = dict(zip(STAGE_WIDTHS, np.cumsum([2 * w for w in STAGE_WIDTHS.values()]), strict=True))
    columns = slice(ends[stage] - 2 * STAGE_WIDTHS[stage], ends[stage])

    def fit(x: np.ndarray, _: np.ndarray) -> Score:
        density = PPCA.fit(x[:, columns], 64)
        return lambda y: density.log_likelihood(y[:, columns])

    return split(fit)


def probe(C: float) -> Detect:
    """The probe with another penalty."""

    def detect(of: Validation) -> tuple[np.ndarray, Score]:
        fold = fold_rows(len(of.clean), of.groups.tolist(), 0)
        found = np.empty(len(of.clean))
        for f in np.unique(fold):
            out = fold == f
            fitted = DamageProbe(C).fit(of.clean[~out], of.damaged[~out])
            found[out] = fitted.score_samples(of.clean[out])
        return found[of.calibrates], DamageProbe(C).fit(of.clean, of.damaged).score_samples

    return detect


def split(fit: Callable[[np.ndarray, np.ndarray], Score]) -> Detect:
    """A score that needs patches held out: fitted to the rest, calibrated on them."""

    def detect(of: Validation) -> tuple[np.ndarray, Score]:
        held = of.calibrates
        if held.all():
            held = fold_rows(len(of.clean), of.groups.tolist(), 0) == 0
        score = fit(of.clean[~held], of.clean[held])
        return score(of.clean[held]), score

    return detect


def mahalanobis(x: np.ndarray, _: np.ndarray) -> Score:
    model = LedoitWolf().fit(x[:, POOLED])
    return lambda y: -model.mahalanobis(y[:, POOLED])


def knn(x: np.ndarray, _: np.ndarray) -> Score:
    mean, std = x[:, POOLED].mean(0), x[:, POOLED].std(0) + 1e-6
    model = NearestNeighbors(n_neighbors=5).fit((x[:, POOLED] - mean) / std)
    return lambda y: -model.kneighbors((y[:, POOLED] - mean) / std)[0].mean(1)


def flow(components: int, layers: int) -> Detect:
    """The paper's: a flow on the pooled features."""
    return split(lambda x, held: _flow(x, held, POOLED, components, layers))


def gaussian(x: np.ndarray, _: np.ndarray) -> Score:
    density = PPCA.fit(x[:, POOLED], 128)
    return lambda y: density.log_likelihood(y[:, POOLED])


def flow_per_stage(x: np.ndarray, held: np.ndarray) -> Score:
    ends = np.cumsum([0] + [2 * w for w in STAGE_WIDTHS.values()]).tolist()
    found = []
    for columns in (slice(a, b) for a, b in pairwise(ends)):
        score = _flow(x, held, columns, 64, 8)
        median, low = np.quantile(score(held), [0.5, 0.1587])
        found.append((score, median, median - low))
    return lambda y: np.min([(s(y) - m) / d for s, m, d in found], axis=0)


def _flow(x: np.ndarray, held: np.ndarray, columns: slice, components: int, layers: int) -> Score:
    train, stop = (torch.from_numpy(a[:, columns].copy()) for a in (x, held))
    components = min(components, len(x) // 8)
    density = FeatureDensity(train.shape[1], components, layers=layers, hidden=128, seed=0)
    fit_density(density, train, stop, seed=0)
    density.eval()

    def score(y: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return density.log_prob(torch.from_numpy(y[:, columns].copy())).double().numpy()

    return score


DETECTORS: dict[str, Detect] = {
    "the package's: stages and probe": package(FILTER_SCORE),
    "its stages": package("stages"),
    "its probe": package("probe"),
    **{
        f"stages, {c} clusters of {m} components": stages(m, c)
        for c in (1, 2, 4, 6)
        for m in (16, 64)
    },
    **{f"probe, C {c:g}": probe(c) for c in (0.001, 0.1, 1)},
    **{f"{s} alone, 64 components": one_stage(s) for s in STAGE_WIDTHS},
    "a flow a stage, 64 components": split(flow_per_stage),
    **{f"flow, pooled, {m} components, 8 layers": flow(m, 8) for m in (32, 64, 128)},
    **{f"flow, pooled, 64 components, {n} layers": flow(64, n) for n in (2, 4, 16)},
    "Gaussian in place of the flow, pooled": split(gaussian),
    "Mahalanobis (Ledoit-Wolf), pooled": split(mahalanobis),
    "kNN, pooled": split(knn),
}

"""Fit the parts of a quality model to clean reference patches, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rl2qc.core.progress import Progress
from rl2qc.errors import UsageError
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.images.sources.base import Patches, PatchSource
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.detectors.base import Reference
from rl2qc.model.detectors.book import DetectorSet
from rl2qc.model.detectors.folds import reference_folds
from rl2qc.model.network.backbone import FEATURE_DIM, POOLED
from rl2qc.model.network.statistics import Statistics, StatisticsExtractor
from rl2qc.model.parts import History, ModelParts
from rl2qc.model.storage import Trunk, load_backbone
from rl2qc.model.training.flow import fit_flow, fit_jointly
from rl2qc.model.training.reference import ReferencePass, measure_again, read_reference
from rl2qc.model.training.selection import Selection, select_patches
from rl2qc.model.training.settings import TrainSettings
from rl2qc.model.training.split import Split, split_patches
from rl2qc.model.training.suspects import damaged_patches, suspects

__all__ = ["Fitted", "fit_reference"]

# Evidence of damage that one clean patch in a hundred has, and the share of a reference that may.
_SURE, _SOME = 0.01, 0.03
# Of a patch, at its edges: no more than this is by chance of one colour.
_PADDED = 1 / 16


@dataclass(frozen=True, eq=False)
class Fitted:
    """The parts of a model, and what it was fitted to.

    Attributes
    ----------
    parts
    source
        Training and held-out patches.
    statistics : (n, 2048) float32
        Theirs, by the model's backbone.
    groups
        Theirs; None where each patch is on its own.
    """

    parts: ModelParts
    source: PatchSource
    statistics: Statistics
    groups: list[str] | None


def fit_reference(
    patches: Patches,
    settings: TrainSettings,
    *,
    held_out: Patches | None = None,
    groups: Sequence[str] | None = None,
    progress: bool | Progress = False,
) -> Fitted:
    """Fit everything: the flow, the backbone too if asked for, detectors, calibration, quantities.

    Parameters and errors are those of :meth:`rl2qc.model.quality.QualityModel.fit`, which like
    ``rl2qc train`` comes here.
    """
    trunk = load_backbone(settings.backbone, settings.seed)
    if settings.mode == "joint":
        # What was taught of another backbone's maps says nothing of this one's.
        trunk = replace(trunk, head=None, branch=None, prior=None)
    chosen = select_patches(
        patches, settings, held_out=held_out, groups=groups, backbone_mpp=trunk.mpp
    )
    # What cannot be split is told before the long part.
    split_patches(*_rule(chosen, settings))
    extractor, found = _read(chosen.source, trunk, settings, progress)
    margins = _margin_warnings(found, chosen.source.names)
    if settings.uncurated:
        found, chosen, unsorted, more = _without_suspects(found, chosen, trunk, settings)
        said: tuple[str, ...] = (more,)
    else:
        unsorted, said = None, _damage_warnings(found, chosen.source.names, trunk)
    split = split_patches(
        *_rule(chosen, settings), duplicates=found.duplicates, names=chosen.source.names
    )
    found, density, history = _fit_density(found, split, extractor, settings, progress)
    if unsorted is not None and settings.mode == "joint":
        unsorted = unsorted.measured_again(extractor, settings.seed)
    detectors, calibration = DetectorSet.fit(
        Reference(
            clean=found.statistics,
            fold=reference_folds(found.statistics[:, POOLED], split.groups, settings.seed),
            damaged=found.damaged,
            sources=found.sources,
            held=split.held,
            apart=chosen.n_apart is not None,
            density=density,
            prior=trunk.prior,
            seed=settings.seed,
            counts=None if unsorted is None else unsorted.counts,
            rare=None if unsorted is None else unsorted.rare.statistics,
        )
    )
    parts = ModelParts(
        backbone=trunk.backbone,
        density=density,
        patch_size=chosen.source.size,
        mpp=settings.mpp,
        detectors=detectors,
        calibration=calibration,
        reference_latent_mean=density.latents_of(found.statistics[split.train][:, POOLED]).mean(0),
        quantities=ReferenceQuantities.fit(found.quantities),
        history=history,
        provenance=_provenance(trunk.origin, settings, chosen, split),
        head=trunk.head,
        branch=trunk.branch,
        taught=_taught(trunk, found),
        warnings=(*said, *chosen.warnings, *margins, *split.warnings),
    )
    return Fitted(parts, chosen.source, found.statistics, split.groups)


def _rule(
    chosen: Selection, settings: TrainSettings
) -> tuple[int, int | None, list[str] | None, float, int]:
    """What the split follows."""
    return len(chosen), chosen.n_apart, chosen.groups, settings.holdout, settings.seed


def _read(
    source: PatchSource, trunk: Trunk, settings: TrainSettings, progress: bool | Progress
) -> tuple[StatisticsExtractor, ReferencePass]:
    """What the backbone finds of every patch."""
    extractor = StatisticsExtractor(
        trunk.backbone,
        batch_size=settings.batch_size,
        device=settings.device,
        head=trunk.head,
        branch=trunk.branch,
        lines=trunk.prior is not None and trunk.prior.lines,
    )
    return extractor, read_reference(
        source,
        extractor,
        seed=settings.seed,
        keep_pixels=settings.mode == "joint",
        progress=progress,
    )


@dataclass(frozen=True, eq=False)
class _Unsorted:
    """Of a reference that nobody sorted, what calibrates of what is learnt from, (n,) bool, and
    what is rare among clean patches: it is not learnt from, but calibrates."""

    counts: NDArray[np.bool_]
    rare: ReferencePass

    def measured_again(self, extractor: StatisticsExtractor, seed: int) -> _Unsorted:
        """By a backbone that was trained since."""
        if not len(self.rare.statistics):
            return self
        return replace(self, rare=measure_again(self.rare, extractor, seed=seed))


def _without_suspects(
    found: ReferencePass, chosen: Selection, trunk: Trunk, settings: TrainSettings
) -> tuple[ReferencePass, Selection, _Unsorted, str]:
    """What is learnt from of an unsorted reference, and how much is not.

    Raises
    ------
    UsageError
        Hardly anything is left, so that what is usual cannot be told.
    """
    hue = found.quantities[:, QUANTITIES.index("odd_hue")]
    out, stands = suspects(
        found.statistics, chosen.groups, trunk.prior, odd_hue=hue, seed=settings.seed
    )
    rows, count = np.flatnonzero(~out), len(out)
    said = f"{out.sum()} of {count} patches ({out.mean():.0%}) look damaged or unlike the rest"
    if 2 * out.sum() > count:
        raise UsageError(
            f"{said}: what is usual cannot be told from so few; sort them, or give more slides"
        )
    apart, rare = chosen.n_apart, np.flatnonzero(out & stands)
    if apart is not None:
        # Those that were given to be held out alone calibrate.
        rare = rare[rare >= count - apart]
        apart = int((rows >= count - apart).sum())
    groups = None if chosen.groups is None else [chosen.groups[i] for i in rows]
    left = replace(chosen, source=chosen.source.take(rows), n_apart=apart, groups=groups)
    unsorted = _Unsorted(stands[rows], found.take(rare))
    return found.take(rows), left, unsorted, f"{said}, and were not learnt from"


def _damage_warnings(found: ReferencePass, names: Sequence[str], trunk: Trunk) -> tuple[str, ...]:
    """What is to be said of a sorted reference that shows what the backbone knows as damage."""
    seen = damaged_patches(found.statistics, trunk.prior, _SURE)
    if seen.mean() <= _SOME:
        return ()
    return (
        f"{seen.sum()} of {len(seen)} reference patches look damaged, such as "
        f"{names[int(seen.argmax())]}: look at them (--review), or leave out what looks so "
        "(--uncurated)",
    )


def _margin_warnings(found: ReferencePass, names: Sequence[str]) -> list[str]:
    """What is to be said of padded patches, and of those without any picture; UsageError where most
    are such."""

    def said(rows: NDArray[np.int64], what: str) -> str:
        return f"{len(rows)} of {len(names)} reference patches {what}, such as {names[rows[0]]}"

    lines = []
    flat = np.flatnonzero(found.margin == 1)
    if len(flat):
        line = said(flat, "are of one colour all over")
        if 2 * len(flat) > len(names):
            raise UsageError(f"{line}: give patches of clean tissue")
        lines.append(f"{line}: leave them out, or what is empty passes for clean")
    padded = np.flatnonzero((found.margin > _PADDED) & (found.margin < 1))
    if len(padded):
        line = said(padded, "have a margin of one colour")
        lines.append(f"{line}: if that is padding, crop it, or padding passes for clean")
    return lines


def _taught(trunk: Trunk, found: ReferencePass) -> NDArray[np.uint8]:
    """Digests of the patches, and of the images that taught the backbone, each once in order."""
    before = [] if trunk.taught is None else [trunk.taught]
    return np.unique(np.concatenate([*before, found.digests]), axis=0)


def _fit_density(
    found: ReferencePass,
    split: Split,
    extractor: StatisticsExtractor,
    settings: TrainSettings,
    progress: bool | Progress,
) -> tuple[ReferencePass, FeatureDensity, History]:
    """The flow, and in joint mode the backbone with it; what is then found of the patches."""
    # A component needs several patches to be estimated from.
    n_components = min(settings.n_components, FEATURE_DIM, max(2, len(split.train) // 8))
    density = FeatureDensity(
        FEATURE_DIM,
        n_components,
        layers=settings.layers,
        hidden=settings.hidden,
        seed=settings.seed,
    )
    # What the caller leaves out is for the steps to choose.
    named = {"epochs": settings.epochs, "learning_rate": settings.learning_rate}
    changes = {name: value for name, value in named.items() if value is not None}
    joint = settings.mode == "joint"
    features = torch.from_numpy(found.statistics[:, POOLED].copy())
    history = fit_flow(
        density,
        features[split.train],
        features[split.held],
        changes={} if joint else changes,
        seed=settings.seed,
        progress=progress,
    )
    if joint:
        assert found.pixels is not None
        images = found.pixels[split.train], found.pixels[split.held]
        history = fit_jointly(
            extractor, density, images, changes=changes, seed=settings.seed, progress=progress
        )
        found = measure_again(found, extractor, seed=settings.seed, progress=progress)
    return found, density, history


def _provenance(
    origin: str, settings: TrainSettings, chosen: Selection, split: Split
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "backbone": origin,
        "mode": settings.mode,
        "n_train": len(split.train),
        "n_held_out": len(split.held),
        "n_groups": None if split.groups is None else len(set(split.groups)),
        "seed": settings.seed,
        "torch": torch.__version__,
    }
    more = {"n_slides": chosen.n_slides, "n_excluded": chosen.n_excluded}
    return made | {name: value for name, value in more.items() if value is not None}

"""Fit the parts of a quality model to clean reference patches, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from rl2qc.errors import CheckpointError, UsageError
from rl2qc.images.quantities import image_quantities
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.images.sources.base import Patches, as_source, batches
from rl2qc.model.density.features import FeatureDensity, log_likelihood
from rl2qc.model.detectors.book import MAX_REFERENCE, SCORES, ScoreBook
from rl2qc.model.detectors.combined import Detector
from rl2qc.model.detectors.folds import groups_by_look
from rl2qc.model.network.backbone import (
    FEATURE_DIM,
    POOLED,
    ResNet18Features,
    load_weights,
    round_to_half,
)
from rl2qc.model.network.statistics import Rows, Statistics, StatisticsExtractor
from rl2qc.model.parts import ModelParts
from rl2qc.model.storage import read_model
from rl2qc.model.training.flow import _fit_flow, _fit_jointly
from rl2qc.model.training.reference import _damaged_statistics
from rl2qc.model.training.split import join_held_out, split_rows
from rl2qc.model.zoo import find_checkpoint

__all__ = ["Mode", "fit_parts"]

Mode = Literal["frozen", "joint"]


def fit_parts(
    patches: Patches,
    *,
    backbone: str | Path,
    mode: Mode,
    patch_size: int | None,
    mpp: float | None,
    groups: Sequence[str] | None,
    holdout: float,
    held_out: Patches | None,
    n_components: int,
    layers: int,
    hidden: int,
    epochs: int | None,
    learning_rate: float | None,
    batch_size: int,
    seed: int,
    device: str | torch.device | None,
    progress: bool,
) -> ModelParts:
    """Fit everything: the flow, the backbone too if asked for, detector, calibration, quantities.

    Parameters, their defaults and errors are those of
    :meth:`rl2qc.model.quality.QualityModel.fit`.
    """
    if mode not in ("frozen", "joint"):
        raise UsageError(f"mode must be frozen or joint, got {mode!r}")
    if not 0 < holdout < 1:
        raise UsageError(f"holdout must lie between 0 and 1, got {holdout}")
    source = as_source(patches, patch_size)
    if held_out is None:
        train, held = split_rows(len(source), holdout, groups, seed)
    else:
        source, train, held = join_held_out(source, as_source(held_out, source.size))
    if groups is not None and len(groups) != len(source):
        raise UsageError(f"{len(groups)} groups for {len(source)} patches")
    # A component needs several patches to be estimated from.
    n_components = min(n_components, FEATURE_DIM, max(2, len(train) // 8))

    trunk = ResNet18Features()
    origin = _load_backbone(trunk, backbone, seed)
    round_to_half(trunk)
    extractor = StatisticsExtractor(trunk, batch_size=batch_size, device=device)
    density = FeatureDensity(FEATURE_DIM, n_components, layers=layers, hidden=hidden, seed=seed)
    statistics = extractor.of_source(source, progress=progress)
    # What the caller leaves out is for the steps to choose.
    options = {"epochs": epochs, "learning_rate": learning_rate}
    options = {name: value for name, value in options.items() if value is not None}
    history = _fit_flow(
        density, statistics, train, held, seed, progress, options if mode == "frozen" else {}
    )
    if mode == "joint":
        images = np.concatenate(list(batches(source, 256)))
        history = _fit_jointly(extractor, density, images, train, held, seed, progress, options)
        statistics = extractor.of_source(as_source(images, source.size))
    detector = _fit_detector(
        statistics,
        _damaged_statistics(extractor, source, seed, progress),
        groups,
        # A given hold-out is one that the backbone never saw: it alone calibrates.
        held if held_out is not None else np.arange(len(source)),
        seed,
    )
    scores = _score_book(density, detector, statistics[:, POOLED], train, held, seed)
    return ModelParts(
        backbone=trunk,
        density=density,
        patch_size=source.size,
        mpp=mpp,
        scores=scores,
        calibration=_calibration(scores, statistics[held]),
        reference_latent_mean=density.latents_of(statistics[train][:, POOLED]).mean(0),
        quantities=ReferenceQuantities.fit(
            [image_quantities(image) for images in batches(source, batch_size) for image in images]
        ),
        history=history,
        provenance={
            "backbone": origin,
            "mode": mode,
            "n_train": len(train),
            "n_held_out": len(held),
            "n_groups": len(set(groups)) if groups is not None else None,
            "seed": seed,
            "torch": torch.__version__,
        },
    )


def _load_backbone(trunk: ResNet18Features, source: str | Path, seed: int) -> str:
    """Weights from a model (shipped or file) or from anything that load_weights takes."""
    if source in ("imagenet", "random"):
        return load_weights(trunk, source, seed=seed)
    path = Path(source) if Path(source).is_file() else find_checkpoint(source)
    try:
        parts, digest = read_model(path)
    except CheckpointError:
        return load_weights(trunk, path)  # plain weights
    trunk.load_state_dict(parts.backbone.state_dict())
    return f"{path.stem} ({digest[:12]})"


def _fit_detector(
    statistics: Statistics,
    damaged: tuple[Statistics, Rows],
    groups: Sequence[str] | None,
    calibrates: Rows,
    seed: int,
) -> Detector:
    if groups is None:
        groups = groups_by_look(statistics[:, POOLED], seed)
    calibrating = np.isin(np.arange(len(statistics)), calibrates)
    return Detector(seed).fit(statistics, *damaged, groups, calibrating)


def _score_book(
    density: FeatureDensity,
    detector: Detector,
    features: Statistics,
    train: Rows,
    held: Rows,
    seed: int,
) -> ScoreBook:
    rows = train[np.sort(np.random.default_rng(seed).permutation(len(train))[:MAX_REFERENCE])]
    return ScoreBook(
        density,
        detector,
        # As stored: half precision.
        features[rows].astype(np.float16).astype(np.float32),
        float(np.median(log_likelihood(density, features[held]))),
    )


def _calibration(scores: ScoreBook, held: Statistics) -> dict[str, NDArray[np.float64]]:
    """The detector's scores out of fold, and the others' of held-out patches."""
    calibration = scores.detector.calibration_
    others = [name for name in SCORES if name not in calibration]
    return calibration | {str(name): found for name, found in scores(held, others).items()}

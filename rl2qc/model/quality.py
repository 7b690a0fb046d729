"""The quality model: a backbone, the density of its features on clean patches, a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.threads import one_thread
from rl2qc.errors import UsageError
from rl2qc.images.sources.base import Patches, PatchSource, as_source
from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.detectors.book import FILTER_SCORE, SCORES, Score
from rl2qc.model.network.backbone import POOLED, ResNet18Features
from rl2qc.model.network.runtime import Engine
from rl2qc.model.network.statistics import StatisticsExtractor
from rl2qc.model.parts import ModelParts
from rl2qc.model.storage import read_model, write_model
from rl2qc.model.training.fit import Mode, fit_parts
from rl2qc.model.zoo import find_checkpoint

__all__ = ["DEFAULT_MODEL", "QualityModel"]

DEFAULT_MODEL = "histology"


class QualityModel:
    """What clean patches look like, as a density of ResNet-18 features.

    Made by :meth:`fit` or :meth:`load`. Wherever patches are asked for, anything that
    :func:`rl2qc.images.sources.base.as_source` reads will do: paths, an array (n, h, w, 3) uint8, a
    torch Dataset.

    Attributes
    ----------
    patch_size
        Side of a patch in px.
    mpp
        Microns per pixel of the reference, or None if it was not recorded.
    name
        Name of the checkpoint, "unsaved" before :meth:`save`.
    sha256
        Hash of the checkpoint, "" before :meth:`save`.
    calibration_ : dict of (m,) float64
        Scores of clean patches that the score was not fitted to, by its name.
    reference_latent_mean_ : (512,) float32
        Mean latent of the training patches.
    scores_ : ScoreBook
        The fitted scores.
    quantities_
        Usual focus, colour and noise of the reference, from which reasons are told.
    history_
        Loss per epoch.
    provenance
        How the model was made.
    extractor
        What turns patches into the statistics that every score rests on.
    """

    def __init__(
        self,
        parts: ModelParts,
        *,
        name: str = "unsaved",
        sha256: str = "",
        batch_size: int = 32,
        device: str | torch.device | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.extractor = StatisticsExtractor(
            parts.backbone, batch_size=batch_size, device=device, engine=engine
        )
        # The flow is small and wants float32 everywhere: it stays on the CPU.
        self.density = parts.density.eval()
        self.patch_size, self.mpp = parts.patch_size, parts.mpp
        self.scores_, self.calibration_ = parts.scores, parts.calibration
        self.reference_latent_mean_ = parts.reference_latent_mean
        self.quantities_ = parts.quantities
        self.history_, self.provenance = parts.history, parts.provenance
        self.name, self.sha256 = name, sha256

    def __repr__(self) -> str:
        mpp = f"{self.mpp:g} um/px" if self.mpp else "unknown resolution"
        return f"QualityModel({self.name!r}, {self.patch_size} px at {mpp})"

    @property
    def backbone(self) -> ResNet18Features:
        """The network."""
        return self.extractor.backbone

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self.extractor.device

    @property
    def batch_size(self) -> int:
        """Patches taken at a time."""
        return self.extractor.batch_size

    @batch_size.setter
    def batch_size(self, patches: int) -> None:
        self.extractor.batch_size = patches

    # --- making one ------------------------------------------------------------------------

    @classmethod
    def fit(
        cls,
        patches: Patches,
        *,
        backbone: str | Path = DEFAULT_MODEL,
        mode: Mode = "frozen",
        patch_size: int | None = None,
        mpp: float | None = None,
        groups: Sequence[str] | None = None,
        holdout: float = 0.2,
        held_out: Patches | None = None,
        n_components: int = 128,
        layers: int = 8,
        hidden: int = 128,
        epochs: int | None = None,
        learning_rate: float | None = None,
        batch_size: int = 32,
        seed: int = 0,
        device: str | torch.device | None = None,
        progress: bool = False,
    ) -> QualityModel:
        """Fit a model to clean reference patches.

        Parameters
        ----------
        patches
            At least :data:`~rl2qc.model.training.split.MIN_PATCHES` clean patches.
        backbone
            "histology" (the shipped model's), another model file, "imagenet", "random" or a
            weights file.
        mode
            "frozen" fits the density on fixed features; "joint" then trains backbone and flow
            together, as the RL2 paper does, and stops when features collapse.
        patch_size
            Side in px; None takes the commonest short side of the patches, at most 256.
        mpp
            Microns per pixel of the patches, recorded for reading slides.
        groups
            Slide or patient of each patch (then of each in ``held_out``): no group is split between
            training and hold-out, nor between the folds that calibrate. None: the folds keep
            together what looks alike.
        holdout
            Share held out for early stopping and calibration.
        held_out
            Clean patches to hold out instead; every one of ``patches`` then trains.
        n_components
            Whitened components that the flow models.
        epochs, learning_rate
            Of the flow (300, 1e-3), or of the joint steps that follow it (5, 1e-5).
        seed
            Equal seeds give equal models on one machine.

        Raises
        ------
        UsageError
            Too few patches, or an impossible option.
        ImageError
            Patches that cannot be read or are too small.
        WorkError
            Training failed: features collapsed, or the loss is not finite.
        """
        parts = fit_parts(
            patches,
            backbone=backbone,
            mode=mode,
            patch_size=patch_size,
            mpp=mpp,
            groups=groups,
            holdout=holdout,
            held_out=held_out,
            n_components=n_components,
            layers=layers,
            hidden=hidden,
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            seed=seed,
            device=device,
            progress=progress,
        )
        return cls(parts, batch_size=batch_size, device=device)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = DEFAULT_MODEL,
        *,
        device: str | torch.device | None = None,
        engine: Engine | None = None,
    ) -> QualityModel:
        """Load a shipped model by name, or a model file.

        Raises
        ------
        UsageError
            No such name or file.
        CheckpointError
            The file is truncated, foreign or altered.
        """
        path = find_checkpoint(name_or_path)
        parts, digest = read_model(path)
        return cls(parts, name=path.stem, sha256=digest, device=device, engine=engine)

    def save(self, path: str | Path, *, backbone_of: str | None = None) -> None:
        """Write the model to ``path``, a ``.safetensors`` file; backbone in half precision.

        ``backbone_of`` names a shipped model with the same backbone: the file then refers to that
        one's, and is a fifth of the size.
        """
        path = Path(path)
        parts = ModelParts(
            backbone=self.backbone,
            density=self.density,
            patch_size=self.patch_size,
            mpp=self.mpp,
            scores=self.scores_,
            calibration=self.calibration_,
            reference_latent_mean=self.reference_latent_mean_,
            quantities=self.quantities_,
            history=self.history_,
            provenance=self.provenance,
        )
        self.sha256 = write_model(parts, path, backbone_of=backbone_of)
        self.name = path.stem

    # --- using one -------------------------------------------------------------------------

    def features(self, patches: Patches, *, progress: bool = False) -> NDArray[np.float32]:
        """Backbone features (n, 512) float32.

        A :class:`PatchSource` is taken at its own size; anything else at ``patch_size``.
        """
        return self.statistics(patches, progress=progress)[:, POOLED].copy()

    def statistics(self, patches: Patches, *, progress: bool = False) -> NDArray[np.float32]:
        """Stage statistics (n, 2048) float32; columns ``POOLED`` are the features."""
        source = (
            patches if isinstance(patches, PatchSource) else as_source(patches, self.patch_size)
        )
        return self.extractor.of_source(source, progress=progress)

    def latents(self, patches: Patches) -> NDArray[np.float32]:
        """Latents (n, 512) float32: the flow's noise, in which RL2 is measured."""
        return self.latents_of_features(self.features(patches))

    def score_samples(
        self, patches: Patches, score: Score = "log_likelihood"
    ) -> NDArray[np.float64]:
        """A score (n,) float64 of each patch; higher is more normal.

        ``"log_likelihood"``, the default, is the flow's in nats; ``"detector"`` is the one that the
        filter decides by. :class:`~rl2qc.model.detectors.book.ScoreBook` lists all.
        """
        if score not in SCORES:
            raise UsageError(f"unknown score {score!r}: choose from {', '.join(SCORES)}")
        return self.scores_(self.statistics(patches), [score])[score]

    def p_values(self, patches: Patches, score: Score = FILTER_SCORE) -> NDArray[np.float64]:
        """Conformal p-value (n,) of each patch against the held-out clean patches."""
        return conformal_p_values(self.score_samples(patches, score), self.calibration_[score])

    def judge(self, statistics: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """What the filter records of statistics (n, 2048), (n,) each.

        ``score`` is the filter's, ``log_likelihood`` the flow's in nats, and ``p_value`` the
        score's.
        """
        found = self.scores_(np.asarray(statistics, np.float32), [FILTER_SCORE, "log_likelihood"])
        return {
            "score": found[FILTER_SCORE],
            "log_likelihood": found["log_likelihood"],
            "p_value": conformal_p_values(found[FILTER_SCORE], self.calibration_[FILTER_SCORE]),
        }

    def measure(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        """:meth:`judge` for one batch of images (b, patch_size, patch_size, 3) uint8."""
        statistics = self.extractor.of_batch(images)
        with one_thread():
            return self.judge(statistics)

    @property
    def runtime_name(self) -> str:
        """Runtime and version that compute the statistics, for the record."""
        return self.extractor.compiled(self.patch_size, self.patch_size).name

    def latents_of_features(self, features: ArrayLike) -> NDArray[np.float32]:
        """Latents (n, 512) float32 of features (n, 512)."""
        return self.density.latents_of(features)

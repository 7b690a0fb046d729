"""The quality model: a backbone, the density of its features on clean patches, a calibration."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.arguments import check_path
from rl2qc.core.progress import Progress
from rl2qc.core.renamed import OldNames, renamed
from rl2qc.errors import UsageError
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.images.sources.base import Patches, PatchSource
from rl2qc.images.sources.sizes import at_one_size
from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.network.backbone import POOLED, ResNet18Features
from rl2qc.model.network.runtime import Runtime
from rl2qc.model.network.statistics import StatisticsExtractor
from rl2qc.model.parts import ModelParts
from rl2qc.model.review import Review
from rl2qc.model.storage import read_model, write_model
from rl2qc.model.tiles import MeasuresTiles
from rl2qc.model.training.fit import fit_reference
from rl2qc.model.training.settings import TrainSettings
from rl2qc.model.zoo import DEFAULT_MODEL, find_checkpoint

__all__ = ["DEFAULT_MODEL", "QualityModel"]


class QualityModel(OldNames, MeasuresTiles):
    """What clean patches look like, as a density of ResNet-18 features.

    Made by :meth:`fit` or :meth:`load`. Wherever patches are asked for, anything that
    :func:`rl2qc.images.sources.base.as_source` reads will do: paths, an array (n, h, w, 3) uint8, a
    torch Dataset. They are taken at :attr:`patch_size`, or at their own size where they are
    smaller, with a warning: distances hold there, likelihoods and p-values are not calibrated.

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
    detectors_ : DetectorSet
        The fitted detectors, each of which gives a score.
    calibration_ : dict of (m,) float64
        Scores of clean patches that a detector was not fitted to, by its name.
    reference_latent_mean_ : (512,) float32
        Mean latent of the training patches.
    quantities_
        Usual focus, colour and noise of the reference, from which reasons are told.
    history_
        Loss per epoch.
    warnings_
        What training found odd; nothing once the model is loaded.
    review_
        The least likely patches of the reference, where :func:`rl2qc.train` was asked for them.
    provenance
        How the model was made.
    taught_ : (n, 8) uint8
        Digests of the images that taught it, its backbone among it
        (:func:`rl2qc.images.digest.pixel_digest`); None where they are not recorded.
    extractor
        What turns patches into the statistics that every score rests on.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> textures = rng.integers(0, 256, (100, 64, 64, 3), np.uint8)
    >>> model = QualityModel.fit(textures, backbone="random", epochs=1, device="cpu")
    >>> model.p_values(textures[:2]).shape, model.features(textures[:2]).shape
    ((2,), (2, 512))
    """

    old_names: ClassVar[Mapping[str, str]] = {
        "scores_": "detectors_",
        "forward_name": "runtime_name",
        "judge": "measure_statistics",
    }

    quantities_: ReferenceQuantities | None
    review_: Review | None = None

    def __init__(
        self,
        parts: ModelParts,
        *,
        name: str = "unsaved",
        sha256: str = "",
        batch_size: int = 32,
        device: str | torch.device | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self.extractor = StatisticsExtractor(
            parts.backbone,
            batch_size=batch_size,
            device=device,
            runtime=runtime,
            head=parts.head,
            branch=parts.branch,
            lines=parts.detectors.lines,
        )
        # The flow is small and wants float32 everywhere: it stays on the CPU.
        self.density = parts.density.eval()
        self.patch_size, self.mpp = parts.patch_size, parts.mpp
        self.detectors_, self.calibration_ = parts.detectors, parts.calibration
        self.reference_latent_mean_ = parts.reference_latent_mean
        self.quantities_ = parts.quantities
        self.history_, self.provenance = parts.history, parts.provenance
        self.taught_ = parts.taught
        self.warnings_ = parts.warnings
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
        settings: TrainSettings | None = None,
        *,
        held_out: Patches | None = None,
        groups: Sequence[str] | None = None,
        progress: bool | Progress = False,
        **changes: Any,
    ) -> QualityModel:
        """Fit a model to clean reference patches: the same that ``rl2qc train`` makes of them.

        Parameters
        ----------
        patches
            At least :data:`~rl2qc.model.training.split.MIN_PATCHES` clean patches.
        settings
            How; :class:`~rl2qc.model.training.settings.TrainSettings` says each option.
        held_out
            Clean patches to hold out; every one of ``patches`` then trains. None holds out a share
            of them, for early stopping and calibration.
        groups
            Slide or patient of each patch, then of each in ``held_out``: no group is split between
            training and hold-out, nor between the folds that calibrate. Without them, tiles of one
            image and near-duplicates are kept together, and the folds keep similar patches
            together.
        progress
            A bar on stderr, or a function that is called with what is done.
        changes
            Single options in place of ``settings``, or on top of them: ``mpp=0.5``.

        Returns
        -------
        QualityModel
            :attr:`warnings_` says what is odd about the patches.

        Raises
        ------
        UsageError
            Too few patches, or an impossible option.
        ImageError
            Patches that cannot be read or are too small.
        WorkError
            Training failed: features collapsed, or the loss is not finite.

        Examples
        --------
        >>> patches = np.random.default_rng(0).integers(0, 256, (100, 64, 64, 3), np.uint8)
        >>> model = QualityModel.fit(patches, backbone="random", epochs=1, mpp=0.5)
        >>> model
        QualityModel('unsaved', 64 px at 0.5 um/px)
        """
        resolved = TrainSettings.resolve(settings, changes)
        fitted = fit_reference(
            patches, resolved, held_out=held_out, groups=groups, progress=progress
        )
        return cls(fitted.parts, batch_size=resolved.batch_size, device=resolved.device)

    @classmethod
    @renamed(engine="runtime")
    def load(
        cls,
        name_or_path: str | Path = DEFAULT_MODEL,
        *,
        device: str | torch.device | None = None,
        runtime: Runtime | None = None,
    ) -> QualityModel:
        """Load a shipped model by name, or a model file.

        Parameters
        ----------
        name_or_path
        device
            Where the network runs: a GPU if there is one.
        runtime
            What runs it (:func:`rl2qc.model.network.runtime.compile_statistics`).

        Raises
        ------
        UsageError
            No such name or file.
        CheckpointError
            The file is truncated, foreign or altered.

        Examples
        --------
        >>> QualityModel.load("histology", device="cpu").patch_size
        224
        """
        path = find_checkpoint(name_or_path)
        parts, digest = read_model(path)
        return cls(parts, name=path.stem, sha256=digest, device=device, runtime=runtime)

    @classmethod
    def of(cls, model: QualityModel | str | Path) -> QualityModel:
        """A model by its name or file, or the one that is given.

        Raises
        ------
        UsageError
            It is none.

        Examples
        --------
        >>> QualityModel.of(5)
        Traceback (most recent call last):
        rl2qc.errors.UsageError: model must be a model, its name or its file, got 5
        """
        if isinstance(model, str | Path):
            return cls.load(model)
        # Whatever can stand in for one.
        if isinstance(model, type) or not hasattr(model, "patch_size"):
            raise UsageError(f"model must be a model, its name or its file, got {model!r}")
        return model

    def save(self, path: str | Path, *, backbone_of: str | None = None) -> None:
        """Write the model to ``path``, a ``.safetensors`` file; backbone in half precision.

        ``backbone_of`` names a shipped model with the same backbone: the file then refers to that
        one's, and is a fifth of the size.
        """
        path = check_path("path", path)
        parts = ModelParts(
            backbone=self.backbone,
            density=self.density,
            patch_size=self.patch_size,
            mpp=self.mpp,
            detectors=self.detectors_,
            calibration=self.calibration_,
            reference_latent_mean=self.reference_latent_mean_,
            quantities=self.quantities_,
            history=self.history_,
            provenance=self.provenance,
            head=self.extractor.head,
            branch=self.extractor.branch,
            taught=self.taught_,
        )
        self.sha256 = write_model(parts, path, backbone_of=backbone_of)
        self.name = path.stem

    # --- using one -------------------------------------------------------------------------

    def features(
        self, patches: Patches, *, progress: bool | Progress = False
    ) -> NDArray[np.float32]:
        """Backbone features (n, 512) float32."""
        patches = self.at_one_size(patches)
        return self.statistics(patches, evidence=False, progress=progress)[:, POOLED].copy()

    def statistics(
        self, patches: Patches, *, evidence: bool = True, progress: bool | Progress = False
    ) -> NDArray[np.float32]:
        """Stage statistics (n, 2048) float32, with evidence behind them where the network has a
        map and it is asked for; columns ``POOLED`` are the features.

        A :class:`~rl2qc.images.sources.base.PatchSource` is taken at its own size.
        """
        return self.extractor.of_source(self.at_one_size(patches), evidence, progress=progress)

    def at_one_size(self, patches: Patches) -> PatchSource:
        """Patches as a source of the size that the network sees, with a warning where it is not
        the model's, or where some were left out: rows are then of fewer images."""
        if isinstance(patches, PatchSource) and patches.size:
            return patches
        sources, odd = at_one_size({"patches": patches}, self.patch_size)
        for line in (*sources["patches"].warnings, *odd):
            warnings.warn(line, UserWarning, stacklevel=3)
        return sources["patches"]

    def latents(self, patches: Patches) -> NDArray[np.float32]:
        """Latents (n, 512) float32: the flow's noise, in which RL2 is measured."""
        return self.latents_of_features(self.features(patches))

    def score_samples(self, patches: Patches, score: str = "log_likelihood") -> NDArray[np.float64]:
        """A detector's score (n,) float64 of each patch; higher is more normal.

        Parameters
        ----------
        patches
        score
            Name of a detector: ``"log_likelihood"``, the default, is the flow's in nats;
            ``"combined"`` is the one that the filter decides by. ``detectors_.names`` has all.

        Raises
        ------
        UsageError
            The model has no such detector.
        """
        name = self.detectors_.resolve(score)
        return self.detectors_(self.statistics(patches), [name])[name]

    def p_values(self, patches: Patches, score: str | None = None) -> NDArray[np.float64]:
        """Conformal p-value (n,) of each patch against clean patches that took part in no fit; by
        the filter's score, or another detector's."""
        name = self.detectors_.resolve(score or self.filter_score)
        return conformal_p_values(self.score_samples(patches, name), self.calibration_[name])

    def latents_of_features(self, features: ArrayLike) -> NDArray[np.float32]:
        """Latents (n, 512) float32 of features (n, 512)."""
        return self.density.latents_of(features)

"""The quality model: a backbone, the density of its features on clean patches, a calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from tqdm import tqdm

from rl2qc.errors import CheckpointError, UsageError
from rl2qc.images.damage import random_damage
from rl2qc.images.quantities import image_quantities
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.images.sources import Patches, PatchSource, as_source, batches
from rl2qc.model.backbone import (
    FEATURE_DIM,
    POOLED,
    STATISTICS_DIM,
    ResNet18Features,
    load_weights,
    round_to_half,
)
from rl2qc.model.calibration import conformal_p_values
from rl2qc.model.checkpoint import (
    find_checkpoint,
    read_checkpoint,
    tensors_digest,
    write_checkpoint,
)
from rl2qc.model.density import FeatureDensity
from rl2qc.model.detector import Detector
from rl2qc.model.holdout import groups_by_look, join_held_out, split_rows
from rl2qc.model.inference import Engine, Forward, compile_statistics
from rl2qc.model.scores import (
    FILTER_SCORE,
    MAX_REFERENCE,
    SCORES,
    Score,
    ScoreBook,
    log_likelihood,
)
from rl2qc.model.training import History, fit_density, fit_joint

__all__ = ["DEFAULT_MODEL", "QualityModel"]

DEFAULT_MODEL = "histology"
Mode = Literal["frozen", "joint"]
# The probe wants about this many damaged patches; small references are damaged several times.
N_DAMAGED, MAX_COPIES = 600, 3


class QualityModel:
    """What clean patches look like, as a density of ResNet-18 features.

    Made by :meth:`fit` or :meth:`load`. Wherever patches are asked for, anything that
    :func:`rl2qc.images.sources.as_source` reads will do: paths, an array (n, h, w, 3) uint8, a
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
    quantities_
        Usual focus, colour and noise of the reference, from which reasons are told.
    history_
        Loss per epoch.
    provenance
        How the model was made.
    engine
        What computes the statistics (:func:`rl2qc.model.inference.compile_statistics`).
    """

    def __init__(
        self,
        backbone: ResNet18Features,
        density: FeatureDensity,
        *,
        patch_size: int,
        mpp: float | None,
        scores: ScoreBook | None = None,
        calibration: dict[str, NDArray[np.float64]],
        reference_latent_mean: NDArray[np.float32],
        quantities: ReferenceQuantities | None = None,
        history: History,
        provenance: dict[str, Any],
        name: str = "unsaved",
        sha256: str = "",
        batch_size: int = 32,
        device: str | torch.device | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.backbone = backbone.to(self.device).to(memory_format=torch.channels_last).eval()
        # The flow is small and wants float32 everywhere: it stays on the CPU.
        self.density = density.eval()
        self.patch_size, self.mpp = patch_size, mpp
        self._scores, self.calibration_ = scores, calibration
        self.reference_latent_mean_ = reference_latent_mean
        self.quantities_ = quantities
        self.history_, self.provenance = history, provenance
        self.name, self.sha256 = name, sha256
        self.batch_size = batch_size
        self.engine = engine
        self._compiled: Forward | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_compiled": None}  # compiled anew on the other side

    def __repr__(self) -> str:
        mpp = f"{self.mpp:g} um/px" if self.mpp else "unknown resolution"
        return f"QualityModel({self.name!r}, {self.patch_size} px at {mpp})"

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
            At least :data:`~rl2qc.model.holdout.MIN_PATCHES` clean patches.
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
        density = FeatureDensity(FEATURE_DIM, n_components, layers=layers, hidden=hidden, seed=seed)
        model = cls(
            trunk,
            density,
            patch_size=source.size,
            mpp=mpp,
            calibration={},
            reference_latent_mean=np.empty(0, np.float32),
            history=History(),
            provenance={
                "backbone": origin,
                "mode": mode,
                "n_train": len(train),
                "n_held_out": len(held),
                "n_groups": len(set(groups)) if groups is not None else None,
                "seed": seed,
                "torch": torch.__version__,
            },
            batch_size=batch_size,
            device=device,
        )
        statistics = model.statistics(source, progress=progress)
        features = torch.from_numpy(statistics[:, POOLED].copy())
        frozen_options = {"epochs": epochs, "learning_rate": learning_rate}
        frozen_options = {k: v for k, v in frozen_options.items() if v is not None}
        with _bar(progress, "fitting the flow") as bar:
            model.history_ = fit_density(
                density,
                features[train],
                features[held],
                seed=seed,
                progress=_reporter(bar),
                **(frozen_options if mode == "frozen" else {}),  # type: ignore[arg-type]
            )
        if mode == "joint":
            statistics = model._fit_joint(source, train, held, seed, progress, frozen_options)
            features = torch.from_numpy(statistics[:, POOLED].copy())
        model._calibrate(
            statistics,
            train,
            held,
            groups=groups,
            # A given hold-out is one that the backbone never saw: it alone calibrates.
            calibrates=held if held_out is not None else np.arange(len(source)),
            damaged=model._damaged_statistics(source, seed, progress),
            seed=seed,
        )
        model.quantities_ = ReferenceQuantities.fit(
            [image_quantities(image) for images in batches(source, batch_size) for image in images]
        )
        return model

    def _calibrate(
        self,
        statistics: NDArray[np.float32],
        train: NDArray[np.int64],
        held: NDArray[np.int64],
        *,
        groups: Sequence[str] | None,
        calibrates: NDArray[np.int64],
        damaged: tuple[NDArray[np.float32], NDArray[np.int64]],
        seed: int,
    ) -> None:
        """Fit what rests on the finished features: the other scores and the calibration."""
        features = statistics[train][:, POOLED]
        self.reference_latent_mean_ = self.latents_of_features(features).mean(0)
        rows = np.random.default_rng(seed).permutation(len(features))[:MAX_REFERENCE]
        if groups is None:
            groups = groups_by_look(statistics[:, POOLED], seed)
        detector = Detector(seed).fit(
            statistics, *damaged, groups, np.isin(np.arange(len(statistics)), calibrates)
        )
        self._scores = ScoreBook(
            self.density,
            detector,
            # As stored: half precision.
            features[np.sort(rows)].astype(np.float16).astype(np.float32),
            float(np.median(log_likelihood(self.density, statistics[held][:, POOLED]))),
        )
        others = [name for name in SCORES if name not in detector.calibration_]
        found = self.scores_(statistics[held], others)
        self.calibration_ = detector.calibration_ | {str(k): v for k, v in found.items()}

    def _damaged_statistics(
        self, source: PatchSource, seed: int, progress: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Statistics of damaged copies (m, 2048), and the row of each one's original."""
        copies = min(MAX_COPIES, -(-N_DAMAGED // len(source)))
        found = []
        with _bar(progress, "damaged copies", total=copies * len(source), unit="img") as bar:
            for copy in range(copies):
                row = 0
                for images in batches(source, self.batch_size):
                    rngs = (
                        np.random.default_rng((seed, copy, row + i)) for i in range(len(images))
                    )
                    damaged = [random_damage(im, rng) for im, rng in zip(images, rngs, strict=True)]
                    found.append(self._forward(np.stack(damaged)))
                    row += len(images)
                    bar.update(len(images))
        return np.concatenate(found), np.tile(np.arange(len(source)), copies)

    def _fit_joint(
        self,
        source: PatchSource,
        train: NDArray[np.int64],
        held: NDArray[np.int64],
        seed: int,
        progress: bool,
        options: dict[str, Any],
    ) -> NDArray[np.float32]:
        images = np.concatenate(list(batches(source, 256)))

        def features_of(patches: NDArray[np.uint8]) -> Tensor:
            self._compiled = None  # the weights have changed
            return torch.from_numpy(self.features(patches))

        with _bar(progress, "training jointly") as bar:
            self.history_ = fit_joint(
                self.backbone,
                self.density,
                images[train],
                images[held],
                features_of,
                seed=seed,
                progress=_reporter(bar),
                **options,
            )
        round_to_half(self.backbone)
        self._compiled = None
        return self.statistics(images)

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
        tensors, config, digest = read_checkpoint(path)
        try:
            backbone = ResNet18Features(tuple(config["mean"]), tuple(config["std"]))
            density = FeatureDensity(
                FEATURE_DIM,
                config["n_components"],
                layers=config["layers"],
                hidden=config["hidden"],
            )
            backbone.load_state_dict(_backbone_state(tensors, config))
            density.load_state_dict(_part(tensors, "density."))
            return cls(
                backbone,
                density,
                patch_size=config["patch_size"],
                mpp=config["mpp"],
                scores=ScoreBook(
                    density,
                    Detector.from_state(_arrays(tensors, "detector.")),
                    tensors["reference_features"].float().numpy(),
                    config["median_log_likelihood"],
                ),
                calibration=_arrays(tensors, "calibration."),
                reference_latent_mean=tensors["reference_latent_mean"].numpy(),
                quantities=ReferenceQuantities.from_state(_arrays(tensors, "quantities.")),
                history=History(**config["history"]),
                provenance=config["provenance"],
                name=path.stem,
                sha256=digest,
                device=device,
                engine=engine,
            )
        except (KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} lacks a part of the model: {str(error).splitlines()[0]}"
            ) from error

    def save(self, path: str | Path, *, backbone_of: str | None = None) -> None:
        """Write the model to ``path``, a ``.safetensors`` file; backbone in half precision.

        ``backbone_of`` names a shipped model with the same backbone: the file then refers to that
        one's, and is a fifth of the size.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            raise UsageError(f"a model file ends in .safetensors, got {path.name}")
        backbone = {
            k: v.half() if v.is_floating_point() else v
            for k, v in self.backbone.state_dict().items()
        }
        tensors = {f"backbone.{k}": v for k, v in backbone.items()}
        shared = None
        if backbone_of is not None:
            shared = {"model": backbone_of, "sha256": tensors_digest(tensors)}
            # It is there and the same, or nothing is written.
            _backbone_state({}, {"backbone_of": shared})
            tensors = {}
        quantities = self.quantities_.state() if self.quantities_ else {}
        self.sha256 = write_checkpoint(
            path,
            {
                **tensors,
                **{f"density.{k}": v for k, v in self.density.state_dict().items()},
                **_tensors("detector.", self.scores_.detector.state()),
                **_tensors("calibration.", self.calibration_),
                **_tensors("quantities.", quantities),
                "reference_features": torch.from_numpy(self.scores_.reference).half(),
                "reference_latent_mean": torch.from_numpy(self.reference_latent_mean_),
            },
            {
                "backbone_of": shared,
                "patch_size": self.patch_size,
                "mpp": self.mpp,
                "mean": self.backbone.mean,
                "std": self.backbone.std,
                "n_components": self.density.whitening.n_components,
                "layers": self.density.layers,
                "hidden": self.density.hidden,
                "median_log_likelihood": self.scores_.median_log_likelihood,
                "history": {"train": self.history_.train, "held_out": self.history_.held_out},
                "provenance": self.provenance,
            },
        )
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
        out = np.empty((len(source), STATISTICS_DIM), np.float32)
        done = 0
        with _bar(progress, "features", total=len(source), unit="img") as bar:
            for images in batches(source, self.batch_size):
                out[done : done + len(images)] = self._forward(images)
                done += len(images)
                bar.update(len(images))
        return out

    def latents(self, patches: Patches) -> NDArray[np.float32]:
        """Latents (n, 512) float32: the flow's noise, in which RL2 is measured."""
        return self.latents_of_features(self.features(patches))

    @property
    def scores_(self) -> ScoreBook:
        """The fitted scores."""
        if self._scores is None:
            raise RuntimeError("the model is not fitted")
        return self._scores

    def score_samples(
        self, patches: Patches, score: Score = "log_likelihood"
    ) -> NDArray[np.float64]:
        """A score (n,) float64 of each patch; higher is more normal.

        ``"log_likelihood"``, the default, is the flow's in nats; ``"detector"`` is the one that the
        filter decides by. :class:`~rl2qc.model.scores.ScoreBook` lists all.
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
        return self.judge(self._forward(images))

    def _forward(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Statistics (b, 2048) of one batch of images (b, h, w, 3) uint8."""
        return self._compile(images.shape[1], images.shape[2])(images)

    def _compile(self, height: int, width: int) -> Forward:
        if self._compiled is None or self._compiled.shape != (height, width):
            self._compiled = compile_statistics(self.backbone, (height, width), self.engine)
        return self._compiled

    @property
    def forward_name(self) -> str:
        """Engine and version that compute the statistics, for the record."""
        return self._compile(self.patch_size, self.patch_size).name

    def latents_of_features(self, features: ArrayLike) -> NDArray[np.float32]:
        """Latents (n, 512) float32 of features (n, 512)."""
        with torch.inference_mode():
            latents = self.density.latents(torch.from_numpy(np.array(features, np.float32)))
        return np.asarray(latents.numpy())


def _load_backbone(trunk: ResNet18Features, source: str | Path, seed: int) -> str:
    """Weights from a model (shipped or file) or from anything that load_weights takes."""
    if source in ("imagenet", "random"):
        return load_weights(trunk, source, seed=seed)
    path = Path(source) if Path(source).is_file() else find_checkpoint(source)
    try:
        model = QualityModel.load(path, device="cpu")
    except CheckpointError:
        return load_weights(trunk, path)  # plain weights
    trunk.load_state_dict(model.backbone.state_dict())
    return f"{model.name} ({model.sha256[:12]})"


def _backbone_state(tensors: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Tensor]:
    """Weights of the backbone: the file's own, or those of the shipped model that it names."""
    shared = config["backbone_of"]
    if shared is None:
        return _part(tensors, "backbone.")
    others, _, _ = read_checkpoint(find_checkpoint(shared["model"]))
    found = {k: v for k, v in others.items() if k.startswith("backbone.")}
    if tensors_digest(found) != shared["sha256"]:
        raise CheckpointError(
            f"the model shares its backbone with another {shared['model']!r} than the one that "
            "is installed: train it again, or use the rl2qc that it came with"
        )
    return _part(found, "backbone.")


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _tensors(prefix: str, arrays: Mapping[str, NDArray[np.float64]]) -> dict[str, Tensor]:
    # Much is rounded to single precision when fitted: it is stored as such.
    single = {name: array.astype(np.float32) for name, array in arrays.items()}
    return {
        f"{prefix}{name}": torch.from_numpy(single[name] if (single[name] == a).all() else a)
        for name, a in arrays.items()
    }


def _arrays(tensors: dict[str, Tensor], prefix: str) -> dict[str, NDArray[np.float64]]:
    return {k: v.double().numpy() for k, v in _part(tensors, prefix).items()}


def _bar(progress: bool, title: str, **options: Any) -> Any:
    return tqdm(desc=title, disable=not progress, leave=False, **options)


def _reporter(bar: Any) -> Any:
    def report(line: str) -> None:
        bar.set_postfix_str(line, refresh=False)
        bar.update()

    return report

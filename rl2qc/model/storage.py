"""A quality model as one file: its parts in and out of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl2qc.errors import CheckpointError, UsageError
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.model.checkpoint import read_checkpoint, tensors_digest, write_checkpoint
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.detectors.book import ScoreBook
from rl2qc.model.detectors.combined import Detector
from rl2qc.model.network.backbone import FEATURE_DIM, ResNet18Features
from rl2qc.model.parts import History, ModelParts
from rl2qc.model.zoo import find_checkpoint

__all__ = ["read_model", "write_model"]


def read_model(path: Path) -> tuple[ModelParts, str]:
    """The parts of a model file, and its hash.

    Raises
    ------
    CheckpointError
        The file is truncated, foreign or altered.
    """
    tensors, config, digest = read_checkpoint(path)
    try:
        backbone = ResNet18Features(tuple(config["mean"]), tuple(config["std"]))
        density = FeatureDensity(
            FEATURE_DIM, config["n_components"], layers=config["layers"], hidden=config["hidden"]
        )
        backbone.load_state_dict(_backbone_state(tensors, config))
        density.load_state_dict(_part(tensors, "density."))
        parts = ModelParts(
            backbone=backbone,
            density=density,
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
        )
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} lacks a part of the model: {str(error).splitlines()[0]}"
        ) from error
    return parts, digest


def write_model(parts: ModelParts, path: Path, *, backbone_of: str | None = None) -> str:
    """Write a model file, its backbone in half precision; return its hash.

    ``backbone_of`` names a shipped model with the same backbone: the file then refers to that
    one's.

    Raises
    ------
    UsageError
        The name does not end in .safetensors.
    CheckpointError
        The shipped model has another backbone.
    """
    if path.suffix != ".safetensors":
        raise UsageError(f"a model file ends in .safetensors, got {path.name}")
    tensors = {
        f"backbone.{name}": value.half() if value.is_floating_point() else value
        for name, value in parts.backbone.state_dict().items()
    }
    shared = None
    if backbone_of is not None:
        shared = {"model": backbone_of, "sha256": tensors_digest(tensors)}
        # It is there and the same, or nothing is written.
        _backbone_state({}, {"backbone_of": shared})
        tensors = {}
    return write_checkpoint(
        path,
        {
            **tensors,
            **{f"density.{k}": v for k, v in parts.density.state_dict().items()},
            **_tensors("detector.", parts.scores.detector.state()),
            **_tensors("calibration.", parts.calibration),
            **_tensors("quantities.", parts.quantities.state() if parts.quantities else {}),
            "reference_features": torch.from_numpy(parts.scores.reference).half(),
            "reference_latent_mean": torch.from_numpy(parts.reference_latent_mean),
        },
        {
            "backbone_of": shared,
            "patch_size": parts.patch_size,
            "mpp": parts.mpp,
            "mean": parts.backbone.mean,
            "std": parts.backbone.std,
            "n_components": parts.density.whitening.n_components,
            "layers": parts.density.layers,
            "hidden": parts.density.hidden,
            "median_log_likelihood": parts.scores.median_log_likelihood,
            "history": {"train": parts.history.train, "held_out": parts.history.held_out},
            "provenance": parts.provenance,
        },
    )


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

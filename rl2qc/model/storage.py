"""A quality model as one file: its parts in and out of a checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl2qc.errors import CheckpointError, UsageError
from rl2qc.images.digest import checked_digests
from rl2qc.model.assembly import MEDIAN, PLACES, assemble
from rl2qc.model.checkpoint import is_model, read_checkpoint, tensors_digest, write_checkpoint
from rl2qc.model.detectors.base import State
from rl2qc.model.network.backbone import (
    ResNet18Features,
    load_weights,
    round_to_half,
)
from rl2qc.model.network.branch import ScoreBranch
from rl2qc.model.network.head import DamageHead
from rl2qc.model.network.weights import check_finite
from rl2qc.model.parts import ModelParts
from rl2qc.model.zoo import find_checkpoint
from rl2qc.stats.prior import GeneralPrior

# What models have whose lines are bands; before, they were single steps.
_LINES_NOW = "detector.evidence.apart"

__all__ = ["Trunk", "load_backbone", "read_model", "write_model"]


def read_model(path: Path) -> tuple[ModelParts, str]:
    """The parts of a model file, and its hash.

    Raises
    ------
    CheckpointError
        The file is truncated, foreign or altered, or holds what no model has.
    """
    tensors, config, digest = read_checkpoint(path)
    try:
        parts = assemble(tensors, config)
        if parts.taught is None:
            parts = replace(parts, taught=_taught_beside(path))
        if parts.detectors.lines and _LINES_NOW not in tensors:
            warnings.warn(
                f"{path} was trained with lines as they were found before, and is given those of "
                "now: its p-values do not hold, so train it again (rl2qc train)",
                UserWarning,
                stacklevel=3,
            )
        return parts, digest
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error


def _taught_beside(path: Path) -> NDArray[np.uint8] | None:
    """Digests in ``NAME.taught.npy``: a shipped model need not be shipped anew for them."""
    beside = path.with_suffix(".taught.npy")
    if not beside.is_file():
        return None
    try:
        return checked_digests(np.array(np.load(beside, mmap_mode="r", allow_pickle=False)))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{beside.name}: {error}") from error


@dataclass(frozen=True, eq=False)
class Trunk:
    """What training starts from, in the precision of model files.

    Attributes
    ----------
    backbone, head, branch
        The network.
    prior
        What it was taught of damage; None for a network without a head.
    origin
        Where it comes from, in words.
    mpp
        Microns per pixel that it was trained at; None where that is not recorded.
    taught : (n, 8) uint8
        Digests of the images that it was trained on; None where they are not recorded.
    """

    backbone: ResNet18Features
    origin: str
    head: DamageHead | None = None
    branch: ScoreBranch | None = None
    prior: GeneralPrior | None = None
    mpp: float | None = None
    taught: NDArray[np.uint8] | None = None


def load_backbone(source: str | Path, seed: int) -> Trunk:
    """What training starts from.

    Parameters
    ----------
    source
        A model, shipped or a file, or what
        :func:`~rl2qc.model.network.backbone.load_weights` takes.
    seed
        Of random weights.

    Raises
    ------
    CheckpointError
        The file is damaged, or holds no finite weights of this network.
    """
    backbone = ResNet18Features()
    if str(source) in ("imagenet", "random"):
        made = Trunk(backbone, load_weights(backbone, str(source), seed=seed))
    else:
        path = find_checkpoint(source)
        if not is_model(path):
            made = Trunk(backbone, load_weights(backbone, path))
        else:
            parts, digest = read_model(path)
            made = Trunk(
                parts.backbone,
                f"{path.stem} ({digest[:12]})",
                head=parts.head,
                branch=parts.branch,
                prior=parts.detectors.prior,
                mpp=parts.mpp,
                taught=parts.taught,
            )
    round_to_half(made.backbone)
    try:
        check_finite(made.backbone.state_dict())
    except ValueError as error:
        raise CheckpointError(
            f"{source}: in half precision, in which models are kept, {error}"
        ) from error
    return made


def write_model(parts: ModelParts, path: Path, *, backbone_of: str | None = None) -> str:
    """Write a model file, its backbone in half precision; return its hash.

    ``backbone_of`` names a shipped model with the same backbone: the file then refers to that
    one's.

    Raises
    ------
    UsageError
        The name does not end in .safetensors.
    CheckpointError
        The shipped model has another backbone, or the model holds what none can: numbers that are
        not finite, say.
    """
    if path.suffix != ".safetensors":
        raise UsageError(f"a model file ends in .safetensors, got {path.name}")
    tensors = _of_network(parts)
    shared = None
    if backbone_of is not None:
        shared = {"model": backbone_of, "sha256": tensors_digest(tensors)}
        tensors = {}
    detectors = _flat(parts.detectors.states())
    median = detectors.pop(MEDIAN)
    tensors |= {
        **{f"density.{k}": v for k, v in parts.density.state_dict().items()},
        **_placed(_tensors("detector.", detectors)),
        **_placed(_tensors("calibration.", parts.calibration)),
        **_tensors("quantities.", parts.quantities.state() if parts.quantities else {}),
        "reference_latent_mean": torch.from_numpy(parts.reference_latent_mean),
        **({} if parts.taught is None else {"taught": torch.from_numpy(parts.taught)}),
    }
    config = {
        "backbone_of": shared,
        "patch_size": parts.patch_size,
        "mpp": parts.mpp,
        "mean": parts.backbone.mean,
        "std": parts.backbone.std,
        "n_components": parts.density.whitening.n_components,
        "layers": parts.density.layers,
        "hidden": parts.density.hidden,
        "median_log_likelihood": float(median[0]),
        "history": {"train": parts.history.train, "held_out": parts.history.held_out},
        "provenance": parts.provenance,
        **_head_config(parts.head),
    }
    # Nothing is written that would be refused.
    try:
        assemble({k: v.detach().cpu() for k, v in tensors.items()}, config)
    except CheckpointError as error:
        raise CheckpointError(f"{path} is not written, for the model is odd: {error}") from error
    return write_checkpoint(path, tensors, config)


def _of_network(parts: ModelParts) -> dict[str, Tensor]:
    """The tensors of the network in half precision."""
    state = {f"backbone.{name}": value for name, value in parts.backbone.state_dict().items()}
    if parts.head is not None:
        state |= {f"head.{name}": value for name, value in parts.head.state_dict().items()}
    if parts.branch is not None:
        state["branch.weight"] = torch.from_numpy(parts.branch.weight)
        state["branch.bias"] = torch.from_numpy(parts.branch.bias)
    return {k: v.half() if v.is_floating_point() else v for k, v in state.items()}


def _head_config(head: DamageHead | None) -> dict[str, Any]:
    # Absent where there is none: files of models without are what they always were.
    return {} if head is None else {"head": {"classes": list(head.classes), "width": head.width}}


def _flat(states: Mapping[str, State]) -> dict[str, NDArray[Any]]:
    return {f"{name}.{part}": a for name, state in states.items() for part, a in state.items()}


def _placed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names that a file has for them."""
    return {PLACES.get(name, name): tensor for name, tensor in tensors.items()}


def _tensors(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": torch.from_numpy(_small(a)) for name, a in arrays.items()}


def _small(array: NDArray[Any]) -> NDArray[Any]:
    """Doubles that were rounded to single precision when fitted, as single; all else as it is."""
    if array.dtype != np.float64:
        return np.asarray(array, order="C")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    return single if np.array_equal(single, array) else array

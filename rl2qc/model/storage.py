"""A quality model as one file: its parts in and out of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from rl2qc.model.detectors.base import State
from rl2qc.model.detectors.book import Calibration, DetectorSet
from rl2qc.model.network.backbone import (
    FEATURE_DIM,
    ResNet18Features,
    load_weights,
    round_to_half,
)
from rl2qc.model.network.branch import ScoreBranch
from rl2qc.model.network.head import DamageHead
from rl2qc.model.parts import History, ModelParts
from rl2qc.model.zoo import find_checkpoint
from rl2qc.stats.prior import GeneralPrior

__all__ = ["Trunk", "load_backbone", "read_model", "write_model"]

# What models may share with a shipped one: all that the pass over the pixels takes.
_NETWORK = ("backbone.", "head.", "branch.")

# Where format 2 has what is now a detector's own: these names of tensors, and this number of the
# header. All else stands under "detector.NAME." and "calibration.NAME".
_PLACES = {
    "detector.probe.standard": "detector.standard",
    "detector.knn.reference": "reference_features",
    "calibration.combined": "calibration.detector",
}
_MEDIAN = "typicality.median"


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
        network = _network_tensors(tensors, config)
        backbone.load_state_dict(_part(network, "backbone."))
        density.load_state_dict(_part(tensors, "density."))
        parts = ModelParts(
            backbone=backbone,
            density=density,
            patch_size=config["patch_size"],
            mpp=config["mpp"],
            detectors=_detectors(tensors, config, density),
            calibration=_calibration(tensors),
            reference_latent_mean=tensors["reference_latent_mean"].numpy(),
            quantities=ReferenceQuantities.from_state(_arrays(tensors, "quantities.")),
            history=History(**config["history"]),
            provenance=config["provenance"],
            head=_head(network, config),
            branch=_branch(network),
            taught=tensors["taught"].numpy() if "taught" in tensors else None,
        )
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} lacks a part of the model: {str(error).splitlines()[0]}"
        ) from error
    return parts, digest


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
    """
    backbone = ResNet18Features()
    if str(source) in ("imagenet", "random"):
        made = Trunk(backbone, load_weights(backbone, str(source), seed=seed))
    else:
        path = find_checkpoint(source)
        try:
            parts, digest = read_model(path)
        except CheckpointError:
            made = Trunk(backbone, load_weights(backbone, path))  # plain weights
        else:
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
        The shipped model has another backbone.
    """
    if path.suffix != ".safetensors":
        raise UsageError(f"a model file ends in .safetensors, got {path.name}")
    tensors = _of_network(parts)
    shared = None
    if backbone_of is not None:
        shared = {"model": backbone_of, "sha256": tensors_digest(tensors)}
        # It is there and the same, or nothing is written.
        _network_tensors({}, {"backbone_of": shared})
        tensors = {}
    detectors = _flat(parts.detectors.states())
    median = detectors.pop(_MEDIAN)
    return write_checkpoint(
        path,
        {
            **tensors,
            **{f"density.{k}": v for k, v in parts.density.state_dict().items()},
            **_placed(_tensors("detector.", detectors)),
            **_placed(_tensors("calibration.", parts.calibration)),
            **_tensors("quantities.", parts.quantities.state() if parts.quantities else {}),
            "reference_latent_mean": torch.from_numpy(parts.reference_latent_mean),
            **({} if parts.taught is None else {"taught": torch.from_numpy(parts.taught)}),
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
            "median_log_likelihood": float(median[0]),
            "history": {"train": parts.history.train, "held_out": parts.history.held_out},
            "provenance": parts.provenance,
            **_head_config(parts.head),
        },
    )


def _of_network(parts: ModelParts) -> dict[str, Tensor]:
    """The tensors of the network in half precision."""
    state = {f"backbone.{name}": value for name, value in parts.backbone.state_dict().items()}
    if parts.head is not None:
        state |= {f"head.{name}": value for name, value in parts.head.state_dict().items()}
    if parts.branch is not None:
        state["branch.weight"] = torch.from_numpy(parts.branch.weight)
        state["branch.bias"] = torch.from_numpy(parts.branch.bias)
    return {k: v.half() if v.is_floating_point() else v for k, v in state.items()}


def _network_tensors(tensors: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Tensor]:
    """The file's own network, or that of the shipped model that it names."""
    shared = config["backbone_of"]
    if shared is None:
        return tensors
    others, _, _ = read_checkpoint(find_checkpoint(shared["model"]))
    found = {k: v for k, v in others.items() if k.startswith(_NETWORK)}
    if tensors_digest(found) != shared["sha256"]:
        raise CheckpointError(
            f"the model shares its backbone with another {shared['model']!r} than the one that "
            "is installed: train it again, or use the rl2qc that it came with"
        )
    return found


def _head_config(head: DamageHead | None) -> dict[str, Any]:
    # Absent where there is none: files of models without are what they always were.
    return {} if head is None else {"head": {"classes": list(head.classes), "width": head.width}}


def _head(tensors: dict[str, Tensor], config: dict[str, Any]) -> DamageHead | None:
    if (about := config.get("head")) is None:
        return None
    head = DamageHead(about["classes"], about["width"])
    head.load_state_dict(_part(tensors, "head."))
    return head.eval()


def _branch(tensors: dict[str, Tensor]) -> ScoreBranch | None:
    if "branch.weight" not in tensors:
        return None
    weight, bias = (tensors[f"branch.{name}"].float().numpy() for name in ("weight", "bias"))
    return ScoreBranch(weight, bias)


def _detectors(
    tensors: dict[str, Tensor], config: dict[str, Any], density: FeatureDensity
) -> DetectorSet:
    """The detectors of a model file; a model has all those that something calibrates."""
    states: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in _arrays(_unplaced(tensors), "detector.").items():
        name, _, part = key.partition(".")
        states.setdefault(name, {})[part] = array
    name, _, part = _MEDIAN.partition(".")
    states.setdefault(name, {})[part] = np.array([config["median_log_likelihood"]])
    return DetectorSet.from_states(states, _calibration(tensors), density)


def _calibration(tensors: dict[str, Tensor]) -> Calibration:
    return Calibration(_arrays(_unplaced(tensors), "calibration."))


def _flat(states: Mapping[str, State]) -> dict[str, NDArray[Any]]:
    return {f"{name}.{part}": a for name, state in states.items() for part, a in state.items()}


def _placed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names that a file has for them."""
    return {_PLACES.get(name, name): tensor for name, tensor in tensors.items()}


def _unplaced(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file under the names that they have here."""
    names = {place: name for name, place in _PLACES.items()}
    return {names.get(name, name): tensor for name, tensor in tensors.items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _tensors(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": torch.from_numpy(_small(a)) for name, a in arrays.items()}


def _small(array: NDArray[Any]) -> NDArray[Any]:
    """Doubles that were rounded to single precision when fitted, as single; all else as it is."""
    if array.dtype != np.float64:
        return np.asarray(array, order="C")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    return single if np.array_equal(single, array) else array


def _arrays(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, NDArray[Any]]:
    return {
        name: (tensor.double() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in _part(tensors, prefix).items()
    }

"""A quality model of the tensors and the header of a file, each of which is checked.

What is loaded and what is about to be saved goes the same way: no file is written that would be
refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl2qc.core.arrays import checked_array
from rl2qc.errors import CheckpointError, UsageError
from rl2qc.images.digest import checked_digests
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.model.checkpoint import read_checkpoint, tensors_digest
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.detectors.book import Calibration, DetectorSet
from rl2qc.model.detectors.knn import MAX_REFERENCE
from rl2qc.model.network.backbone import FEATURE_DIM, STATISTICS_DIM, ResNet18Features
from rl2qc.model.network.branch import ScoreBranch
from rl2qc.model.network.head import DamageHead
from rl2qc.model.network.weights import fill
from rl2qc.model.parts import History, ModelParts
from rl2qc.model.schema import ConfigFile, HeadFile, SharedFile, check_config
from rl2qc.model.zoo import find_checkpoint

__all__ = ["MEDIAN", "PLACES", "assemble", "shared_network"]

# What models may share with a shipped one: all that the pass over the pixels takes.
_NETWORK = ("backbone.", "head.", "branch.")
PLACES = {
    "detector.probe.standard": "detector.standard",
    "detector.knn.reference": "reference_features",
    "calibration.combined": "calibration.detector",
}
"""Where format 2 has what is now a detector's own: these names of tensors. All else stands under
"detector.NAME." and "calibration.NAME"."""
MEDIAN = "typicality.median"
"""A detector's number that format 2 has in its header."""
# Whatever a part that does not fit brings about in who takes it.
_ERRORS = (LookupError, TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError)
# How far stored directions may be from orthonormal.
_ROUNDING = 1e-3


def assemble(tensors: Mapping[str, Tensor], config: Any) -> ModelParts:
    """The parts of a model.

    Raises
    ------
    CheckpointError
        A part is missing, is none that a model has, or does not fit another: which, in one line
        without the name of the file.
    """
    about = check_config(config)
    try:
        _check_tensors(tensors)
        network = {k: v for k, v in tensors.items() if k.startswith(_NETWORK)}
        if about.backbone_of is not None:
            if network:
                raise ValueError("a network beside that of the model that it names")
            network = shared_network(about.backbone_of)
        _check_sizes(about, {**tensors, **network})
        density = _density(about, _part(tensors, "density."))
        detectors, calibration = _detectors(tensors, about, density)
        head = _head(network, about.head)
        if (head and head.classes) != (detectors.prior and detectors.prior.classes):
            raise ValueError("its head and its evidence tell other classes apart")
        return ModelParts(
            backbone=_backbone(network, about),
            density=density,
            patch_size=about.patch_size,
            mpp=about.mpp,
            detectors=detectors,
            calibration=calibration,
            reference_latent_mean=_latent_mean(tensors),
            quantities=_quantities(tensors),
            history=History(about.history.train, about.history.held_out),
            provenance=about.provenance,
            head=head,
            branch=_branch(network),
            taught=checked_digests(tensors["taught"].numpy()) if "taught" in tensors else None,
        )
    except KeyError as error:
        raise CheckpointError(f"it lacks a part of the model: {error}") from error
    except _ERRORS as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"it holds what no model has: {said}") from error


def shared_network(shared: SharedFile) -> dict[str, Tensor]:
    """The network of the shipped model that a file names in place of its own.

    Raises
    ------
    CheckpointError
        It is not installed, or is another.
    """
    try:
        others, _, _ = read_checkpoint(find_checkpoint(shared.model))
    except UsageError as error:
        raise CheckpointError(
            f"it shares the backbone of {shared.model!r}, which does not come with this rl2qc"
        ) from error
    found = {k: v for k, v in others.items() if k.startswith(_NETWORK)}
    if tensors_digest(found) != shared.sha256:
        raise CheckpointError(
            f"it shares its backbone with another {shared.model!r} than the one that is installed: "
            "train it again, or use the rl2qc that it came with"
        )
    return found


# What was measured is never rounded to whole numbers.
_MEASURED = ("quantities.", "branch.", "calibration.", "reference_latent_mean")


def _check_tensors(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_complex() or not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} is not finite")
        if name.startswith(_MEASURED) and not tensor.is_floating_point():
            raise ValueError(f"{name} is of whole numbers")


def _check_sizes(about: ConfigFile, tensors: Mapping[str, Tensor]) -> None:
    """ValueError for a header that asks for larger networks than the tensors fill, before they are
    built, or tells of another number of patches."""
    flow = _part(tensors, "density.flow._transform._transforms.")
    layers = len({name.partition(".")[0] for name in flow})
    # A coupling layer, and a permutation between each two; a residual block has two square layers.
    held = sum(tensor.numel() for tensor in flow.values())
    if layers != 2 * about.layers - 1 or held < about.layers * 2 * about.hidden**2:
        raise ValueError(
            f"{about.layers} layers of {about.hidden} for a flow of {layers} parts, {held} numbers"
        )
    kept, taught = tensors.get("reference_features"), about.provenance.get("n_train")
    if kept is not None and isinstance(taught, int) and len(kept) != min(MAX_REFERENCE, taught):
        raise ValueError(f"reference_features of {len(kept)} patches, of {taught} that taught it")
    if about.head is not None:
        wide = tensors["head.dense.2.weight"].numel()
        if wide < 9 * about.head.width**2:
            raise ValueError(f"a head of width {about.head.width} in {wide} numbers")
    elif odd := [name for name in tensors if name.startswith("head.")]:
        raise ValueError(f"{odd[0]}, without a head in its header")


def _backbone(tensors: Mapping[str, Tensor], about: ConfigFile) -> ResNet18Features:
    backbone = ResNet18Features(about.mean, about.std)
    fill(backbone, _part(tensors, "backbone."), "backbone.")
    return backbone


def _density(about: ConfigFile, given: Mapping[str, Tensor]) -> FeatureDensity:
    density = FeatureDensity(
        FEATURE_DIM, about.n_components, layers=about.layers, hidden=about.hidden
    )
    # Which features a layer sees, and in which order, is no matter of training.
    fixed = {n: v.clone() for n, v in density.state_dict().items() if n.endswith("_features")}
    fill(density, given, "density.")
    for name, value in density.state_dict().items():
        order = value.sort().values if name.endswith("_permutation") else None
        if order is not None and not torch.equal(order, torch.arange(len(order))):
            raise ValueError(f"density.{name} is no permutation")
        if name in fixed and not torch.equal(value, fixed[name]):
            raise ValueError(f"density.{name} takes other features than a flow does")
    whitening = density.whitening
    if not bool((whitening.scales > 0).all()):
        raise ValueError("density.whitening.scales must lie above 0")
    product = whitening.components @ whitening.components.T
    if float((product - torch.eye(FEATURE_DIM)).abs().max()) > _ROUNDING:
        raise ValueError("density.whitening.components must be orthonormal")
    return density


def _head(tensors: Mapping[str, Tensor], about: HeadFile | None) -> DamageHead | None:
    if about is None:
        return None
    head = DamageHead(about.classes, about.width)
    fill(head, _part(tensors, "head."), "head.")
    return head.eval()


def _branch(tensors: Mapping[str, Tensor]) -> ScoreBranch | None:
    parts = {k: v.float().numpy() for k, v in _part(tensors, "branch.").items()}
    if not parts:
        return None
    return ScoreBranch(
        checked_array(parts, "weight", (FEATURE_DIM, STATISTICS_DIM)).astype(np.float32),
        checked_array(parts, "bias", (FEATURE_DIM,)).astype(np.float32),
    )


def _latent_mean(tensors: Mapping[str, Tensor]) -> NDArray[np.float32]:
    name = "reference_latent_mean"
    return checked_array({name: tensors[name].numpy()}, name, (FEATURE_DIM,)).astype(np.float32)


def _quantities(tensors: Mapping[str, Tensor]) -> ReferenceQuantities | None:
    state = _arrays(tensors, "quantities.")
    return ReferenceQuantities.from_state(state) if state else None


def _detectors(
    tensors: Mapping[str, Tensor], about: ConfigFile, density: FeatureDensity
) -> tuple[DetectorSet, Calibration]:
    """The detectors of a model file, all those that something calibrates, and what does."""
    names = {place: name for name, place in PLACES.items()}
    own = {names.get(name, name): tensor for name, tensor in tensors.items()}
    states: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in _arrays(own, "detector.").items():
        name, _, part = key.partition(".")
        states.setdefault(name, {})[part] = array
    name, _, part = MEDIAN.partition(".")
    states.setdefault(name, {})[part] = np.array([about.median_log_likelihood])
    calibration = Calibration(_arrays(own, "calibration."))
    detectors = DetectorSet.from_states(states, calibration, density)
    detectors.check(calibration)
    return detectors, calibration


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _arrays(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, NDArray[Any]]:
    return {
        name: (tensor.double() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in _part(tensors, prefix).items()
    }

"""Where features come from: the quality model, ImageNet networks, or a file of weights.

An extractor from a file is weights alone, laid out as ResNet-18 or as one of our models.
TorchScript and ``torch.export`` archives are refused: they are programs, and running one (or, for
some exported parts, merely reading it) may do anything that its author wanted. For any other
network, write a class with the four members of :class:`Extractor` (``ScoreSettings`` takes one), or
compute the features elsewhere and name their folder (:func:`load_precomputed`).
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol, runtime_checkable
from urllib.error import URLError

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate
from tqdm import tqdm

from rl2qc.errors import CheckpointError, UsageError, WorkError
from rl2qc.images.sources import PatchSource, batches
from rl2qc.model.backbone import (
    FEATURE_DIM,
    STATISTICS_DIM,
    ResNet18Features,
    load_weights,
    to_tensor,
)
from rl2qc.model.quality import QualityModel
from rl2qc.torch_pair import import_torchvision

__all__ = [
    "EXTRACTORS",
    "Extractor",
    "InceptionFeatures",
    "InceptionNetwork",
    "ModelFeatures",
    "ModelLatents",
    "ModelStatistics",
    "NetworkFeatures",
    "PrecomputedFeatures",
    "get_extractor",
    "load_precomputed",
    "weights_hash",
]

EXTRACTORS = ("rl2", "latents", "imagenet-resnet18", "inception")
# Part of every identity: raise it when the way from pixels to features changes.
_VERSION = 1
_INCEPTION_SIDE = 299


@runtime_checkable
class Extractor(Protocol):
    """Turns patches into features.

    Attributes
    ----------
    name
        What the user calls it.
    dim
        Features of a patch.
    identity
        Names weights, preprocessing and version: two extractors of one identity give the same
        features for the same patches, up to rounding.
    """

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def identity(self) -> str: ...

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, dim) float32 of the patches, in their order."""
        ...


class ModelFeatures:
    """The backbone features of a quality model (``rl2``)."""

    name = "rl2"
    dim = FEATURE_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = model
        # Not the checkpoint's hash: models that share a backbone share its features.
        self.identity = _resnet_identity(model.backbone)

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, 512) float32."""
        return self._model.features(source, progress=progress)


class ModelStatistics:
    """The stage statistics of a quality model: features and all that it judges by, in one pass."""

    name = "statistics"
    dim = STATISTICS_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = model
        self.identity = f"{_resnet_identity(model.backbone)} > stage statistics"

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Stage statistics (n, d) float32; columns ``backbone.POOLED`` are the features."""
        return self._model.statistics(source, progress=progress)


class ModelLatents:
    """The latents of a quality model, in which RL2 is measured (``latents``)."""

    name = "latents"
    dim = FEATURE_DIM

    def __init__(self, model: QualityModel) -> None:
        self._model = model
        self._features = ModelFeatures(model)
        self.identity = f"{self._features.identity} > flow {weights_hash(model.density)}"

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Latents (n, 512) float32."""
        features = self._features.extract(source, progress=progress)
        return self._model.latents_of_features(features)


class NetworkFeatures:
    """The output of a torch module that maps images (n, 3, h, w) in [0, 1] to (n, dim).

    Parameters
    ----------
    name, identity, dim
        As in :class:`Extractor`.
    network
        Put into evaluation mode; its own preprocessing included.
    device
        Where it runs.
    batch_size
        Patches a forward pass.
    """

    def __init__(
        self,
        name: str,
        identity: str,
        dim: int,
        network: nn.Module,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = 32,
    ) -> None:
        self.name, self.identity, self.dim = name, identity, dim
        self._device, self._batch_size = torch.device(device), batch_size
        self._network = network.to(self._device).to(memory_format=torch.channels_last).eval()

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, dim) float32."""
        out = np.empty((len(source), self.dim), np.float32)
        done = 0
        with tqdm(desc=self.name, disable=not progress, leave=False, total=len(source)) as bar:
            for images in batches(source, self._batch_size):
                with torch.inference_mode():
                    features = self._network(to_tensor(images).to(self._device))
                out[done : done + len(images)] = features.float().cpu().numpy()
                done += len(images)
                bar.update(len(images))
        return out


class InceptionNetwork(nn.Module):
    """Pooled 2048-d features of torchvision's Inception-v3.

    Whole images are brought to 299 px (bilinear, antialiased), as FID implementations do, and to
    [-1, 1], which the weights were trained on.

    Parameters
    ----------
    trunk
        ``torchvision.models.inception_v3``; it loses its classifier to ``head``.
    """

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.head: nn.Module = trunk.fc
        trunk.fc = nn.Identity()
        trunk.AuxLogits = None  # of use in training only
        trunk.transform_input = False  # done below
        self.trunk = trunk

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, 2048) of images (n, 3, h, w) in [0, 1]."""
        if images.shape[-2:] != (_INCEPTION_SIDE, _INCEPTION_SIDE):
            size = (_INCEPTION_SIDE, _INCEPTION_SIDE)
            images = interpolate(images, size, mode="bilinear", antialias=True)
        features: Tensor = self.trunk(2 * images - 1)
        return features


class InceptionFeatures(NetworkFeatures):
    """Inception-v3 features, and the class probabilities that follow from them (``inception``).

    These are torchvision's weights, trained on ImageNet by its authors, and not the network
    ported from TensorFlow that FID was first defined with: values are comparable among themselves
    and not with those in papers.

    Parameters
    ----------
    trunk
        ``torchvision.models.inception_v3`` with its weights.
    device, batch_size
        As in :class:`NetworkFeatures`.
    """

    def __init__(
        self, trunk: Any, *, device: str | torch.device = "cpu", batch_size: int = 32
    ) -> None:
        network = InceptionNetwork(trunk)
        identity = f"v{_VERSION} inception-v3 {_INCEPTION_SIDE} px {weights_hash(network.trunk)}"
        self._head = network.head.cpu().eval()
        super().__init__("inception", identity, 2048, network, device=device, batch_size=batch_size)

    def probabilities(self, features: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n, 1000) of ImageNet's classes, for the Inception score.

        Parameters
        ----------
        features : (n, 2048)
            As :meth:`extract` gives them: no second pass over the images is needed.
        """
        x = torch.from_numpy(np.asarray(features, np.float32)).to(self._device)
        with torch.inference_mode():
            probabilities: NDArray[np.float64] = self._head(x).double().softmax(dim=1).cpu().numpy()
        return probabilities


class PrecomputedFeatures:
    """Features of one image set that were computed elsewhere: UNI, Phikon, DINO or any other.

    Parameters
    ----------
    path
        Where they come from, for messages.
    features : (n, d) float32
        One row an image, in the order of the set's images.
    identity
        As in :class:`Extractor`.
    """

    def __init__(self, path: Path, features: NDArray[np.float32], identity: str) -> None:
        self.name, self.dim, self.identity = path.parent.name, features.shape[1], identity
        self._path, self._features = path, features

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, d) float32; UsageError for another number of images."""
        if len(source) != len(self._features):
            raise UsageError(
                f"{self._path} holds {len(self._features)} rows for {len(source)} images: one row "
                "an image is needed, in the order of the sorted files"
            )
        return self._features


def load_precomputed(folder: str | Path, titles: Sequence[str]) -> dict[str, PrecomputedFeatures]:
    """Features of every set from ``<title>.npy`` in a folder, one row an image.

    Parameters
    ----------
    folder
    titles
        Of the image sets: ``real`` and ``generated`` (and ``held-out``) in a scoring, ``real`` and
        the names of the generated folders in a comparison.

    Raises
    ------
    UsageError
        A file that is missing or holds no finite numbers (n, d), or sets that differ in d.
    """
    arrays, digest = {}, hashlib.sha256()
    for title in titles:
        path = Path(folder) / f"{title}.npy"
        arrays[title] = array = _load_features(path)
        if array.shape[1] != (wanted := arrays[titles[0]].shape[1]):
            raise UsageError(
                f"{folder}: {title} has {array.shape[1]} dimensions, {titles[0]} {wanted}"
            )
        digest.update(f"{title} {array.shape};".encode() + array.tobytes())
    identity = f"v{_VERSION} precomputed {digest.hexdigest()[:16]}"
    return {
        title: PrecomputedFeatures(Path(folder).absolute() / f"{title}.npy", array, identity)
        for title, array in arrays.items()
    }


def _load_features(path: Path) -> NDArray[np.float32]:
    if not path.is_file():
        raise UsageError(f"no such file: {path} (features computed elsewhere, one row an image)")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UsageError(f"{path} is no .npy array: {error}") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or not array.size:
        shape = getattr(array, "shape", "an archive")
        raise UsageError(f"{path} must hold one array (images, dimensions), got {shape}")
    return _finite_floats(array, str(path))


def _finite_floats(array: NDArray[np.generic], what: str) -> NDArray[np.float32]:
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{what} must hold numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        floats = array.astype(np.float32, order="C")
    if not np.isfinite(floats).all():
        raise UsageError(f"{what} must be finite in float32: there is NaN or infinity")
    return floats


class _Checked:
    """An extractor that is none of ours; what it returns is checked."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self.name, self.dim, self.identity = extractor.name, extractor.dim, extractor.identity

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, dim) float32; UsageError for anything else."""
        what = f"features of the extractor {self.name}"
        array = np.asarray(self._extractor.extract(source, progress=progress))
        features = _finite_floats(array, what)
        if features.shape != (len(source), self.dim):
            wanted = (len(source), self.dim)
            raise UsageError(f"{what} must have the shape {wanted}, got {features.shape}")
        return features


_OURS = (ModelFeatures, ModelStatistics, ModelLatents, NetworkFeatures, PrecomputedFeatures)
_MEMBERS = ("name", "dim", "identity", "extract")


def get_extractor(features: str | Path | Extractor, model: QualityModel) -> Extractor:
    """The extractor that ``--features`` names, or an extractor as it is.

    Parameters
    ----------
    features
        - an :class:`Extractor`; what it returns is checked;
        - ``"rl2"``, ``"latents"``: of ``model``;
        - ``"imagenet-resnet18"``: torchvision's weights, patches at their own size;
        - ``"inception"``: :class:`InceptionFeatures`;
        - a file: an rl2qc model, whose backbone is taken with its preprocessing, or the weights
          of a ResNet-18 (safetensors, or a state dict ``.pt``/``.pth`` read without running any
          of its code), with ImageNet's normalisation.
    model
        Gives the device and the batch size as well.

    Raises
    ------
    UsageError
        Neither a known name, a file nor an extractor.
    WorkError
        Weights are not at hand and cannot be fetched; the message says where to put them.
    CheckpointError
        The file holds other things than such weights.
    """
    if isinstance(features, _OURS):
        return features
    if isinstance(features, Extractor):
        return _Checked(features)
    if not isinstance(features, str | Path):
        lacking = ", ".join(m for m in _MEMBERS if not hasattr(features, m))
        raise UsageError(
            f"features must be {', '.join(EXTRACTORS)}, a weights file or an extractor, and "
            f"{type(features).__name__} has no {lacking}"
        )
    name = features
    options: dict[str, Any] = {"device": model.device, "batch_size": model.batch_size}
    if name == "rl2":
        return ModelFeatures(model)
    if name == "latents":
        return ModelLatents(model)
    if name == "imagenet-resnet18":
        weights = import_torchvision().models.ResNet18_Weights.IMAGENET1K_V1
        resnet = ResNet18Features()
        _load_published(resnet.trunk, weights)
        return _resnet_extractor(str(name), resnet, options)
    if name == "inception":
        models = import_torchvision().models
        trunk = models.inception_v3(weights=None, init_weights=False)
        _load_published(trunk, models.Inception_V3_Weights.IMAGENET1K_V1)
        return InceptionFeatures(trunk, **options)
    path = Path(name)
    if not path.is_file():
        raise UsageError(
            f"no features {str(name)!r}: give {', '.join(EXTRACTORS)} or a weights file"
        )
    return _resnet_extractor(path.name, _resnet_of_file(path), options)


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of a module's parameters and buffers with their names, as 16 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)};".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _resnet_identity(network: ResNet18Features) -> str:
    preprocessing = f"own size, mean {network.mean}, std {network.std}"
    return f"v{_VERSION} resnet18 {weights_hash(network.trunk)} {preprocessing}"


def _resnet_extractor(
    name: str, network: ResNet18Features, options: dict[str, Any]
) -> NetworkFeatures:
    return NetworkFeatures(name, _resnet_identity(network), FEATURE_DIM, network, **options)


def _resnet_of_file(path: Path) -> ResNet18Features:
    if _is_program(path):
        raise CheckpointError(
            f"{path} holds no plain weights but a TorchScript or torch.export program, which is "
            "not run: save the weights of its ResNet-18, torch.save(network.state_dict(), path)"
        )
    try:
        return QualityModel.load(path, device="cpu").backbone
    except CheckpointError:  # plain weights, or nothing of use: load_weights tells
        network = ResNet18Features()
        load_weights(network, path)
        return network


def _is_program(path: Path) -> bool:
    """Whether a file is a zip with code or an exported graph in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False
    return any("/code/" in name or "/models/" in name for name in names)


def _load_published(module: nn.Module, weights: Any) -> None:
    """Fill ``module`` with torchvision's weights, from its folder or the network."""
    place = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    there = place.exists()
    try:
        # By itself torchvision would unpickle whatever lies in its folder.
        state = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
        wanted = module.state_dict()  # a trunk has lost its classifier
        module.load_state_dict({k: v for k, v in state.items() if k in wanted})
    except (URLError, OSError, RuntimeError, UnpicklingError, EOFError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        if there:
            raise CheckpointError(
                f"{place} holds no such weights ({reason}): delete it and download "
                f"{weights.url} again"
            ) from error
        raise WorkError(
            f"cannot fetch torchvision's weights ({reason}): download {weights.url} elsewhere "
            f"and put it at {place}"
        ) from error

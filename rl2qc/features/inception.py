"""Inception-v3 features and class probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from rl2qc.core.torch_pair import import_torchvision
from rl2qc.features.base import VERSION, ExtractorSpec, register_extractor
from rl2qc.features.networks import NetworkFeatures, load_published, weights_hash
from rl2qc.model.quality import QualityModel

__all__ = ["InceptionFeatures", "InceptionNetwork"]

_INCEPTION_SIDE = 299


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
        identity = f"v{VERSION} inception-v3 {_INCEPTION_SIDE} px {weights_hash(network.trunk)}"
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


def _published(model: QualityModel) -> InceptionFeatures:
    models = import_torchvision().models
    trunk = models.inception_v3(weights=None, init_weights=False)
    load_published(trunk, models.Inception_V3_Weights.IMAGENET1K_V1)
    return InceptionFeatures(trunk, device=model.device, batch_size=model.batch_size)


register_extractor(
    ExtractorSpec(
        "inception",
        _published,
        "2048 pooled features of Inception-v3, and the probabilities of ImageNet's classes",
        weights="torchvision Inception_V3_Weights.IMAGENET1K_V1",
        preprocessing=f"{_INCEPTION_SIDE} px, bilinear and antialiased, in [-1, 1]",
        order=40,
    )
)

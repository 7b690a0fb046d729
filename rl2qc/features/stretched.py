"""Any extractor on images whose darkest value is 0 and whose brightest is white."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.errors import UsageError
from rl2qc.features.base import FeatureExtractor
from rl2qc.features.precomputed import PrecomputedFeatures
from rl2qc.images.sources.images import Image, Images, PatchSource

__all__ = ["NORMALIZED", "Stretched", "stretch"]

NORMALIZED = ":normalized"
"""What a name ends in where each patch is to be stretched before its features are computed."""


def stretch(image: Image) -> Image:
    """The image (h, w, 3) uint8 with its range stretched to 0 to 255, all channels alike.

    The normalisation to [0, 1] of medigan's Table 4 (Osuala et al., 2023), in eight bits. An image
    of one value stays as it is.

    Examples
    --------
    >>> stretch(np.array([[[50, 100, 150]]], np.uint8)).ravel().tolist()
    [0, 128, 255]
    """
    low, high = int(image.min()), int(image.max())
    if low == high:
        return image
    scaled = (image.astype(np.float32) - low) * np.float32(255 / (high - low))
    stretched: Image = np.rint(scaled).astype(np.uint8)
    return stretched


class Stretched(FeatureExtractor):
    """Another extractor's features of stretched images.

    Raises
    ------
    UsageError
        Its features were computed elsewhere, of images that are none of ours to change.
    """

    def __init__(self, extractor: FeatureExtractor) -> None:
        if isinstance(extractor, PrecomputedFeatures):
            raise UsageError(
                f"{NORMALIZED} changes pixels, and features computed elsewhere do not follow: "
                "normalise the images before computing them"
            )
        self._extractor = extractor
        self.name, self.dim = f"{extractor.name}{NORMALIZED}", extractor.dim
        self.identity = f"{extractor.identity} of images stretched to [0, 1]"
        self.cached = extractor.cached

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, dim) float32."""
        return self._extractor.extract(replace(source, items=_Stretched(source)), progress=progress)

    def probabilities(self, features: ArrayLike) -> NDArray[np.float64] | None:
        """Those of the extractor."""
        return self._extractor.probabilities(features)


class _Stretched(Images):
    """Patches that are stretched as they are read."""

    def __init__(self, source: PatchSource) -> None:
        self._source = source

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Image:
        return stretch(self._source[index])

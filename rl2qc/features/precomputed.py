"""Features that were computed elsewhere: a folder of arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.arrays import read_array
from rl2qc.core.text import one_line
from rl2qc.errors import UsageError
from rl2qc.features.base import (
    VERSION,
    Extractor,
    ExtractorSpec,
    FeatureExtractor,
    finite_floats,
    register_extractor,
)
from rl2qc.images.sources.base import PatchSource
from rl2qc.model.quality import QualityModel

__all__ = ["PrecomputedFeatures", "load_precomputed"]

# As sets were called before 0.2.
_OLD_TITLES = {"unseen": "held-out"}


class PrecomputedFeatures(FeatureExtractor):
    """Features of one image set that were computed elsewhere: UNI, Phikon, DINO or any other.

    Parameters
    ----------
    path
        Where they come from, for messages.
    features : (n, d) float32
        One row an image, in the order of the set's images.
    identity
        As in :class:`~rl2qc.features.base.Extractor`.
    """

    cached = False  # they are at hand

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
        Of the image sets: ``real`` and ``generated`` (and ``unseen``) in a scoring, ``real`` and
        the names of the generated folders in a comparison.

    Raises
    ------
    UsageError
        A file that is missing or holds no finite numbers (n, d), or sets that differ in d.
    """
    arrays, digest = {}, hashlib.sha256()
    for title in titles:
        path = Path(folder) / f"{title}.npy"
        if title in _OLD_TITLES and not path.exists():
            older = path.with_name(f"{_OLD_TITLES[title]}.npy")
            path = older if older.exists() else path
        arrays[title] = array = _load_features(path)
        if array.shape[1] != (wanted := arrays[titles[0]].shape[1]):
            raise UsageError(
                f"{folder}: {title} has {array.shape[1]} dimensions, {titles[0]} {wanted}"
            )
        digest.update(f"{title} {array.shape};".encode() + array.tobytes())
    identity = f"v{VERSION} precomputed {digest.hexdigest()[:16]}"
    return {
        title: PrecomputedFeatures(Path(folder).absolute() / f"{title}.npy", array, identity)
        for title, array in arrays.items()
    }


def _load_features(path: Path) -> NDArray[np.float32]:
    if not path.is_file():
        raise UsageError(f"no such file: {path} (features computed elsewhere, one row an image)")
    try:
        array = read_array(path)
    except ValueError as error:
        raise UsageError(f"{path} is no .npy array: {one_line(error)}") from None
    if array.ndim != 2 or not array.size:
        raise UsageError(f"{path} must hold one array (images, dimensions), got {array.shape}")
    return finite_floats(array, str(path))


def _of_folder(path: Path, model: QualityModel, titles: Sequence[str]) -> dict[str, Extractor]:
    return dict(load_precomputed(path, titles))


register_extractor(
    ExtractorSpec(
        "a folder of features",
        meaning="features computed elsewhere, TITLE.npy for each set, one row an image",
        accepts=Path.is_dir,
        open=_of_folder,
        order=210,
    )
)

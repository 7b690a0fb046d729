"""One image set with all that its metrics need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.features.looks import LooksOf
from rl2qc.images.sources.ahead import all_patches
from rl2qc.images.sources.images import PatchSource
from rl2qc.metrics.matrices import Rows

__all__ = ["ByExtractor", "ImageSet"]

# Bounds of what is held of pixels at once.
_MOST_IMAGES, _MOST_BYTES = 1000, 96 << 20
# By need of a metric, the arrays of a set that serve it.
_ARRAYS: Mapping[str, tuple[str, ...]] = {
    "features": ("features",),
    "latents": ("latents",),
    "likelihood": ("log_likelihood", "keep"),
    "probabilities": ("probabilities",),
    "pixels": ("pixels",),
    "unseen": (),
}
_MISSING = {
    "probabilities": "needs a classifier's probabilities: rl2qc score --probabilities FILE.npy, "
    "of real images --real-probabilities, or --features inception"
}


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One set of images, measured.

    What no chosen metric asks for is not there: asking for it is a ``ValueError`` that says so.

    Attributes
    ----------
    source
        The images.
    arrays
        What was measured of them, a row an image, by name: the properties below.
    groups : (n,) str
        Slide or patient of each image, or None.
    unseen
        Of the real set: real images that the generator has not seen, or None.
    looks
        Thumbnails and traces of encoding; None where they were not looked at.
    extractor
        What its features are called; empty where there are none.
    """

    source: PatchSource
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    groups: NDArray[np.str_] | None = None
    unseen: ImageSet | None = None
    looks: LooksOf | None = None
    extractor: str = ""

    def __len__(self) -> int:
        return len(self.source)

    @property
    def features(self) -> NDArray[np.float32]:
        """(n, d), of the extractor."""
        return self._get("features")

    @property
    def latents(self) -> NDArray[np.float32]:
        """(n, 512), of the model."""
        return self._get("latents")

    @property
    def log_likelihood(self) -> NDArray[np.float64]:
        """(n,), of the model, in nats."""
        return self._get("log_likelihood")

    @property
    def keep(self) -> NDArray[np.bool_]:
        """(n,), whether the filter keeps an image."""
        return self._get("keep")

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(n, classes), of a classifier."""
        return self._get("probabilities")

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(n, h, w, 3)."""
        return self._get("pixels")

    def has(self, name: str) -> bool:
        """Whether an array of that name was measured."""
        return name in self.arrays

    def _get(self, name: str) -> NDArray[Any]:
        if name not in self.arrays:
            raise ValueError(_MISSING.get(name, f"needs {name.replace('_', ' ')} of the images"))
        return self.arrays[name]

    def take(self, rows: Rows, needs: Sequence[str] | None = None) -> ImageSet:
        """The images at ``rows``, in that order, with all arrays or those of some needs."""
        names = {n for need in needs for n in _ARRAYS[need]} if needs is not None else self.arrays
        return ImageSet(
            self.source.take(rows),
            {name: self.arrays[name][rows] for name in names if name in self.arrays},
            None if self.groups is None else self.groups[rows],
            self.unseen,
            self.looks.take(rows) if self.looks is not None and needs is None else None,
            self.extractor,
        )

    def drawn(self, most: int, seed: int) -> Rows:
        """``most`` row numbers, drawn at random and sorted; all where there are no more."""
        if len(self) <= most:
            return np.arange(len(self))
        return np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False))

    def beside(self, unseen: ImageSet) -> ImageSet:
        """The same real set with other unseen images."""
        return replace(self, unseen=unseen)

    @property
    def n_groups(self) -> int | None:
        """Slides or patients; None where they are not known."""
        return None if self.groups is None else len(set(self.groups.tolist()))

    def sample(self, most: int, seed: int) -> tuple[ImageSet, Rows]:
        """At most so many images, and which they are; of unseen images at most as many too."""
        rows = self.drawn(most, seed)
        found = self.take(rows)
        if self.unseen is not None:
            found = found.beside(self.unseen.take(self.unseen.drawn(most, seed)))
        return found, rows

    def sample_pixels(self, seed: int) -> tuple[ImageSet, Rows]:
        """At most 1,000 images, and 96 MB of pixels, which are read now; and which they are."""
        rows = self.drawn(min(_MOST_IMAGES, max(2, _MOST_BYTES // (3 * self.source.size**2))), seed)
        found = self.take(rows)
        arrays = {**found.arrays, "pixels": all_patches(found.source)}
        return replace(found, arrays=arrays), rows


@dataclass(frozen=True, eq=False)
class ByExtractor:
    """The sets by one of several extractors.

    Attributes
    ----------
    name, identity, dim
        Of the extractor.
    sets
        By title.
    """

    name: str
    identity: str
    dim: int
    sets: dict[str, ImageSet]

"""Where features come from: what an extractor is, and the ones that are known by name.

An extractor is an object with the four members of :class:`Extractor`. One that is known by name,
or opens files of its own kind, is registered::

    register_extractor(ExtractorSpec("dino", make=lambda model: Dino(), meaning="DINO features"))

Weights that come as a file are weights alone, laid out as a ResNet-18 or as one of our models.
TorchScript and ``torch.export`` archives are refused: they are programs, and running one (or, for
some exported parts, merely reading it) may do anything that its author wanted. For any other
network, write an extractor, or compute the features elsewhere and name their folder
(:mod:`rl2qc.features.precomputed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.registry import Extra, Registry
from rl2qc.errors import UsageError

if TYPE_CHECKING:
    from rl2qc.images.sources.base import PatchSource
    from rl2qc.model.quality import QualityModel

__all__ = [
    "DEFAULT_FEATURES",
    "EXTRACTORS",
    "VERSION",
    "Extractor",
    "ExtractorSpec",
    "FeatureExtractor",
    "finite_floats",
    "register_extractor",
]

# Part of every identity: raise it when the way from pixels to features changes.
VERSION = 1

DEFAULT_FEATURES = "model"
"""The extractor of those who name none: the quality model's own features."""


@runtime_checkable
class Extractor(Protocol):
    """Turns patches into features: what somebody else's extractor must have.

    Attributes
    ----------
    name
        What the user calls it.
    dim
        Features of a patch.
    identity
        Names weights, preprocessing and version: two extractors of one identity give the same
        features for the same patches, up to rounding.

    Examples
    --------
    >>> class Colours:
    ...     name, dim, identity = "colours", 3, "colours, version 1"
    ...     def extract(self, source, *, progress=False):
    ...         means = [source[i].mean((0, 1)) for i in range(len(source))]
    ...         return np.array(means, np.float32)
    >>> isinstance(Colours(), Extractor)
    True
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


class FeatureExtractor:
    """An extractor with all that may be asked of one; the defaults are those of most.

    :func:`~rl2qc.features.find.find_extractors` gives these alone, whatever it was given.

    Attributes
    ----------
    cached
        Whether its features may be kept between runs
        (:class:`~rl2qc.features.cache.FeatureCache`).
    follows
        The model whose stage statistics these features follow from, None for all others: who has
        the statistics at hand calls :meth:`of_statistics` and saves a pass over the images.
    begins
        Identity and number of wider features whose first columns these are, None for all others:
        where those are kept, nothing is computed.

    Examples
    --------
    >>> class Colours(FeatureExtractor):
    ...     name, dim, identity = "colours", 3, "colours, version 1"
    ...     def extract(self, source, *, progress=False):
    ...         means = [source[i].mean((0, 1)) for i in range(len(source))]
    ...         return np.array(means, np.float32)
    >>> Colours().extract(np.zeros((2, 64, 64, 3), np.uint8)).shape, Colours().cached
    ((2, 3), True)
    """

    name: str
    dim: int
    identity: str
    cached: bool = True
    follows: QualityModel | None = None
    begins: tuple[str, int] | None = None

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Features (n, dim) float32 of the patches, in their order."""
        raise NotImplementedError

    def of_statistics(self, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same features (n, dim) of the stage statistics (n, 2048) of :attr:`follows`."""
        raise NotImplementedError

    def probabilities(self, features: ArrayLike) -> NDArray[np.float64] | None:
        """Class probabilities (n, classes) that follow from features (n, dim), for the Inception
        score; None where there are no classes.
        """
        return None


@dataclass(frozen=True)
class ExtractorSpec:
    """An extractor that is known by its name, or by the kind of path that it opens.

    Parameters
    ----------
    name
        What the user asks for; of one that opens paths, the kind of path, in words.
    make
        Makes it for a quality model, which gives the device and the batch size as well. It may
        return any :class:`Extractor`; what that returns is checked.
    meaning
        One line on what the features are.
    weights, preprocessing
        Where its weights come from, and how images are brought to what these expect.
    extra
        The module that it needs, and what pip installs it by.
    accepts, open
        In place of ``make``: whether a path is of this kind, and what makes the extractor of each
        set of images of it, called with path, model and the titles of the sets.
    order
        Where it stands in lists.

    Raises
    ------
    UsageError
        Neither ``make`` nor ``accepts`` and ``open``.

    Examples
    --------
    >>> spec = ExtractorSpec("mine", make=lambda model: model, meaning="features of my own")
    >>> spec.name, spec.accepts
    ('mine', None)
    """

    name: str
    make: Callable[[QualityModel], Extractor] | None = None
    meaning: str = ""
    weights: str = ""
    preprocessing: str = ""
    extra: Extra | None = None
    accepts: Callable[[Path], bool] | None = None
    open: Callable[[Path, QualityModel, Sequence[str]], Mapping[str, Extractor]] | None = None
    order: int = 100

    def __post_init__(self) -> None:
        if (self.make is None) == (self.open is None) or (self.open is None) != (
            self.accepts is None
        ):
            raise UsageError(f"the extractor {self.name!r} needs make, or accepts and open")


EXTRACTORS: Registry[ExtractorSpec] = Registry(
    "extractor", room="rl2qc.features", group="rl2qc.extractors", aliases={"rl2": "model"}
)
"""All extractors; other packages add theirs by the entry points ``rl2qc.extractors``."""


def register_extractor(spec: ExtractorSpec, *, replace: bool = False) -> ExtractorSpec:
    """Add an extractor: it is then understood wherever features are named.

    Parameters
    ----------
    spec
    replace
        Whether one of that name may give way.

    Returns
    -------
    The spec, as it is.

    Raises
    ------
    UsageError
        There is one of that name.

    Examples
    --------
    >>> from rl2qc.features.of_model import ModelFeatures
    >>> _ = register_extractor(ExtractorSpec("pooled", ModelFeatures, "the model's own"))
    >>> "pooled" in EXTRACTORS
    True
    >>> EXTRACTORS.unregister("pooled")
    """
    return EXTRACTORS.register(spec, replace=replace)


def finite_floats(array: NDArray[np.generic], what: str) -> NDArray[np.float32]:
    """Features from elsewhere as float32; UsageError, which names ``what``, for no numbers."""
    if array.dtype.kind not in "fiu":
        raise UsageError(f"{what} must hold numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        floats = array.astype(np.float32, order="C")
    if not np.isfinite(floats).all():
        raise UsageError(f"{what} must be finite in float32: there is NaN or infinity")
    return floats

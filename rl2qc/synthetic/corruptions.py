"""Corruptions by name: what is done to clean images, how strongly, and what that is called.

One registry (:data:`CORRUPTIONS`) holds degradations of a whole image and artifacts drawn into it.
The benchmark, its page, the demo, what probes and backbones learn from, and the test that every
corruption is monotone take them from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.registry import Registry

__all__ = [
    "CORRUPTIONS",
    "CorruptionSpec",
    "Damaged",
    "Kind",
    "corrupt",
    "register_corruption",
    "taught",
]

Image: TypeAlias = NDArray[np.uint8]
Kind: TypeAlias = Literal["degradation", "artifact"]
"""What is damaged: the whole image, or a part of it."""


class Damaged(NamedTuple):
    """An image with an artifact, and where it is.

    Attributes
    ----------
    image : (h, w, 3) uint8
    mask : (h, w) bool

    Examples
    --------
    >>> image = np.zeros((2, 2, 3), np.uint8)
    >>> Damaged(image, image.any(axis=2)).mask.mean()
    np.float64(0.0)
    """

    image: Image
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class CorruptionSpec:
    """One corruption, and the severities to report.

    Attributes
    ----------
    name
        What it is asked for by.
    title
        Name for tables and figures.
    unit
        What a severity measures.
    severities
        To report, mildest first; none of them is the identity. They need not rise: JPEG's quality
        falls.
    apply
        Makes of an image (h, w, 3) uint8, a severity and a generator a new image of the same
        shape, or a :class:`Damaged` where only a part is. Equal generators give equal images, and
        the image given stays as it is.
    kind
        "degradation" of the whole image, or an "artifact" somewhere on it.
    teaches
        Mildest and strongest severity of what models learn to tell from clean images; None for a
        corruption that none of them sees when it learns. It is None by default, so that another
        package that brings a corruption does not change what is learnt from a seed.
    order
        Those with a lower one come first.

    Examples
    --------
    >>> def fade(image, share, rng):
    ...     return (image + share * (255.0 - image)).astype(np.uint8)
    >>> spec = CorruptionSpec("fade", "Fading", "share", (0.1, 0.4), fade, teaches=(0.1, 0.4))
    >>> round(spec.at(0.5), 3), spec.kind
    (0.2, 'degradation')
    """

    name: str
    title: str
    unit: str
    severities: tuple[float, ...]
    apply: Callable[[Image, float, np.random.Generator], Image | Damaged]
    kind: Kind = "degradation"
    teaches: tuple[float, float] | None = None
    order: int = 100

    def __call__(self, image: Image, severity: float, rng: np.random.Generator) -> Image:
        """The image with it, (h, w, 3) uint8."""
        return self.damage(image, severity, rng).image

    def damage(self, image: Image, severity: float, rng: np.random.Generator) -> Damaged:
        """The image with it, and where it is: everywhere for a degradation."""
        made = self.apply(image, float(severity), rng)
        if isinstance(made, Damaged):
            return made
        return Damaged(made, np.ones(image.shape[:2], np.bool_))

    def at(self, level: float) -> float:
        """The severity at a level between 0, the mildest taught, and 1, the strongest.

        Levels are even in the logarithm of the severity.

        Raises
        ------
        ValueError
            It is not taught.
        """
        if self.teaches is None:
            raise ValueError(f"{self.name} has no range of severities: nothing learns from it")
        mild, strong = self.teaches
        return float(mild * (strong / mild) ** level)


CORRUPTIONS: Registry[CorruptionSpec] = Registry(
    "corruption", room="rl2qc.synthetic", group="rl2qc.corruptions"
)


def register_corruption(spec: CorruptionSpec, *, replace: bool = False) -> CorruptionSpec:
    """Add a corruption: ``rl2qc benchmark`` then measures it beside the others.

    Parameters
    ----------
    spec
    replace
        Whether one of that name may give way.

    Raises
    ------
    UsageError
        There is one of that name.

    Examples
    --------
    >>> def fade(image, share, rng):
    ...     return (image + share * (255.0 - image)).astype(np.uint8)
    >>> _ = register_corruption(CorruptionSpec("fade", "Fading", "share", (0.1, 0.2, 0.4), fade))
    >>> corrupt(np.zeros((1, 1, 3), np.uint8), "fade", 0.2, np.random.default_rng(0)).tolist()
    [[[51, 51, 51]]]
    >>> CORRUPTIONS.unregister("fade")
    """
    return CORRUPTIONS.register(spec, replace=replace)


def corrupt(image: Image, name: str, severity: float, rng: np.random.Generator) -> Image:
    """Corrupt one image.

    Parameters
    ----------
    image : (h, w, 3) uint8
    name
        Of a registered corruption.
    severity
        In its unit; any value of its range, not only the listed ones.
    rng
        Source of randomness; equal generators give equal images.

    Returns
    -------
    (h, w, 3) uint8
        A new array.

    Raises
    ------
    UsageError
        For a name that is no corruption.

    Examples
    --------
    >>> image = np.zeros((32, 32, 3), np.uint8); image[:, 16:] = 255
    >>> soft = corrupt(image, "blur", 2.0, np.random.default_rng(0))
    >>> bool(0 < soft[0, 15, 0] < 255)
    True
    """
    return CORRUPTIONS.get(name)(image, severity, rng)


def taught(kind: Kind) -> tuple[CorruptionSpec, ...]:
    """The corruptions of a kind that models learn from, in their order."""
    return tuple(spec for spec in CORRUPTIONS if spec.kind == kind and spec.teaches is not None)

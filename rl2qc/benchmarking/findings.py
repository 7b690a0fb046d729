"""What a benchmark finds of clean and of damaged images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl2qc.benchmarking.stability import Stability
from rl2qc.stats.auc import AucResult

__all__ = [
    "OWN",
    "ArtifactSet",
    "CleanSet",
    "CorruptionResult",
    "DamageResult",
    "Example",
    "Findings",
    "LabResult",
    "Row",
]

OWN = "(the clean images)"
"""The name, among laboratories, of the images that all else is measured with."""

_NAN = math.nan


@dataclass(frozen=True)
class CleanSet:
    """The clean images among themselves.

    Attributes
    ----------
    n
    kept
        Share that the filter keeps.
    rl2, rl2_low, rl2_high
        Median and central range of RL2 between random halves: the baseline, what RL2 gives for no
        difference.
    wad_div_zero
        Mean distance of an image to its nearest others.
    """

    n: int
    kept: float
    rl2: float
    rl2_low: float
    rl2_high: float
    wad_div_zero: float


@dataclass(frozen=True)
class DamageResult:
    """Damaged images against the clean ones; NaN for what was not measured.

    Attributes
    ----------
    n
        Damaged images.
    auc
        Of each detector, clean against damaged.
    kept
        Share of the damaged images that the filter keeps.
    rl2, rl2_low, rl2_high
        Distance of the mean latents and its interval.
    wad_div_empirical, wad_div_zero
        Against the neighbour distances of the clean images, and against a collapsed set.
    covered
        Median share of the area that the damage covers.
    """

    n: int
    auc: Mapping[str, AucResult]
    kept: float
    rl2: float = _NAN
    rl2_low: float = _NAN
    rl2_high: float = _NAN
    wad_div_empirical: float = _NAN
    wad_div_zero: float = _NAN
    covered: float = _NAN


@dataclass(frozen=True)
class CorruptionResult:
    """A corruption at rising severities, mildest first.

    Attributes
    ----------
    title, unit
        What it does, and what a severity measures.
    kind
        "degradation" of the whole image, or a drawn "artifact".
    severities
    rows
        One for each severity.
    spearman
        Rank correlation of RL2 with the severities; NaN for fewer than three.
    """

    title: str
    unit: str
    kind: str
    severities: tuple[float, ...]
    rows: tuple[DamageResult, ...]
    spearman: float


@dataclass(frozen=True)
class ArtifactSet:
    """Images with real artifacts, or clean ones under pasted cut-outs.

    Attributes
    ----------
    row
    patch_size
        Side at which both sets were compared, px.
    n_cutouts
        Cut-outs that were pasted; 0 for real images.
    """

    row: DamageResult
    patch_size: int
    n_cutouts: int = 0


@dataclass(frozen=True)
class LabResult:
    """What a model says of clean tiles of one laboratory, and of the same tiles damaged.

    Attributes
    ----------
    n, n_images
        Tiles, and the images that they were cut from.
    kept, kept_low, kept_high
        Share of the clean tiles that the filter keeps; the interval counts images.
    kept_mixed
        The same where three tiles in ten are damaged, and so is what the model adapts to.
    auc
        Of the filter's score, by corruption and severity ("blur 1").
    rejected
        Share of the damaged tiles that the filter rejects, likewise.
    taught
        Images that taught the model; None for a model that does not say which did.
    left_out
        Name and reason of each image that gave no tile.
    """

    n: int
    n_images: int
    kept: float
    kept_low: float
    kept_high: float
    kept_mixed: float
    auc: Mapping[str, AucResult]
    rejected: Mapping[str, float]
    taught: int | None
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Example:
    """A picture for the page.

    Attributes
    ----------
    image : (h, w, 3) uint8
    keep
        Whether the filter keeps it.
    """

    image: NDArray[np.uint8]
    keep: bool


class Row(NamedTuple):
    """A set of damaged images: its kind, name, title and severity (NaN for a set of artifacts)."""

    kind: str
    name: str
    title: str
    severity: float
    found: DamageResult


@dataclass(frozen=True)
class Findings:
    """All that a benchmark found, and how it was measured.

    Attributes
    ----------
    provenance
        Inputs, counts, settings, hash of the model and versions.
    clean
    corruptions, cutouts, real
        By name.
    labs
        Other laboratories by name, the clean images first, measured likewise: :data:`OWN`.
    stability
        Metrics against sample size; None where the images are too few.
    warnings
        Plain sentences.
    examples
        Pictures by place: "clean", "corruptions/blur", "cutouts/bubble", "real/pen", "labs/a".
    """

    provenance: Mapping[str, Any]
    clean: CleanSet
    corruptions: Mapping[str, CorruptionResult]
    cutouts: Mapping[str, ArtifactSet] = field(default_factory=dict)
    real: Mapping[str, ArtifactSet] = field(default_factory=dict)
    labs: Mapping[str, LabResult] = field(default_factory=dict)
    stability: Stability | None = None
    warnings: tuple[str, ...] = ()
    examples: Mapping[str, tuple[Example, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def rows(self) -> Iterator[Row]:
        """Every set of damaged images."""
        for name, result in self.corruptions.items():
            for severity, row in zip(result.severities, result.rows, strict=True):
                yield Row(result.kind, name, result.title, severity, row)
        for kind, sets in (("cutouts", self.cutouts), ("real", self.real)):
            for name, found in sets.items():
                yield Row(kind, name, name, _NAN, found.row)

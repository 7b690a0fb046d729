"""What tells clean patches from others: the contract of a detector, and those known by name.

A detector is a class with the four members of :class:`Detector`, in a module of this folder or of
another package, and one :class:`DetectorSpec`::

    register_detector(DetectorSpec("mine", Mine, "how mine works"))

``rl2qc train`` then fits it, calibrates it out of fold and writes it into the model file;
``model.score_samples(patches, "mine")`` and ``rl2qc benchmark`` ask it like any other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.arrays import checked_array
from rl2qc.core.registry import Registry
from rl2qc.errors import UsageError
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.stats.prior import GeneralPrior

__all__ = [
    "DETECTORS",
    "FILTER_SCORE",
    "Detector",
    "DetectorSpec",
    "Reference",
    "Scores",
    "State",
    "checked_scores",
    "checked_standard",
    "fit_detector",
    "register_detector",
]

Scores: TypeAlias = NDArray[np.float64]
State: TypeAlias = Mapping[str, NDArray[Any]]

FILTER_SCORE = "combined"
"""The detector that decides what the filter keeps."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What detectors are fitted to: the clean patches of a model, and damaged copies of them.

    Attributes
    ----------
    clean : (n, 2048) float32
        Stage statistics of the clean patches; with evidence behind them for who reads it.
    fold : (n,) int64
        Fold of each; patches of one slide share theirs (:mod:`rl2qc.model.detectors.folds`).
    damaged : (m, 2048) float32
        Stage statistics of damaged copies.
    sources : (m,) int64
        The clean patch that each damaged one is a copy of.
    held : (k,) int64
        Clean patches that ``density`` was not fitted to.
    apart
        The held-out patches are a set that was given as such: the backbone may have been trained
        on the others, which then lie closer together than new ones. They alone calibrate.
    density
        Of the pooled features, fitted; None where a detector is fitted on its own.
    prior
        What the network that measured the patches was taught of damage; None without a head.
    seed
        Of every random draw.
    counts : (n,) bool
        Of a reference that nobody sorted, which of its patches calibrate; all without.
    rare : (r, 2048) float32
        Patches that nothing is fitted to, and that calibrate: what is rare among clean ones.
    """

    clean: NDArray[np.float32]
    fold: NDArray[np.int64]
    damaged: NDArray[np.float32] = field(
        default_factory=lambda: np.empty((0, STATISTICS_DIM), np.float32)
    )
    sources: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    held: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    apart: bool = False
    density: FeatureDensity | None = None
    prior: GeneralPrior | None = None
    seed: int = 0
    counts: NDArray[np.bool_] | None = None
    rare: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def train(self) -> NDArray[np.int64]:
        """Rows (n - k,) that the density was fitted to."""
        return np.setdiff1d(np.arange(len(self)), self.held)

    @property
    def calibrates(self) -> NDArray[np.bool_]:
        """Rows (n,) of which scores out of fold calibrate a detector."""
        rows = np.isin(np.arange(len(self)), self.held) | (not self.apart)
        return rows if self.counts is None else rows & self.counts

    def without(self, fold: int) -> Reference:
        """The reference without the patches of a fold and without their damaged copies."""
        kept = self.fold != fold
        copies = kept[self.sources]
        # Where each of the rows that stay has moved to.
        row = np.cumsum(kept) - 1
        return dataclasses.replace(
            self,
            clean=self.clean[kept],
            fold=self.fold[kept],
            damaged=self.damaged[copies],
            sources=row[self.sources[copies]],
            held=row[self.held[kept[self.held]]],
            counts=None if self.counts is None else self.counts[kept],
        )


class Detector(Protocol):
    """Gives each patch a number that tells how normal it is; made without arguments.

    Examples
    --------
    >>> class Centroid:
    ...     def fit(self, reference):
    ...         self.mean = reference.clean.mean(0)
    ...         return self
    ...     def scores(self, statistics):
    ...         return -np.linalg.norm(statistics - self.mean, axis=1).astype(float)
    ...     def state(self):
    ...         return {"mean": self.mean}
    ...     @classmethod
    ...     def from_state(cls, state, density):
    ...         made = cls()
    ...         made.mean = state["mean"]
    ...         return made
    >>> statistics = np.array([[0.0], [2.0], [7.0]], np.float32)
    >>> reference = Reference(statistics[:2], fold=np.array([0, 1]))
    >>> Centroid().fit(reference).scores(statistics).tolist()
    [-1.0, -1.0, -6.0]
    """

    def fit(self, reference: Reference) -> Self:
        """Fit to clean patches, and to damaged copies of them where these are of use."""
        ...

    def scores(self, statistics: NDArray[np.float32]) -> Scores:
        """Score (n,) float64 of stage statistics (n, 2048); what is not finite is abnormal."""
        ...

    def state(self) -> State:
        """All fitted numbers as arrays, by name: what a model file holds of it."""
        ...

    @classmethod
    def from_state(cls, state: State, density: FeatureDensity) -> Self:
        """Rebuild what :meth:`state` gave; KeyError if a part is missing, ValueError for one that
        cannot be (:func:`rl2qc.core.arrays.checked_array`): a model file is then refused.

        Floating-point numbers come as float64. ``density`` is the model's, for a detector that
        builds on it.
        """
        ...


@dataclass(frozen=True)
class DetectorSpec:
    """A detector, or what combines the scores of others.

    Parameters
    ----------
    name
        What the user asks for.
    detector
        A class with the members of :class:`Detector`.
    meaning
        One line on what the score is, with its unit.
    reads
        What it takes of the forward pass: the "statistics" of the stages, or the "evidence" of the
        network's map behind them, where there is a map; it is left out of models without.
    higher_is_normal
        False for scores that are higher for abnormal patches: their sign is turned.
    calibration
        "folds": by the scores of clean patches out of fold. "held_out": by those of held-out
        patches, for what rests on the model's density, which was fitted to all others.
    out_of_fold
        Gives the scores (n,) out of fold of a fitted detector that has found them itself; without
        it the detector is fitted anew without each fold.
    parts, combine
        In place of ``detector``: names of detectors, and what makes the score (n,) of their
        scores, by name.
    joined
        Names of detectors that take part in the combination where the model has them.
    order
        Where it stands in lists.

    Raises
    ------
    UsageError
        Neither a detector nor something to combine.

    Examples
    --------
    >>> spec = DetectorSpec("worst", parts=("stages", "probe"), combine=lambda s: min(s.values()))
    >>> spec.calibration, spec.reads
    ('folds', 'statistics')
    """

    name: str
    detector: type[Detector] | None = None
    meaning: str = ""
    reads: Literal["statistics", "evidence"] = "statistics"
    higher_is_normal: bool = True
    calibration: Literal["folds", "held_out"] = "folds"
    out_of_fold: Callable[[Any], Scores] | None = None
    parts: tuple[str, ...] = ()
    combine: Callable[[Mapping[str, Scores]], Scores] | None = None
    joined: tuple[str, ...] = ()
    order: int = 100

    def __post_init__(self) -> None:
        if "." in self.name:
            raise UsageError(f"the name of the detector {self.name!r} must be without dots")
        combines = bool(self.parts) and self.combine is not None
        if combines == (self.detector is not None):
            raise UsageError(f"the detector {self.name!r} needs a class, or parts and combine")

    def columns(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of rows (n, d) of the forward pass, what the detector reads."""
        return rows if self.reads == "evidence" else rows[:, :STATISTICS_DIM]


DETECTORS: Registry[DetectorSpec] = Registry(
    "detector",
    room="rl2qc.model.detectors",
    group="rl2qc.detectors",
    aliases={"detector": "combined"},
)
"""All detectors; other packages add theirs by the entry points ``rl2qc.detectors``."""


def fit_detector(spec: DetectorSpec, reference: Reference) -> Detector:
    """The detector of a spec, fitted to what it reads of a reference."""
    assert spec.detector is not None
    made = spec.detector()
    made.fit(
        dataclasses.replace(
            reference,
            clean=spec.columns(reference.clean),
            damaged=spec.columns(reference.damaged),
        )
    )
    return made


def checked_scores(name: str, scores: Any, n: int) -> Scores:
    """What a detector gives, as (n,) float64; UsageError for anything else.

    Examples
    --------
    >>> checked_scores("mine", [1, 2], 2).dtype
    dtype('float64')
    """
    array = np.asarray(scores, np.float64)
    if array.shape != (n,):
        raise UsageError(
            f"the detector {name!r} must give one score a patch, ({n},), got {array.shape}"
        )
    return array


def checked_standard(state: State) -> NDArray[np.float64]:
    """Median and lower standard deviation, (2,), of a state's "standard".

    Raises
    ------
    KeyError
        It is missing.
    ValueError
        They are no such numbers.
    """
    standard = checked_array(state, "standard", (2,))
    if standard[1] <= 0:
        raise ValueError("the second number of standard must lie above 0")
    return standard


def register_detector(spec: DetectorSpec, *, replace: bool = False) -> DetectorSpec:
    """Add a detector: training, model files and the benchmark then know it.

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
    >>> spec = DetectorSpec("both", parts=("stages", "probe"), combine=lambda s: sum(s.values()))
    >>> register_detector(spec).name in DETECTORS
    True
    >>> DETECTORS.unregister("both")
    """
    return DETECTORS.register(spec, replace=replace)

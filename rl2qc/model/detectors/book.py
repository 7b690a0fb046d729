"""All detectors of a model: fitted together, calibrated, asked by name, stored.

Each score is higher for more normal patches and is calibrated to conformal p-values by the scores
of clean patches that it was not fitted to, so that any of them can be asked for and none has to be
believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.arguments import check
from rl2qc.core.arrays import checked_array
from rl2qc.core.registry import nearest
from rl2qc.errors import UsageError
from rl2qc.model.density.features import FeatureDensity
from rl2qc.model.detectors.base import (
    DETECTORS,
    FILTER_SCORE,
    Detector,
    DetectorSpec,
    Reference,
    Scores,
    State,
    checked_scores,
    fit_detector,
)
from rl2qc.model.detectors.evidence import EvidenceDetector
from rl2qc.model.detectors.folds import calibration_scores
from rl2qc.stats.prior import GeneralPrior

__all__ = ["Calibration", "DetectorSet"]


class Calibration(dict[str, NDArray[np.float64]]):
    """Scores (m,) of clean patches by the name of a detector; old names are understood.

    Examples
    --------
    >>> Calibration(combined=np.zeros(3))["detector"].tolist()
    [0.0, 0.0, 0.0]
    """

    def __missing__(self, name: str) -> NDArray[np.float64]:
        if name not in DETECTORS.aliases:
            raise KeyError(name)
        return self[DETECTORS.aliases[name]]


class DetectorSet:
    """The fitted detectors of a model.

    Parameters
    ----------
    fitted
        Detectors by name, without those that combine others.
    density
        Of the pooled features, on which some rest.
    unknown
        States of detectors that are not registered here, as those of a package that is not
        imported: kept, and rebuilt when one is asked for.
    """

    def __init__(
        self,
        fitted: Mapping[str, Detector],
        density: FeatureDensity,
        unknown: Mapping[str, State] | None = None,
    ) -> None:
        self.density = density
        self._fitted, self._unknown = dict(fitted), dict(unknown or {})

    @classmethod
    def fit(cls, reference: Reference) -> tuple[DetectorSet, Calibration]:
        """Fit every registered detector; with what calibrates each.

        Raises
        ------
        UsageError
            A detector that gives no scores (n,).
        """
        assert reference.density is not None
        fitted: dict[str, Detector] = {}
        calibration = Calibration()
        for spec in DETECTORS:
            if spec.detector is None or (spec.reads == "evidence" and reference.prior is None):
                continue
            fitted[spec.name] = fit_detector(spec, reference)
            found = calibration_scores(spec, fitted[spec.name], reference)
            calibration[spec.name] = _finite(_upwards(spec, found))
        made = cls(fitted, reference.density)
        for spec in made._combinations():
            assert spec.combine is not None
            parts = {part: calibration[part] for part in made._parts(spec)}
            if len({len(scores) for scores in parts.values()}) > 1:
                raise UsageError(
                    f"the parts of the detector {spec.name!r} are calibrated by different patches: "
                    "combine those of one kind"
                )
            n = len(parts[spec.parts[0]])
            found = checked_scores(spec.name, spec.combine(parts), n)
            calibration[spec.name] = _finite(_upwards(spec, found))
        return made, calibration

    def __repr__(self) -> str:
        return f"DetectorSet({', '.join(self.names)})"

    @property
    def names(self) -> tuple[str, ...]:
        """All that can be asked for, in the order of the registry; unregistered ones last."""
        combined = {spec.name for spec in self._combinations()}
        known = tuple(n for n in DETECTORS.names() if n in self._fitted or n in combined)
        return known + tuple(name for name in self._unknown if name not in known)

    @property
    def prior(self) -> GeneralPrior | None:
        """What the network was taught of damage; None for one without a head."""
        fitted = (d.prior for d in self._fitted.values() if isinstance(d, EvidenceDetector))
        return next(fitted, None)

    @property
    def lines(self) -> bool:
        """Whether the longest lines of a patch are part of its evidence."""
        return self.prior is not None and self.prior.lines

    def resolve(self, name: str) -> str:
        """The name of a detector of this model, of an old name too.

        Raises
        ------
        UsageError
            The model has none of that name, or it is not registered here.
        """
        check("score", name, str)
        resolved = DETECTORS.aliases.get(name, name)
        if resolved in self._unknown and resolved not in DETECTORS:
            raise UsageError(
                f"the detector {name!r} of the model is not registered here: import the package "
                "or the script that registers it"
            )
        if resolved in self.names:
            return resolved
        if resolved in DETECTORS:
            raise UsageError(
                f"the model has no detector {name!r}, which it was trained without: train it again"
            )
        raise UsageError(
            f"no detector {name!r}{nearest(name, self.names)} Choose from {', '.join(self.names)}"
        )

    def __call__(self, statistics: ArrayLike, names: Iterable[str]) -> dict[str, Scores]:
        """The scores (n,) float64 of rows (n, d) of the forward pass, by the names asked for."""
        array = np.asarray(statistics, np.float32)
        # What several of them rest on is computed once.
        found: dict[str, Scores] = {}
        return {name: self._score(self.resolve(name), array, found) for name in names}

    def __getitem__(self, name: str) -> Detector:
        """The fitted detector of a name."""
        if name not in self._fitted:
            spec = DETECTORS.get(name)
            if spec.detector is None or name not in self._unknown:
                raise KeyError(name)
            self._fitted[name] = spec.detector.from_state(self._unknown.pop(name), self.density)
        return self._fitted[name]

    def _score(
        self, name: str, statistics: NDArray[np.float32], found: dict[str, Scores]
    ) -> Scores:
        if name in found:
            return found[name]
        spec = DETECTORS.get(name)
        if spec.combine is not None:
            parts = self._parts(spec)
            scores = spec.combine({part: self._score(part, statistics, found) for part in parts})
        else:
            scores = self[name].scores(spec.columns(statistics))
        found[name] = _upwards(spec, checked_scores(name, scores, len(statistics)))
        return found[name]

    def _combinations(self) -> list[DetectorSpec]:
        """What combines detectors that are all here."""
        return [s for s in DETECTORS if s.combine is not None and self._fitted.keys() >= {*s.parts}]

    def _parts(self, spec: DetectorSpec) -> tuple[str, ...]:
        """What a combination is made of here."""
        return (*spec.parts, *(name for name in spec.joined if name in self._fitted))

    # --- stored ------------------------------------------------------------------------------

    def states(self) -> dict[str, State]:
        """The state of each detector that has fitted numbers, by its name."""
        return {n: d.state() for n, d in self._fitted.items()} | self._unknown

    @classmethod
    def from_states(
        cls, states: Mapping[str, State], names: Iterable[str], density: FeatureDensity
    ) -> DetectorSet:
        """Rebuild what :meth:`states` gave; KeyError if a part is missing, ValueError for one that
        no detector has.

        Parameters
        ----------
        states
            By name; those without fitted numbers may be left out.
        names
            All detectors of the model.
        density
            Of the model.
        """
        fitted: dict[str, Detector] = {}
        unknown: dict[str, State] = {}
        for name in dict.fromkeys([*names, *states]):
            spec = DETECTORS.get(name) if name in DETECTORS else None
            if spec is None:
                unknown[name] = states.get(name, {})
            elif spec.detector is not None:
                try:
                    fitted[name] = spec.detector.from_state(states.get(name, {}), density)
                except KeyError as error:
                    raise KeyError(f"{name}.{error.args[0]}") from error
                except ValueError as error:
                    raise ValueError(f"the detector {name}: {error}") from error
        return cls(fitted, density, unknown)

    def check(self, calibration: Calibration) -> None:
        """Whether a calibration is that of these detectors, and a filter can decide by them.

        Raises
        ------
        ValueError
            It is not.
        """
        if odd := sorted(set(self.names) ^ set(calibration)):
            raise ValueError(f"the detector {odd[0]!r} and what calibrates it are not both there")
        if not {FILTER_SCORE, "evidence"} & {*self.names} or "log_likelihood" not in self.names:
            raise ValueError("no detector that a filter decides by")
        by_place = {f"calibration.{name}": calibration[name] for name in self.names}
        lengths = {
            name: len(checked_array(by_place, f"calibration.{name}", (None,)))
            for name in self.names
        }
        for spec in self._combinations():
            if len({lengths[name] for name in (spec.name, *self._parts(spec))}) > 1:
                raise ValueError(f"{spec.name} and its parts are calibrated by different patches")


def _finite(scores: Scores) -> Scores:
    """Scores that are not finite as the least normal ones: p-values count both alike."""
    return np.where(np.isfinite(scores), scores, np.finfo(np.float64).min)


def _upwards(spec: DetectorSpec, scores: Scores) -> Scores:
    """The scores, higher for more normal patches."""
    return scores if spec.higher_is_normal else -scores

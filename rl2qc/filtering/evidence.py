"""What a general model found in the tiles of a slide, adapted to nothing: what decisions are made
from, today's and later ones.

It lies beside the table as ``evidence.npz``, so that :func:`rl2qc.decide` adapts anew, to slides
that came later too, without a look at the pixels or the model's file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.arguments import check
from rl2qc.core.arrays import read_arrays, write_arrays
from rl2qc.errors import WorkError
from rl2qc.filtering.decision import ADAPT
from rl2qc.images.cells import CellMap
from rl2qc.stats.adaptation import Adaptation, cell_limits, judge, judge_own, unadapted
from rl2qc.stats.prior import GeneralPrior, logit

__all__ = ["EVIDENCE", "Evidence", "adaptation_warnings", "describe_adaptation", "judge_evidence"]

EVIDENCE = "evidence.npz"
_PRIOR = "prior."
# How the warnings of adaptation begin, to find those of an earlier one by.
_BAD, _FEW = "the slide looks damaged as a whole", "few tiles say what is usual here"
_ENOUGH = 20
_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence of n tiles.

    Attributes
    ----------
    prior
        What it means: what the network was taught of damage.
    values : (n, e) float32
        By the names of the prior, probabilities and densities.
    cells
        Where in the tiles.
    adapts
        Whether it is judged beside what is usual in the slides at hand; else the model's own
        reference is the yardstick.
    """

    prior: GeneralPrior
    values: NDArray[np.float32]
    cells: CellMap
    adapts: bool = True

    def __len__(self) -> int:
        return len(self.values)

    def mask(self, adaptation: Adaptation | None = None) -> NDArray[np.uint8]:
        """The strongest class (n, h, w) of each cell, counted from 1; 0 where none is beyond what
        clean cells have, by what is usual in the slides at hand."""
        if adaptation is None:
            return self.cells.mask()
        return self.cells.mask(logit(cell_limits(adaptation, self.prior)) - self.prior.cells)

    def take(self, rows: NDArray[np.int64]) -> Evidence:
        """That of some tiles."""
        return Evidence(self.prior, self.values[rows], self.cells.take(rows), self.adapts)

    def save(self, path: Path) -> None:
        """Write it to ``path``."""
        state = {f"{_PRIOR}{name}": array for name, array in self.prior.state().items()}
        own: dict[str, NDArray[Any]] = {
            "values": self.values,
            "cells": self.cells.cells,
            "classes": np.array(self.cells.classes),
            "adapts": np.array(self.adapts),
        }
        write_arrays(path, own | state)

    @classmethod
    def load(cls, path: Path) -> Evidence:
        """Read what :meth:`save` wrote.

        Raises
        ------
        WorkError
            It is damaged, or its parts do not fit each other.
        """
        arrays = read_arrays(path)
        state = {
            name.removeprefix(_PRIOR): array
            for name, array in arrays.items()
            if name.startswith(_PRIOR)
        }
        try:
            classes = tuple(map(str, arrays["classes"]))
            found = cls(
                GeneralPrior.from_state(state, classes),
                arrays["values"],
                CellMap(classes, arrays["cells"]),
                bool(arrays["adapts"]),
            )
            found.check()
        except (KeyError, TypeError, ValueError) as error:
            raise WorkError(f"{path} is damaged ({error})") from error
        return found

    def check(self) -> None:
        """ValueError where the parts do not fit each other."""
        self.cells.check()
        if self.values.shape != (len(self.cells), len(self.prior.names)):
            raise ValueError(f"evidence of shape {self.values.shape}")
        if not np.isfinite(self.values).all():
            raise ValueError("evidence that is not finite")
        if len(self) and not 0 <= self.values.min() <= self.values.max() <= 1 + _ROUNDING:
            raise ValueError("probabilities outside [0, 1]")


def judge_evidence(
    evidence: Evidence | None, adapt: str, cohort: Adaptation | None
) -> tuple[Adaptation | None, dict[str, NDArray[np.float64]]]:
    """What evidence says beside what is usual: the adaptation, and the columns that follow from it.

    Parameters
    ----------
    evidence
        None, or that of a model with a reference of its own, follows no slide.
    adapt
        One of :data:`rl2qc.filtering.decision.ADAPT`.
    cohort
        What is usual in the slides of its cohort; None where a slide stands alone.

    Returns
    -------
    The adaptation, and "score" (higher is more normal) and "p_value", (n,) float64.
    """
    check("adapt", adapt, str, choices=ADAPT)
    if evidence is None or not evidence.adapts or not len(evidence):
        return None, {}
    prior, values = evidence.prior, evidence.values
    if adapt == "none":
        adaptation = unadapted(prior)
        judged = judge(values, adaptation, prior)
    elif adapt == "cohort" and cohort is not None:
        adaptation, judged = cohort, judge(values, cohort, prior)
    else:
        adaptation, judged = judge_own(values, prior, None if adapt == "slide" else cohort)
    return adaptation, {"score": -judged.score, "p_value": judged.p_value}


def adaptation_warnings(warnings: Iterable[str], adaptation: Adaptation | None) -> tuple[str, ...]:
    """``warnings`` with what is to be said of an adaptation brought up to date.

    Examples
    --------
    >>> adaptation_warnings(["few tiles say what is usual here: 3"], None)
    ()
    """
    others = [said for said in warnings if not said.startswith((_BAD, _FEW))]
    if adaptation is None:
        return tuple(others)
    if adaptation.limited:
        others.append(
            f"{_BAD}: its usual tile is worse than clean ones are in any laboratory, so it is "
            "judged by those; look whether it is out of focus, inked or badly stained"
        )
    if 0 < adaptation.tiles < _ENOUGH:
        others.append(
            f"{_FEW}: {adaptation.tiles} tiles, which count beside what other laboratories have"
        )
    return tuple(others)


def describe_adaptation(adaptation: Adaptation | None, cohort: Adaptation | None) -> str:
    """What tiles were judged beside, how sure that is, and what share of them looks damaged; ""
    for tiles that have a reference.

    Examples
    --------
    >>> describe_adaptation(None, None)
    ''
    """
    if adaptation is None:
        return ""
    if not adaptation.tiles:
        return "what other laboratories have"
    others = f" and those of slides like it, {cohort.tiles} in all" if cohort is not None else ""
    return (
        f"{adaptation.tiles} tiles of its own{others}; they settle {adaptation.certainty:.0%} of "
        f"what is usual, and {adaptation.damaged:.0%} of them look damaged"
    )

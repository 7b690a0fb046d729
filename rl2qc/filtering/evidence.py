"""What a general model found in the tiles of a slide, adapted to nothing: what decisions are made
from, today's and later ones.

It lies beside the table as ``evidence.npz``, so that :func:`rl2qc.decide` adapts anew, to slides
that came later too, without a look at the pixels or the model's file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.arguments import check
from rl2qc.core.arrays import read_arrays, write_arrays
from rl2qc.errors import WorkError
from rl2qc.filtering.decision import ADAPT
from rl2qc.images.blank import BLANK_P
from rl2qc.images.cells import WITHOUT_EDGES, CellMap, encode_cells
from rl2qc.images.odd_hue import hue_p_values, mark_ink
from rl2qc.stats.adaptation import (
    Adaptation,
    cell_limits,
    judge,
    judge_own,
    moved,
    score_at,
    unadapted,
)
from rl2qc.stats.looks import corrected, worst_of
from rl2qc.stats.prior import GeneralPrior, logit

__all__ = ["EVIDENCE", "Evidence", "adaptation_warnings", "describe_adaptation", "judge_evidence"]

EVIDENCE = "evidence.npz"
_PRIOR = "prior."
# How the warnings of adaptation begin, to find those of an earlier one by.
_BAD, _FEW = "the slide looks damaged as a whole", "few tiles say what is usual here"
_ENOUGH = 20
_ROUNDING = 1e-5
# Of clean tiles, the share whose cells are believed, and that which is damaged beyond question.
_QUESTIONED, _SURE = 0.05, 0.001
# Cells along the side of a tile, of some 4 um.
_MOST_CELLS = 4096


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence of n tiles, of m looks at them.

    Attributes
    ----------
    prior
        What it means: what the network was taught of damage.
    values : (m, e) float32
        By the names of the prior, probabilities and densities.
    cells
        Where in what was looked at.
    adapts
        Whether it is judged beside what is usual in the slides at hand; else the model's own
        reference is the yardstick.
    tiles : (m,) int64
        Which tile each look is at; None where each tile was looked at once.
    places : (m, 2) int64
        The first cell of each look, across and down, counted from that of its tile; None as before.
    """

    prior: GeneralPrior
    values: NDArray[np.float32]
    cells: CellMap
    adapts: bool = True
    tiles: NDArray[np.int64] | None = None
    places: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        if self.tiles is None:
            return len(self.values)
        return int(self.tiles.max()) + 1 if len(self.tiles) else 0

    def worst(self, adaptation: Adaptation | None = None) -> Evidence:
        """That of the worst look at each tile, by what is usual in the slides at hand."""
        if self.tiles is None:
            return self
        p = judge(self.values, adaptation or unadapted(self.prior), self.prior).p_value
        return replace(self.take(worst_of(p, self.tiles)), tiles=None, places=None)

    def grouped(self, tiles: NDArray[np.int64], places: NDArray[np.int64]) -> Evidence:
        """The same, each of its rows a look at one of the ``tiles``."""
        return replace(self, tiles=tiles, places=places)

    @cached_property
    def tile_cells(self) -> CellMap:
        """The cells of whole tiles: where looks overlap, what is surest to be damaged counts."""
        if self.tiles is None or self.places is None:
            return self.cells
        down, across = self.cells.cells.shape[1:3]
        width, height = np.add(self.places.max(0, initial=0), (across, down))
        nothing = encode_cells(np.zeros((1, 1, 1, len(self.cells.classes))), self.prior.cells)
        kept = self.cells.cells.shape[3]
        laid = np.broadcast_to(nothing[..., :kept], (len(self), height, width, kept)).copy()
        for cells, tile, (x, y) in zip(self.cells.cells, self.tiles, self.places, strict=True):
            part = laid[tile, y : y + down, x : x + across]
            part[:] = np.where(cells[..., 1:2] > part[..., 1:2], cells, part)
        return CellMap(self.cells.classes, laid)

    def mask(
        self, adaptation: Adaptation | None = None, p_values: ArrayLike | None = None
    ) -> NDArray[np.uint8]:
        """The likeliest class (n, h, w) of each cell, counted from 1; 0 where none is beyond what
        clean cells have, by what is usual in the slides at hand.

        One clean cell in a hundred is, and more in tissue that the network has not seen. So cells
        of a tile that shows no damage as a whole must show more of it: their limits, in log-odds,
        rise by the logarithm of how many times its p-value (n,) is that of tiles in question. Where
        that is smaller, what has no edges must show less: such a tile may have it all over. These
        limits fall as far as it is the likely reason. Beside slides, what has a hue that no stain
        has is ink.
        """
        cells = self.tile_cells
        raised = np.zeros((1, len(cells.classes)))
        if adaptation is not None:
            raised = raised + logit(cell_limits(adaptation, self.prior)) - self.prior.cells
        if p_values is not None:
            times = np.log(np.maximum(np.asarray(p_values, np.float64), _SURE) / _QUESTIONED)
            fades = np.isin(cells.classes, WITHOUT_EDGES) * self.reasons(adaptation)
            raised = raised + np.where(times[:, None] > 0, 1, fades) * times[:, None]
        mask = cells.mask(raised)
        if adaptation is None or not adaptation.tiles:
            return mask
        return mark_ink(mask, cells.odd_hue, cells.classes)

    def reasons(self, adaptation: Adaptation | None = None) -> NDArray[np.float64]:
        """How likely each class (n, classes) is in each tile, if that is damaged."""
        usual = None if adaptation is None else adaptation.usual
        return self.prior.reasons(self.worst(adaptation).values, usual)

    def take(self, rows: NDArray[np.int64]) -> Evidence:
        """Some rows of it."""
        tiles = None if self.tiles is None else self.tiles[rows]
        places = None if self.places is None else self.places[rows]
        cells = self.cells.take(rows)
        return Evidence(self.prior, self.values[rows], cells, self.adapts, tiles, places)

    def save(self, path: Path) -> None:
        """Write it to ``path``."""
        state = {f"{_PRIOR}{name}": array for name, array in self.prior.state().items()}
        own: dict[str, NDArray[Any]] = {
            "values": self.values,
            "cells": self.cells.cells,
            "classes": np.array(self.cells.classes),
            "adapts": np.array(self.adapts),
        }
        if self.tiles is not None and self.places is not None:
            own |= {"tiles": self.tiles, "places": self.places}
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
                arrays.get("tiles"),
                arrays.get("places"),
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
        if self.values.size and not 0 <= self.values.min() <= self.values.max() <= 1 + _ROUNDING:
            raise ValueError("probabilities outside [0, 1]")
        self._check_looks()

    def _check_looks(self) -> None:
        """ValueError for looks at tiles that are not there."""
        if self.tiles is None:
            return
        if self.tiles.shape != (len(self.values),) or self.tiles.dtype.kind != "i":
            raise ValueError(f"looks of shape {self.tiles.shape} {self.tiles.dtype}")
        numbers = np.unique(self.tiles)
        if not np.array_equal(numbers, np.arange(len(numbers))):
            raise ValueError("looks at tiles that are not there")
        places = self.places
        if places is None or places.shape != (len(self.tiles), 2) or places.dtype.kind != "i":
            raise ValueError("looks without a place in their tile")
        if len(places) and not 0 <= places.min() <= places.max() <= _MOST_CELLS:
            raise ValueError("looks beside their tile")


def judge_evidence(
    evidence: Evidence | None,
    adapt: str,
    cohort: Adaptation | None,
    weights: Sequence[float] = (),
    odd_hue: ArrayLike | None = None,
    blank: NDArray[np.bool_] | None = None,
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
    weights
        By how much each evidence weighs more, by a person's corrections; none is as it was taught.
    odd_hue : (n,)
        Share of each tile whose hue no stain has: where that condemns a tile beyond doubt, it is
        judged by it, unless no slide is adapted to.
    blank : (n,)
        Which tiles show nothing but glass: beyond doubt no tissue.

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
    judged = moved(judged, values, weights, adaptation, prior) if any(weights) else judged
    score, p = -judged.score, judged.p_value
    if evidence.tiles is not None:
        worst = worst_of(p, evidence.tiles)
        score, p = score[worst], corrected(p[worst], np.bincount(evidence.tiles))
    beyond_doubt = [] if blank is None else [np.where(blank, BLANK_P, 1.0)]
    if odd_hue is not None and adapt != "none":
        beyond_doubt.append(hue_p_values(odd_hue))
    for by_quantity in beyond_doubt:
        surer = by_quantity < p
        score = np.where(surer, -score_at(by_quantity, adaptation, prior), score)
        p = np.minimum(p, by_quantity)
    return adaptation, {"score": score, "p_value": p}


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

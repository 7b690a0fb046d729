"""What was kept of a fold (scripts/evaluate_general.py), judged as the product judges it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from general_judge import Laboratory, Tiles, fit_prior
from numpy.typing import NDArray

from rl2qc.filtering.evidence import Evidence
from rl2qc.images.cells import CellMap, encode_cells
from rl2qc.images.odd_hue import mark_ink, reasons_by_hue
from rl2qc.stats.adaptation import Adaptation, Judged, adapt, judge, unadapted
from rl2qc.stats.prior import GeneralPrior, evidence_names, map_evidence, probability
from rl2qc.synthetic.teaching import CLASSES

__all__ = ["Arrays", "Fold", "cells_of", "laboratories", "labs_of"]

Arrays = dict[str, NDArray[Any]]
# Cells of a laboratory that calibrate the limits of the masks.
_CELLS = 8000


def maps_of(found: Arrays, name: str) -> NDArray[np.float32]:
    """Probabilities (n, h, w, classes)."""
    maps = probability(np.moveaxis(found[f"{name}|map"].astype(np.float32), 1, 3))
    return np.asarray(maps, np.float32)


def tiles_of(found: Arrays, name: str) -> Tiles:
    """What was kept of a stack of tiles; none where it is not there."""
    if f"{name}|map" not in found:
        return Tiles(np.empty((0, len(evidence_names(CLASSES, lines=True)))))
    evidence = map_evidence(maps_of(found, name), probability(found[f"{name}|head"]))
    evidence = np.concatenate([evidence, found[f"{name}|lines"]], 1)
    kinds = found.get(f"{name}|kind", np.empty(0)).astype(np.int64)
    return Tiles(evidence.astype(np.float64), kinds)


def cells_of(found: Arrays, name: str) -> NDArray[np.float64]:
    """Log-odds (c, C) of some cells of a stack of tiles."""
    cells = np.moveaxis(found[f"{name}|map"], 1, 3).reshape(-1, len(CLASSES))
    rows = np.random.default_rng(0).permutation(len(cells))[:_CELLS]
    return cells[rows].astype(np.float64)


def laboratories(found: Arrays) -> dict[str, Laboratory]:
    """The teaching laboratories."""
    return {
        lab: Laboratory(
            plain=tiles_of(found, f"teach:{lab}:plain"),
            drawn=tiles_of(found, f"teach:{lab}:drawn"),
            clean=tiles_of(found, f"teach:{lab}:clean"),
            damaged=tiles_of(found, f"teach:{lab}:damaged"),
            cells=cells_of(found, f"teach:{lab}:plain"),
        )
        for lab in labs_of(found, "teach")
    }


@dataclass(frozen=True, eq=False)
class Fold:
    """What was kept of a fold, and the prior of its teaching laboratories."""

    found: Arrays

    @cached_property
    def prior(self) -> GeneralPrior:
        return fit_prior(laboratories(self.found), CLASSES)

    @cached_property
    def evidence(self) -> dict[str, NDArray[np.float64]]:
        """Of each stack of tiles, (n, E)."""
        names = [k.removesuffix("|map") for k in self.found if k.endswith("|map")]
        return {name: tiles_of(self.found, name).evidence for name in names}

    def group(self, name: str) -> Adaptation:
        """What the stack's own laboratory, or slide, says is usual."""
        folder, *rest = name.split(":")
        if folder == "slide":
            return adapt(self.evidence["slide"][self.found["slide|tissue"] >= 0.1], self.prior)
        home = f"{folder}:{rest[0]}:{'plain' if folder == 'teach' else 'clean'}"
        if folder == "real" and "liver_b" in rest[0]:
            home = "out:liver_b:clean"
        if home not in self.evidence:
            return unadapted(self.prior)
        return adapt(self.evidence[home], self.prior)

    def judge(self, name: str) -> Judged:
        return judge(self.evidence[name], self.group(name), self.prior)

    def mask(self, name: str) -> NDArray[np.uint8]:
        """Class (n, h, w) of each damaged cell, counted from 1; 0 for others."""
        of_tiles = self.prior.reasons(self.evidence[name])
        cells = encode_cells(maps_of(self.found, name), self.prior.cells, of_tiles)
        values = self.evidence[name].astype(np.float32)
        found = Evidence(self.prior, values, CellMap(CLASSES, cells))
        mask = found.mask(self.group(name), self.judge(name).p_value)
        own, usual = (self.found[f"{n}|hue_cells"] / 4 for n in (name, self.clean(name)))
        beside = np.zeros(usual.shape, np.uint8)
        for cells, hue in zip(mask, own, strict=True):
            cells[:] = mark_ink(np.stack([*beside, cells]), np.stack([*usual, hue]), CLASSES)[-1]
        return mask

    @staticmethod
    def clean(name: str) -> str:
        """The stack of clean tiles beside which another is looked at; a slide is beside itself."""
        return name if name == "slide" else f"{name.rpartition(':')[0]}:clean"

    def reasons(self, name: str) -> NDArray[np.int64]:
        """Class (n,) of each tile, if it is damaged, beside clean tiles of its laboratory."""
        found = self.prior.reasons(self.evidence[name], self.group(name).usual)
        own, usual = (self.found[f"{n}|hue"] for n in (name, self.clean(name)))
        for row, hue in zip(found, own, strict=True):
            beside = np.tile(row, (len(usual) + 1, 1))
            row[:] = reasons_by_hue(beside, [*usual, hue], CLASSES)[-1]
        return np.asarray(found.argmax(1), np.int64)

    def scores(self) -> dict[str, Arrays]:
        """Scores of the network ("new") and the shipped model ("now"); higher is worse."""
        new = {name: self.judge(name).score for name in self.evidence}
        now = {
            name: -self.found[f"{name}|shipped"]
            for name in self.evidence
            if f"{name}|shipped" in self.found
        }
        return {"new": new, "now": now}


def labs_of(scores: Arrays, folder: str) -> list[str]:
    return sorted({k.split(":")[1] for k in scores if k.startswith(f"{folder}:")})

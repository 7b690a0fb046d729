"""Evidence in a file, and what is said of an adaptation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from toy_general import CLASSES, toy_prior

from rl2qc.core.arrays import read_arrays, write_arrays
from rl2qc.errors import WorkError
from rl2qc.filtering.evidence import (
    Evidence,
    adaptation_warnings,
    describe_adaptation,
    judge_evidence,
)
from rl2qc.images.cells import CellMap
from rl2qc.stats.adaptation import adapt, unadapted


def toy_evidence(n: int = 40, *, adapts: bool = True, damage: float = 0.02) -> Evidence:
    rng = np.random.default_rng(0)
    prior = toy_prior()
    values = rng.beta(2, 2 / damage, (n, len(prior.names))).astype(np.float32)
    cells = rng.integers(-20, 20, (n, 4, 4, 2), np.int8)
    cells[..., 0] = rng.integers(0, len(CLASSES), (n, 4, 4))
    return Evidence(prior, values, CellMap(CLASSES, cells), adapts)


def test_what_is_read_is_what_was_saved(tmp_path: Path) -> None:
    evidence = toy_evidence(adapts=False)
    evidence.save(tmp_path / "a.npz")
    again = Evidence.load(tmp_path / "a.npz")
    assert (again.adapts, again.cells.classes, len(again)) == (False, CLASSES, 40)
    np.testing.assert_array_equal(again.values, evidence.values)
    np.testing.assert_array_equal(again.mask(), evidence.mask())
    assert again.prior.state().keys() == evidence.prior.state().keys()
    np.testing.assert_array_equal(again.take(np.array([3, 1])).values, evidence.values[[3, 1]])


@pytest.mark.parametrize(
    "change",
    [
        {"values": np.zeros((39, 15), np.float32)},
        {"values": np.zeros((40, 14), np.float32)},
        {"values": np.full((40, 15), np.nan, np.float32)},
        {"cells": np.zeros((40, 4, 4), np.int8)},
        {"cells": np.full((40, 4, 4, 2), 3, np.int8)},
        {"classes": np.array(["ink", "fold"])},
        {"prior.weights": np.zeros(14)},
        {"prior.bias": np.array(np.inf)},
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "a.npz"
    toy_evidence().save(path)
    write_arrays(path, read_arrays(path) | change)
    with pytest.raises(WorkError, match=r"a\.npz is damaged"):
        Evidence.load(path)


@pytest.mark.parametrize("part", ["values", "cells", "classes", "adapts", "prior.weights"])
def test_a_part_that_is_missing_is_named(tmp_path: Path, part: str) -> None:
    path = tmp_path / "a.npz"
    toy_evidence().save(path)
    write_arrays(path, {k: v for k, v in read_arrays(path).items() if k != part})
    with pytest.raises(WorkError, match=part.removeprefix("prior.")):
        Evidence.load(path)


def test_a_model_with_a_reference_is_judged_by_it() -> None:
    assert judge_evidence(toy_evidence(adapts=False), "auto", None) == (None, {})
    assert judge_evidence(None, "auto", None) == (None, {})


def test_the_mask_follows_what_is_usual() -> None:
    evidence = toy_evidence()
    usual = unadapted(evidence.prior)
    np.testing.assert_array_equal(evidence.mask(usual), evidence.mask())
    # Limits follow by half of what the group's cells lie above the prior's: two logits here.
    raised = replace(usual, high=usual.high + 4)
    np.testing.assert_array_equal(evidence.mask(raised), lowered(evidence, 2.0).mask())
    assert evidence.mask(raised).any()


def test_a_group_that_is_bad_as_a_whole_is_said_to_be() -> None:
    bad = toy_evidence(200, damage=8.0)
    adaptation = adapt(bad.values, bad.prior)
    assert adaptation.limited
    first = adaptation_warnings(["of before"], adaptation)
    assert first[0] == "of before" and "damaged as a whole" in first[1] and len(first) == 2
    # Said once, and no longer when it no longer holds.
    assert adaptation_warnings(first, adaptation) == first
    assert adaptation_warnings(first, None) == ("of before",)


def test_what_tiles_were_judged_beside() -> None:
    evidence = toy_evidence()
    own = adapt(evidence.values, evidence.prior)
    assert describe_adaptation(unadapted(evidence.prior), None) == "what other laboratories have"
    text = describe_adaptation(own, None)
    assert text.startswith("40 tiles of its own; they settle 93% of what is usual, and ")
    assert "and those of slides like it, 40 in all" in describe_adaptation(own, own)


def test_cells_of_tiles_without_damage_must_show_more_of_it() -> None:
    evidence = toy_evidence()
    usual = unadapted(evidence.prior)
    n = len(evidence)
    # What is in question, or rejected, is as it was.
    np.testing.assert_array_equal(evidence.mask(usual, np.full(n, 0.05)), evidence.mask(usual))
    np.testing.assert_array_equal(evidence.mask(usual, np.full(n, 1e-9)), evidence.mask(usual))
    p = np.where(np.arange(n) % 2, 0.05, 0.05 * np.e**2)
    needed = np.where(np.arange(n) % 2, 0.0, 2.0)[:, None, None]
    found = evidence.mask(usual, p)
    np.testing.assert_array_equal(found, lowered(evidence, needed).mask())
    assert (found[::2] > 0).sum() < (evidence.mask(usual)[::2] > 0).sum()


@pytest.mark.parametrize("classes", [("ink", "fold", "out_of_focus"), ("ink", "fold", "other")])
def test_what_has_no_edges_is_shown_all_over_tiles_that_have_it(classes: tuple[str, ...]) -> None:
    toy = toy_evidence()
    evidence = replace(
        toy, prior=replace(toy.prior, classes=classes), cells=CellMap(classes, toy.cells.cells)
    )
    usual, p = unadapted(evidence.prior), np.geomspace(1e-5, 0.05, len(evidence))
    likely = evidence.reasons(usual)[:, 2] * (classes[2] == "out_of_focus")
    falls = np.zeros((len(evidence), 3))
    falls[:, 2] = np.log(0.05 / np.maximum(p, 0.001)) * likely
    needed = -np.take_along_axis(
        falls[:, None, None], evidence.cells.cells[..., :1].astype(np.int64), 3
    )[..., 0]
    found = evidence.mask(usual, p)
    # Margins are whole quarters, limits are not.
    expected = lowered(evidence, np.floor(4 * needed.round(8)) / 4).mask()
    np.testing.assert_array_equal(found > 0, expected > 0)
    assert ((found > 0).sum() > (evidence.mask(usual) > 0).sum()) == (likely.max() > 0)


def lowered(evidence: Evidence, by: ArrayLike) -> CellMap:
    """The cells, with ``by`` less of a margin."""
    cells = evidence.cells.cells.astype(np.float64)
    cells[..., 1] -= 4 * np.asarray(by)
    return CellMap(evidence.cells.classes, cells.astype(np.int8))

"""Which slides to drop: each rule, their order, and what a table's verdict is made from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_general import CLASSES, toy_prior

from rl2qc.filtering.areas import tissue_shares
from rl2qc.filtering.evidence import Evidence
from rl2qc.filtering.table import TileTable
from rl2qc.filtering.verdict import (
    SlideNumbers,
    VerdictRules,
    numbers_of,
    verdict_of,
)
from rl2qc.images.cells import CellMap

CLEAN = SlideNumbers(100, usable=0.97, areas={"ink": 0.01}, darkness=0.8)


@pytest.mark.parametrize(
    ("changes", "word", "why"),
    [
        ({}, "use", "97% of the tissue is usable (ink 1%)"),
        ({"usable": 0.7}, "use in part", "70%"),
        ({"usable": 0.4}, "look", "40%"),
        ({"doubtful": 0.3}, "use in part", "67% of the tissue is usable, 30% in doubt"),
        ({"doubtful": 0.6}, "look", "37% of the tissue is usable, 60% in doubt"),
        ({"doubtful": 0.05}, "use", "97%"),
        ({"usable": 0.05}, "drop", "5%"),
        ({"areas": {"out of focus": 0.85}}, "drop", "out of focus as a whole: 85%"),
        ({"areas": {"out of distribution": 0.95}, "usable": 0.05}, "look", "95% of the tissue"),
        ({"odd_colours": "the tissue is green"}, "look", "wrong colours: the tissue is green"),
        ({"odd_hue": 0.6, "usable": 0.0}, "look", "no H&E"),
        ({"darkness": 0.2, "usable": 0.0}, "look", "faint"),
        ({"limited": True, "usable": 0.0}, "look", "worse than clean ones anywhere"),
        ({"drift": 0.3}, "look", "unlike the model's reference"),
        ({"drift": 0.3, "tiles": 5}, "use", "97%"),
        ({"apart": True}, "look", "unlike the other slides"),
        ({"unreadable": 30}, "look", "30 of 130 tiles cannot be read"),
        ({"unreadable": 3}, "use", "97%"),
        ({"tiles": 0, "blank": True, "usable": 0.0}, "drop", "no tissue"),
        ({"tiles": 0, "unreadable": 9, "usable": 0.0}, "look", "9 of 9"),
    ],
)
def test_each_rule(changes: dict, word: str, why: str) -> None:
    found = verdict_of(replace(CLEAN, **changes))
    assert found.word == word
    assert why in found.why


def test_the_thresholds_are_the_users() -> None:
    part = replace(CLEAN, usable=0.6, areas={"fold": 0.3})
    assert verdict_of(part).word == "use in part"
    assert verdict_of(part, VerdictRules(use_from=0.6)).word == "use"
    assert verdict_of(part, VerdictRules(drop_below=0.7)).word == "drop"
    assert verdict_of(part, VerdictRules(drop_area=0.3)).word == "drop"
    assert verdict_of(part, VerdictRules(max_rejected=0.3)).word == "look"


def with_map(table: TileTable) -> TileTable:
    """The first class in the left half of each tile, far beyond its limit; the rest is clean."""
    cells = np.zeros((len(table), 8, 8, 2), np.int8)
    cells[..., 1] = -20
    cells[:, :, :4, 1] = 20
    prior = toy_prior()
    values = np.full((len(table), len(prior.names)), 0.1, np.float32)
    return replace(table, evidence=Evidence(prior, values, CellMap(CLASSES, cells)))


def test_areas_are_shares_of_the_tissue(table: TileTable) -> None:
    assert tissue_shares(with_map(table)) == pytest.approx({"ink": 0.5})
    mapped = with_map(table)
    assert mapped.evidence is not None
    mapped.evidence.cells.cells[1:, ..., 1] = -20
    tissue = table.tissue_fraction
    assert mapped.areas == pytest.approx({"ink": 0.5 * tissue[0] / tissue.sum()})


def test_areas_in_square_microns_go_with_the_shares(table: TileTable) -> None:
    mapped = with_map(table)
    tissue = (table.tissue_fraction * table.width * table.height).sum() * table.slide_mpp**2
    assert mapped.area_um2 == pytest.approx({"ink": 0.5 * tissue})
    columns = mapped.columns()
    tile = table.width * table.height * table.slide_mpp**2
    np.testing.assert_allclose(columns["area_um2_ink"], 0.5 * tile)
    assert not columns["area_um2_fold"].any()
    assert replace(mapped, slide_mpp=None).area_um2 == {}
    assert "area_um2_ink" not in replace(mapped, slide_mpp=None).columns()
    assert "area_um2_ink" not in table.columns()


def test_what_several_tiles_share_is_one_area(table: TileTable) -> None:
    twice = with_map(replace(table, x=table.x * 0, y=table.y * 0, tissue_fraction=np.ones(6)))
    assert twice.areas == pytest.approx({"ink": 0.5})
    one = table.width[0] * table.height[0] * table.slide_mpp**2
    assert twice.area_um2 == pytest.approx({"ink": 0.5 * one})


def filled(table: TileTable, means: list[float], keep: list[bool]) -> TileTable:
    """Tiles alike in tissue, whose maps have this mean probability of the first class."""
    prior = toy_prior()
    values = np.full((6, len(prior.names)), 0.01, np.float32)
    values[:, 0] = means
    cells = np.zeros((6, 8, 8, 2), np.int8)
    cells[..., 1] = -20
    return replace(
        table,
        tissue_fraction=np.ones(6),
        keep=np.array(keep),
        evidence=Evidence(prior, values, CellMap(CLASSES, cells)),
    )


def test_what_fills_a_tile_counts_as_all_of_it(table: TileTable) -> None:
    gone = filled(table, [0.8] * 3 + [0.01] * 3, [False] * 3 + [True] * 3)
    assert gone.areas == pytest.approx({"ink": 0.5})
    # Kept as what is usual, while others are clear of it.
    half = filled(table, [0.8] * 3 + [0.01] * 3, [True] * 6)
    assert half.areas == {}
    assert numbers_of(half).doubtful == pytest.approx(0.5)
    # A laboratory all of whose tiles look so, none of them rejected, has such tiles.
    assert numbers_of(filled(table, [0.8] * 6, [True] * 6)).doubtful == 0
    # More than clean tiles of any laboratory show (log-odds 2) is damage, kept or not.
    assert filled(table, [0.95] * 6, [True] * 6).areas == pytest.approx({"ink": 1.0})
    # Of few tiles that are kept, the network is not so sure.
    few = filled(table, [0.95] + [0.01] * 5, [True] * 6)
    assert few.areas == pytest.approx({"ink": 1 / 6})
    assert replace(few, tissue_fraction=np.array([0.4, 1, 1, 1, 1, 1])).areas == {}


def test_what_was_rejected_for_one_damage_is_not_another_too(table: TileTable) -> None:
    """All tiles of a slide stored as JPEG look compressed; some are rejected, for another cause."""
    table = filled(table, [0.01] * 6, [False] * 2 + [True] * 4)
    table.evidence.values[:, 0] = 0.6
    table.evidence.values[:2, 1] = 0.9
    assert table.reasons[:2].tolist() == ["fold", "fold"]
    assert table.areas == pytest.approx({"fold": 1 / 3})


def test_without_a_map_the_reasons_count(table: TileTable) -> None:
    reasons = np.array(["", "ink or pen", "", "", "ink or pen", "out of focus"])
    table.__dict__["reasons"] = reasons
    tissue = table.tissue_fraction
    expected = {
        name: tissue[reasons == name].sum() / tissue.sum()
        for name in ("ink or pen", "out of focus")
    }
    assert table.areas == pytest.approx(expected)


def test_a_decision_moves_the_verdict(table: TileTable) -> None:
    table = replace(table, measurements=table.measurements | {"p_value": np.full(6, 0.03)})
    assert table.decide(0.05).verdict.word == "drop"
    assert table.decide(0.01).verdict.word == "use"
    decided = table.decide(0.05, drop_below=0.0, max_rejected=1.0)
    assert (decided.verdict.word, decided.drop_below) == ("use in part", 0.0)
    # What is not named stays.
    assert decided.decide(0.05).drop_below == 0.0
    assert table.decide(0.05, apart=True).apart is False  # no evidence: nothing to be unlike

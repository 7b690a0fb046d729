"""Tiles that their hue condemns, whatever the network says."""

from __future__ import annotations

import numpy as np
import pytest
from toy_general import CLASSES, toy_prior

from rl2qc.filtering.evidence import Evidence, judge_evidence
from rl2qc.images.cells import CellMap, encode_cells
from rl2qc.images.odd_hue import hue_p_values, mark_ink, reasons_by_hue
from rl2qc.images.quantities import image_quantities, odd_hue_cells
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.stats.adaptation import adapt, judge, score_at, unadapted


@pytest.fixture
def evidence() -> Evidence:
    """Of sixty clean tiles."""
    prior = toy_prior()
    values = np.random.default_rng(0).beta(2, 100, (60, len(prior.names))).astype(np.float32)
    return Evidence(prior, values, CellMap(CLASSES, np.zeros((60, 2, 2, 2), np.int8)))


def test_only_what_is_beyond_doubt_is_condemned():
    odd = np.array([0.0] * 40 + [0.0049, 0.0051, 0.02, 0.5])
    p = hue_p_values(odd)
    assert (p[:41] == 1).all() and (p[41:] <= 0.002).all()
    assert (np.diff(p[40:]) < 0).all()


def test_a_stain_that_has_such_hues_condemns_nothing():
    rng = np.random.default_rng(0)
    assert (hue_p_values(rng.uniform(0, 0.3, 200)) == 1).all()
    assert (hue_p_values([0.0] * 60 + [0.4] * 40) == 1).all()


def test_few_tiles_say_nothing_of_what_is_usual():
    assert (hue_p_values([0.0] * 18 + [0.5]) == 1).all()
    assert hue_p_values([0.0] * 19 + [0.5])[-1] < 0.002
    assert hue_p_values([]).shape == (0,)


@pytest.mark.parametrize("colour", [(40, 120, 60), (30, 60, 150), (25, 25, 25)])
def test_a_fleck_of_ink_is_told_and_blood_is_not(stained, colour):
    images = stained(31, 96)
    inked = images[0].copy()
    inked[40:56, 40:60] = colour
    bloody = images[1].copy()
    bloody[40:56, 40:60] = (150, 40, 60)
    at = QUANTITIES.index("odd_hue")
    odd = [image_quantities(i)[at] for i in (inked, bloody, *images[2:])]
    p = hue_p_values(odd)
    assert p[0] <= 0.002 and (p[1:] == 1).all()


def test_a_sure_hue_is_ink_unless_damage_is_seen_that_is_grey_itself():
    classes = ("fold", "ink", "pen", "bubble", "dark_spot", "foreign")
    of_classes = np.tile(np.eye(6) * 0.9 + 0.02, (6, 1))
    odd = np.zeros(36)
    odd[:6] = 0.1
    said = [classes[k] for k in reasons_by_hue(of_classes, odd, classes).argmax(1)[:6]]
    assert said == ["ink", "ink", "ink", "bubble", "dark_spot", "ink"]
    # Where the stain itself has such hues, they say nothing, and of no class that there is none.
    np.testing.assert_array_equal(reasons_by_hue(of_classes, odd + 0.1, classes), of_classes)
    np.testing.assert_array_equal(reasons_by_hue(of_classes[:6], odd[:6], classes), of_classes[:6])
    assert reasons_by_hue(np.empty((0, 6)), [], classes).shape == (0, 6)


def test_without_an_odd_hue_what_brings_one_is_the_less_likely():
    rng = np.random.default_rng(0)
    classes = ("fold", "ink", "stain")
    before = rng.dirichlet(np.ones(3), 40)
    after = reasons_by_hue(before, np.zeros(40), classes)
    # Bayes, with what the drawings show: 5 % of folds and 74 % of inks have such a hue.
    expected = before * [0.95, 0.26, 1.0]
    np.testing.assert_allclose(after / after.sum(1)[:, None], expected / expected.sum(1)[:, None])
    assert (after.argmax(1) != before.argmax(1)).any()


def test_score_at_is_the_inverse_of_the_p_value(evidence):
    adaptation = adapt(evidence.values, evidence.prior)
    judged = judge(evidence.values, adaptation, evidence.prior)
    found = score_at(judged.p_value, adaptation, evidence.prior)
    sure = (judged.p_value > 1e-6) & (judged.p_value < 0.999)
    assert sure.sum() > 5
    assert np.allclose(found[sure], judged.score[sure], atol=1e-4)


def test_evidence_gives_way_to_a_surer_hue(evidence):
    n = len(evidence)
    odd = np.zeros(n)
    odd[3] = 0.2
    _, plain = judge_evidence(evidence, "slide", None)
    _, hued = judge_evidence(evidence, "slide", None, odd_hue=odd)
    assert hued["p_value"][3] == min(plain["p_value"][3], hue_p_values(odd)[3])
    assert hued["score"][3] <= plain["score"][3]
    others = np.arange(n) != 3
    for name in plain:
        assert np.array_equal(hued[name][others], plain[name][others])
    # Scores and p-values order tiles alike.
    assert np.array_equal(np.argsort(hued["score"][:10]), np.argsort(hued["p_value"][:10]))
    _, none = judge_evidence(evidence, "none", None, odd_hue=odd)
    assert none["p_value"][3] == judge_evidence(evidence, "none", None)[1]["p_value"][3]


@pytest.mark.parametrize("shape", [(64, 64), (60, 72)])
def test_hue_by_cells_is_the_share_of_their_squares(stained, shape):
    (image,) = stained(1, 96)
    image = np.ascontiguousarray(image[: shape[0], : shape[1]])
    image[8:21, 16:30] = (40, 120, 60)
    image[40:48, 40:48] = (25, 25, 25)
    rows, columns = shape[0] // 8, shape[1] // 8
    (found,) = odd_hue_cells(image[None], (rows, columns))
    squares = shape[0] // 4, shape[1] // 4
    density = -np.log((np.arange(256) + 1) / 256)
    odd = np.zeros(squares)
    for i, j in np.ndindex(squares):
        block = image[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].reshape(-1, 3)
        d = density[np.rint(block.mean(0, dtype=np.float64)).astype(int)]
        odd[i, j] = d.max() > 0.2 and d.max() - d[1] > 0.05 * d.max()
    if shape == (64, 64):
        assert np.array_equal(found, odd.reshape(8, 2, 8, 2).sum((1, 3)))
    assert found[1, 2] == 4 and found.max() == 4
    # Black is grey, and the network's to name.
    assert found[5, 5] == 0


def test_a_cell_of_ink_is_marked_however_small(evidence):
    n = len(evidence)
    hue = np.zeros((n, 2, 2), np.int8)
    hue[0] = [[4, 2], [1, 0]]
    cells = encode_cells(np.zeros((n, 2, 2, len(CLASSES))), evidence.prior.cells, odd_hue=hue)
    found = Evidence(evidence.prior, evidence.values, CellMap(CLASSES, cells))
    own = adapt(found.values, found.prior)
    ink = CLASSES.index("ink") + 1
    mask = found.mask(own, np.ones(n))
    assert mask[0].tolist() == [[ink, ink], [0, 0]] and not mask[1:].any()
    # As for whole tiles, hue says nothing where no slide is adapted to, or where a stain has it.
    assert not found.mask(unadapted(found.prior)).any() and not found.mask().any()
    odd = np.full((n, 2, 2), 0.5)
    assert not mark_ink(np.zeros((n, 2, 2), np.uint8), odd, CLASSES).any()


def test_pen_stays_pen_and_other_damage_of_such_a_hue_is_ink():
    classes = ("pen", "bubble", "ink")
    mask, odd = np.zeros((24, 2, 2), np.uint8), np.zeros((24, 2, 2))
    mask[0], odd[0] = [[1, 2], [2, 0]], [[1, 1], [0.25, 0]]
    assert mark_ink(mask, odd, classes)[0].tolist() == [[1, 3], [2, 0]]
    assert mark_ink(mask, odd, classes[:2]) is mask
    few = mask[:5]
    assert mark_ink(few, odd[:5], classes) is few

"""Thresholds that follow the tiles at hand: against scipy, simulations and plain loops."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import genpareto, kstest

from rl2qc.stats.adaptation import (
    Adaptation,
    adapt,
    cell_limits,
    cohort_of,
    judge,
    judge_own,
    unadapted,
)
from rl2qc.stats.prior import GeneralPrior, logit, probability
from rl2qc.stats.splitting import split_groups

CLASSES = ("ink", "fold")
MIDDLE, SCALE = 2.0, 0.6


def prior_of(**changes) -> GeneralPrior:
    """Scores are ten times what the view's ink exceeds; laboratories lie about 2."""
    weights = np.zeros(10)
    weights[8] = 10.0
    state = {
        "usual": np.full(10, -9.0),
        "limit": np.full(10, -9.0),
        "weights": weights,
        "bias": np.array(0.0),
        "location": np.array([MIDDLE, 0.3]),
        "scale": np.array([SCALE, 0.2]),
        "shape": np.array(0.0),
        "width": np.array(0.3),
        "reach": np.array(8.0),
        "reason_weights": np.eye(2, 10, 8),
        "reason_bias": np.zeros(2),
        "cells": np.array([0.0, 1.0]),
        "cells_usual": np.zeros(2),
    }
    return GeneralPrior.from_state(state | changes, CLASSES)


def tiles_of(scores) -> np.ndarray:
    """Evidence (n, 10) that has these scores, where nothing is usual."""
    evidence = np.zeros((len(scores), 10))
    evidence[:, 8] = np.clip(np.asarray(scores) / 10, 0, 1)
    return evidence


def clean_scores(n: int, rng: np.random.Generator, middle=MIDDLE, scale=SCALE):
    up = rng.random(n) < 0.5
    return np.where(
        up, middle + rng.exponential(scale, n), middle - np.minimum(rng.exponential(0.3, n), 1.5)
    )


def test_p_values_are_scipys_where_everything_is_known():
    prior = prior_of(shape=np.array(0.2))
    known = Adaptation(prior.usual, 2.0, 0.0, np.array([0.6]), np.array([1.0]), np.zeros(2))
    scores = np.array([2.1, 3.0, 6.0, 9.5])
    found = judge(tiles_of(scores), known, prior)
    assert found.score == pytest.approx(scores, abs=1e-2)
    expected = 0.5 * genpareto.sf(found.score - 2.0, 0.2, scale=0.6)
    assert found.p_value == pytest.approx(expected)


def test_p_values_average_over_what_the_scale_may_be():
    prior = prior_of()
    known = Adaptation(prior.usual, 2.0, 0.0, np.array([0.3, 0.9]), np.array([0.25, 0.75]), ZERO)
    found = judge(tiles_of([4.0]), known, prior)
    x = found.score[0] - 2.0
    expected = 0.5 * (0.25 * np.exp(-x / 0.3) + 0.75 * np.exp(-x / 0.9))
    assert found.p_value[0] == pytest.approx(expected)


ZERO = np.zeros(2)


def test_uncertain_locations_average_as_a_fine_grid_does():
    prior = prior_of()
    known = Adaptation(prior.usual, 2.0, 0.3, np.array([0.6]), np.array([1.0]), ZERO)
    found = judge(tiles_of([3.6, 4.5]), known, prior)
    z = np.linspace(-6, 6, 20_001)
    weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    for score, p in zip(found.score, found.p_value, strict=True):
        expected = weight @ np.minimum(0.5 * np.exp(-(score - 2.0 - 0.3 * z) / 0.6), 1)
        assert p == pytest.approx(expected, rel=0.02)


def test_p_values_fall_with_the_score_and_have_no_smallest():
    prior, rng = prior_of(), np.random.default_rng(0)
    found = adapt(tiles_of(clean_scores(200, rng)), prior)
    p = judge(tiles_of(np.linspace(0, 10, 400)), found, prior).p_value
    assert (np.diff(p) <= 1e-15).all() and 0 < p[-1] < 1e-4 and p[0] <= 1


@pytest.mark.parametrize("middle", [1.5, 2.0, 2.8])
def test_p_values_of_a_clean_slide_are_even(middle):
    prior, rng = prior_of(), np.random.default_rng(1)
    scores = clean_scores(3000, rng, middle)
    _, judged = judge_own(tiles_of(scores), prior)
    assert kstest(judged.p_value, "uniform").statistic < 0.05
    for alpha in (0.05, 0.01, 0.001):
        expected = 3000 * alpha
        rejected = (judged.p_value <= alpha).sum()
        assert abs(rejected - expected) <= 4 * np.sqrt(expected)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_damage_neither_widens_nor_moves_much(share):
    prior, rng = prior_of(), np.random.default_rng(2)
    clean = clean_scores(700, rng, 1.6)
    damaged = rng.uniform(2.5, 9.5, round(share / (1 - share) * 700))
    found, judged = judge_own(tiles_of(np.concatenate([clean, damaged])), prior)
    assert found.damaged == pytest.approx(share, abs=0.06)
    assert found.location == pytest.approx(1.6, abs=0.12)
    kept = judged.p_value > 0.05
    assert 0.92 <= kept[:700].mean() <= 0.98
    assert kept[700:].mean() < 0.25


def test_what_is_usual_in_a_slide_does_not_count_up_to_the_limit():
    prior = prior_of(limit=np.full(10, logit(0.5)))
    rng = np.random.default_rng(3)
    evidence = tiles_of(clean_scores(600, rng))
    evidence[:, 9] = np.clip(rng.normal(0.3, 0.01, 600), 0, 1)
    found = adapt(evidence, prior)
    assert 0.28 < probability(found.usual)[9] < 0.33
    evidence[:, 9] = 0.9
    assert probability(adapt(evidence, prior).usual)[9] == pytest.approx(0.5)


def test_a_slide_that_is_bad_as_a_whole_is_judged_as_any_laboratory():
    prior, rng = prior_of(), np.random.default_rng(4)
    found, judged = judge_own(tiles_of(clean_scores(300, rng, 7.0)), prior)
    assert found.limited and found.tiles == 300
    assert (judged.p_value <= 0.05).all()
    assert found.location == prior.location[0]


def test_no_tile_at_all_leaves_the_prior():
    prior = prior_of()
    found, judged = judge_own(np.empty((0, 10)), prior)
    assert found.tiles == 0 and found.location == MIDDLE and len(judged.p_value) == 0
    base = replace(unadapted(prior), location=1.0)
    assert adapt(np.empty((0, 10)), prior, base).location == 1.0


def test_few_tiles_are_drawn_to_the_prior_or_to_their_cohort():
    prior = prior_of()
    three, many = tiles_of([3.0] * 3), tiles_of([3.0] * 300)
    assert MIDDLE < adapt(three, prior).location < adapt(many, prior).location <= 3.0
    base = replace(unadapted(prior), location=1.0)
    assert adapt(three, prior, base).location < MIDDLE
    assert adapt(three, prior).spread > adapt(many, prior).spread


def test_the_order_of_tiles_makes_no_difference():
    prior, rng = prior_of(), np.random.default_rng(5)
    evidence, order = tiles_of(clean_scores(60, rng)), rng.permutation(60)
    found, judged = judge_own(evidence, prior)
    again, turned = judge_own(evidence[order], prior)
    assert found.to_dict() == again.to_dict()
    assert np.array_equal(judged.p_value[order], turned.p_value)


def test_few_tiles_do_not_judge_themselves():
    prior, rng = prior_of(), np.random.default_rng(6)
    evidence = tiles_of([*clean_scores(11, rng), 8.0])
    _, judged = judge_own(evidence, prior)
    for i in range(12):
        others = adapt(np.delete(evidence, i, 0), prior)
        assert judged.p_value[i] == judge(evidence[i : i + 1], others, prior).p_value[0]
    assert judged.reason.dtype == np.int64


def test_reasons_are_of_what_exceeds_the_usual():
    prior = prior_of(limit=np.full(10, 3.0), usual=np.full(10, -1.0))
    evidence = np.zeros((40, 10))
    evidence[:, 8], evidence[:, 9] = 0.6, 0.1
    evidence[-1, 9] = 0.4
    found = adapt(evidence, prior)
    assert prior.reasons(evidence).argmax(1)[-1] == 0
    assert judge(evidence, found, prior).reason[-1] == 1


def test_limits_of_cells_follow_by_half():
    prior = prior_of()
    moved = replace(unadapted(prior), high=np.array([1.0, 0.0]))
    assert cell_limits(unadapted(prior), prior) == pytest.approx(probability([0.0, 1.0]))
    assert cell_limits(moved, prior) == pytest.approx(probability([0.5, 1.0]))


def test_an_adaptation_comes_back_from_json():
    prior = prior_of()
    found = adapt(tiles_of([1.0, 2.0, 3.0]), prior)
    again = Adaptation.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.to_dict() == found.to_dict()
    with pytest.raises(KeyError):
        Adaptation.from_dict({})


def test_a_cohort_lies_between_its_slides_and_the_prior():
    prior, rng = prior_of(), np.random.default_rng(7)
    groups = [adapt(tiles_of(clean_scores(200, rng, 1.2)), prior) for _ in range(6)]
    cohort = cohort_of(groups, prior)
    assert 1.1 < cohort.location < MIDDLE and cohort.tiles == 1200
    assert cohort.location - 1.2 < 0.25
    assert cohort.weights.sum() == pytest.approx(1)
    assert cohort_of(groups[::-1], prior).location == pytest.approx(cohort.location)
    assert cohort_of([], prior).location == MIDDLE


def test_slides_of_two_scanners_are_told_apart_in_any_order():
    prior = prior_of(limit=np.full(10, 3.0))
    rng = np.random.default_rng(8)

    def slide(usual: float) -> Adaptation:
        evidence = tiles_of(clean_scores(100, rng))
        evidence[:, 8] = np.clip(rng.normal(usual, 0.02, 100), 0, 1)
        return adapt(evidence, prior)

    groups = [slide(u) for u in (0.05, 0.75, 0.05, 0.75, 0.06)]
    assert split_groups(groups, prior).tolist() == [0, 1, 0, 1, 0]
    assert split_groups(groups[::-1], prior).tolist() == [0, 1, 0, 1, 0]
    assert split_groups(groups[::2], prior).tolist() == [0, 0, 0]
    assert split_groups(groups[:1], prior).tolist() == [0]
    assert split_groups([], prior).tolist() == []

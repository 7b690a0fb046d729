"""Evidence of maps, and the prior: against plain loops, and what does not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl2qc.stats.prior import (
    LINES,
    GeneralPrior,
    evidence_names,
    logit,
    map_evidence,
    probability,
)

CLASSES = ("ink", "fold")


def made(**changes) -> GeneralPrior:
    rng = np.random.default_rng(0)
    e, c = 5 * len(CLASSES), len(CLASSES)
    state = {
        "usual": rng.normal(-2, 1, e),
        "limit": np.full(e, 2.0),
        "weights": rng.normal(1, 1, e),
        "bias": np.array(-1.0),
        "location": np.array([-1.0, 0.3]),
        "scale": np.array([0.6, 0.3]),
        "shape": np.array(0.1),
        "width": np.array(0.3),
        "reach": np.array(8.0),
        "reason_weights": rng.normal(0, 1, (c, e)),
        "reason_bias": rng.normal(0, 1, c),
        "cells": np.zeros(c),
        "cells_usual": np.zeros(c),
    }
    return GeneralPrior.from_state(state | changes, CLASSES)


def dot(a, b) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def test_map_evidence_is_what_loops_find():
    rng = np.random.default_rng(1)
    maps, views = rng.random((3, 7, 9, 2), np.float32), rng.random((3, 2), np.float32)
    found = map_evidence(maps, views)
    names = evidence_names(CLASSES)
    for tile in range(3):
        for k, name in enumerate(CLASSES):
            cells = sorted((float(v) for v in maps[tile, :, :, k].ravel()), reverse=True)
            expected = {
                "mean": math.fsum(cells) / 63,
                "top5": math.fsum(cells[:3]) / 3,
                "top1": cells[0],
                "max": cells[0],
                "view": float(views[tile, k]),
            }
            for statistic, value in expected.items():
                column = names.index(f"{name}_{statistic}")
                assert found[tile, column] == pytest.approx(value, rel=1e-5)


def test_map_evidence_of_many_tiles_is_that_of_each():
    maps = np.random.default_rng(2).random((600, 4, 4, 2), np.float32)
    whole = map_evidence(maps, maps[:, 0, 0])
    apart = np.concatenate([map_evidence(m[None], m[None, 0, 0]) for m in maps])
    assert np.array_equal(whole, apart)
    assert map_evidence(maps[:0], maps[:0, 0, 0]).shape == (0, 10)


@pytest.mark.parametrize(
    ("maps", "views"), [((2, 4, 4), (2, 2)), ((2, 4, 4, 2), (1, 2)), ((2, 0, 4, 2), (2, 2))]
)
def test_shapes_that_do_not_fit_are_refused(maps, views):
    with pytest.raises(ValueError, match="maps must be"):
        map_evidence(np.zeros(maps), np.zeros(views))


def test_logit_and_probability_are_inverse():
    p = np.linspace(0.001, 0.999, 50)
    assert probability(logit(p)) == pytest.approx(p)


def test_scores_and_reasons_are_what_loops_find():
    prior, rng = made(), np.random.default_rng(3)
    evidence, usual = rng.random((6, 10)), rng.normal(-1, 1, 10)
    for given in (None, usual):
        level = [1 / (1 + math.exp(-u)) for u in (prior.usual if given is None else given)]
        scores, reasons = prior.scores(evidence, given), prior.reasons(evidence, given)
        for row, score, reason in zip(evidence, scores, reasons, strict=True):
            over = [max(x - u, 0) / (1 - u) for x, u in zip(row, level, strict=True)]
            assert score == pytest.approx(-1 + dot(over, prior.weights))
            odds = [
                math.exp(b + dot(over, w))
                for b, w in zip(prior.reason_bias, prior.reason_weights, strict=True)
            ]
            assert reason == pytest.approx(np.array(odds) / sum(odds))


def test_what_is_usual_does_not_count():
    prior = made()
    at_most = probability(prior.usual)
    low = np.random.default_rng(4).random((5, 10)) * at_most
    assert prior.scores(low) == pytest.approx(np.full(5, -1.0))


def test_state_comes_back():
    prior = made()
    again = GeneralPrior.from_state(
        {k: v.astype(np.float32) for k, v in prior.state().items()}, CLASSES
    )
    assert again.state().keys() == prior.state().keys()
    for name, part in again.state().items():
        assert part.dtype == np.float64
        assert part == pytest.approx(prior.state()[name], rel=1e-6)


def test_a_state_that_is_not_whole_is_refused():
    state = made().state()
    with pytest.raises(KeyError, match="weights"):
        GeneralPrior.from_state({k: v for k, v in state.items() if k != "weights"}, CLASSES)
    with pytest.raises(ValueError, match="weights"):
        made(weights=np.zeros(9))
    with pytest.raises(ValueError, match="shape must be"):
        made(shape=np.array(np.nan))
    with pytest.raises(ValueError, match="width must be"):
        made(width=np.array(1e30))
    for scale in ([0.0, 0.3], [-1.0, 0.3], [0.5, 1e3], [0.5, -0.1]):
        with pytest.raises(ValueError, match="scale"):
            made(scale=np.array(scale))


def with_lines(**changes) -> GeneralPrior:
    rng = np.random.default_rng(2)
    maps, c = 5 * len(CLASSES), len(CLASSES)
    lines = {
        "usual": rng.normal(-1, 1, maps + len(LINES)),
        "limit": np.full(maps + len(LINES), 2.0),
        "weights": rng.normal(1, 1, maps + 1),
        "reason_weights": rng.normal(0, 1, (c, maps + 1)),
    }
    return made(**(lines | changes))


def test_lines_are_one_term_of_the_one_that_is_farthest_beyond_the_usual():
    prior = with_lines()
    evidence = np.random.default_rng(3).random((5, 5 * len(CLASSES) + len(LINES)))
    over = prior.exceeding(evidence)
    assert over.shape == (5, 11) and prior.names[-1] == "line_dark_colour"
    for row, found in zip(evidence, over, strict=True):
        beyond = [
            math.log(p / (1 - p)) - u for p, u in zip(row[10:], prior.usual[10:], strict=True)
        ]
        assert found[10] == pytest.approx(1 / (1 + math.exp(3 - 2 * max(beyond))))
        expected = dot(found, prior.weights) + float(prior.bias)
        assert prior.scores(row[None])[0] == pytest.approx(expected)
    np.testing.assert_allclose(
        over[:, :10], made(usual=prior.usual[:10]).exceeding(evidence[:, :10])
    )


def test_a_tile_is_as_bad_as_all_evidence_or_lines_alone():
    apart = np.array([-1.0, 0.8, 0.3, 0.25])
    together, prior = with_lines(), with_lines(apart=apart)
    evidence = np.random.default_rng(4).random((20, 14))
    for row, score in zip(evidence, prior.scores(evidence), strict=True):
        ratios = [
            (max(math.log(p / (1 - p)), 0) + 0.05) / (max(u, 0) + 0.05)
            for p, u in zip(row[10:], prior.usual[10:], strict=True)
        ]
        assert prior.beyond(row[None])[0] == pytest.approx(math.log(max(ratios)))
        odds = math.exp((together.scores(row[None])[0] + 1.0) / 0.8)
        alone = math.exp((math.log(max(ratios)) - 0.3) / 0.25)
        assert score == pytest.approx(-1.0 + 0.8 * math.log(odds + alone))


def test_together_leaves_lines_alone_out():
    prior = with_lines(apart=np.array([-1.0, 0.8, 0.3, 0.25]))
    evidence = np.random.default_rng(6).random((4, 14))
    np.testing.assert_array_equal(prior.together().scores(evidence), with_lines().scores(evidence))
    assert (prior.together().scores(evidence) < prior.scores(evidence)).any()


def test_of_two_tests_either_may_reject():
    """What clean tiles have of each is exponential: of both together, rejected are half again as
    many where lines count half, and hardly fewer of what one alone sees."""
    rng, n = np.random.default_rng(0), 200_000
    own, lines = rng.exponential(size=(2, n))
    both = np.logaddexp(own, np.log(0.5) + lines)
    for alpha in (0.05, 0.01, 0.001):
        limit = -np.log(alpha)
        assert (both > limit).mean() == pytest.approx(1.5 * alpha, rel=0.35)


def test_priors_of_before_say_nothing_of_lines_alone():
    prior = with_lines()
    state = {name: array for name, array in prior.state().items() if name != "apart"}
    again = GeneralPrior.from_state(state, CLASSES)
    evidence = np.random.default_rng(5).random((4, 14))
    np.testing.assert_array_equal(again.scores(evidence), prior.scores(evidence))


@pytest.mark.parametrize("apart", [[0, 0, 1, 1], [0, 1, 0, 0], [0, -1, 0, 1]])
def test_lines_alone_need_scales(apart):
    with pytest.raises(ValueError, match="lines alone"):
        with_lines(apart=np.array(apart, float))


def test_a_longer_line_is_worse_and_what_is_usual_here_is_not():
    prior = with_lines(weights=np.ones(11))
    evidence = np.full((2, 14), 0.2)
    evidence[1, 12] = 0.9
    assert np.diff(prior.scores(evidence))[0] > 0.5
    usual = prior.usual.copy()
    usual[10:] = logit(0.9)
    assert np.ptp(prior.scores(evidence, usual)) < 0.05


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": np.ones(10)},
        {"reason_weights": np.ones((2, 14))},
        {"limit": np.ones(10)},
        {"apart": np.ones(3)},
        {"usual": np.ones(12), "limit": np.ones(12)},
    ],
)
def test_parts_that_do_not_fit_the_lines_are_refused(changes):
    with pytest.raises(ValueError, match="must be"):
        with_lines(**changes)

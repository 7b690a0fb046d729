"""Metrics of row numbers against the pure functions, and what resampling them covers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from rl2qc.metrics.authenticity import (
    authenticity,
    authenticity_of_rows,
    nearer_train_of_rows,
    nearer_train_shuffled,
)
from rl2qc.metrics.frechet import fid, fid_of_rows
from rl2qc.metrics.frechet_ratio import r_fid_of_rows
from rl2qc.metrics.irs import irs, irs_adjusted_of_rows, irs_of_rows
from rl2qc.metrics.irs_counts import irs_expected, irs_from_counts
from rl2qc.metrics.kernel import kid, kid_of_rows
from rl2qc.metrics.matrices import Matrices, halves
from rl2qc.metrics.prdc import prdc, prdc_of_rows
from rl2qc.metrics.sliced import swd
from rl2qc.metrics.sliced_rows import RESAMPLE_PATCHES, RESAMPLE_PROJECTIONS, swd_of_rows
from rl2qc.metrics.wad_div import wad_div, wad_div_against_real_of_rows, wad_div_of_rows
from rl2qc.stats.resampling import subsample


def _sets(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    real, generated = rng.normal(size=(60, 8)), rng.normal(0.3, 1.2, size=(37, 8))
    if kind == "offset":
        real, generated = real + 1e4, generated + 1e4
    elif kind == "duplicates":
        real[10:20], generated[5:9] = real[0], real[0]
    elif kind == "collapsed":
        generated[:] = generated[0]
    elif kind == "more generated":
        real, generated = generated, real
    return real.astype(np.float32), generated.astype(np.float32)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("kind", ["plain", "offset", "duplicates", "collapsed", "more generated"])
def test_all_rows_give_the_pure_functions(kind, distance):
    real, generated = _sets(kind)
    rows = Matrices(np.concatenate([real, generated]), distance=distance, seed=7)
    a, b = np.arange(len(real)), len(real) + np.arange(len(generated))
    empirical = wad_div(generated, real, 3, distance=distance, seed=7)
    four = prdc(real, generated, 4)
    retrieval = irs(real, generated, distance=distance)
    for got, expected in (
        (
            wad_div_of_rows(rows, b, 3),
            {
                "wad_div_zero": wad_div(generated, "zero", 3, distance=distance).value,
                "wad_div_exponential": wad_div(
                    generated, "exponential", 3, distance=distance
                ).value,
            },
        ),
        (
            wad_div_against_real_of_rows(rows, a, b, 3),
            {
                "wad_div_empirical": empirical.value,
                "wad_div_ratio": empirical.ratio,
                "wad_div_normalized": empirical.normalized,
            },
        ),
        (irs_of_rows(rows, a, b), {"irs_alpha": retrieval.irs_alpha, "irs_inf": retrieval.value}),
        (
            prdc_of_rows(rows, a, b, 4),
            {name: getattr(four, name) for name in ("precision", "recall", "density", "coverage")},
        ),
    ):
        assert got == pytest.approx(expected, rel=1e-5, abs=1e-9)
    assert authenticity_of_rows(rows, a, b) == pytest.approx(
        authenticity(real, generated, distance=distance).value
    )
    unbiased = kid(real, generated, n_subsets=1).unbiased
    assert kid_of_rows(rows, a, b) == pytest.approx(unbiased, rel=1e-6, abs=1e-9)
    train, aside = halves(a, None, 7)
    adjusted = irs(real[train], generated, real[aside], distance=distance).adjusted
    assert irs_adjusted_of_rows(rows, a, b) == pytest.approx(adjusted)
    size = min(len(aside), len(generated))
    expected = fid(real[train], real[aside[:size]]).value / fid(real[train], generated[:size]).value
    assert r_fid_of_rows(rows, a, b) == pytest.approx(expected)
    with pytest.raises(ValueError, match="has not seen"):
        nearer_train_of_rows(rows, a, b)
    with pytest.raises(ValueError, match="has not seen"):
        nearer_train_shuffled(rows, a, b, 3)


@pytest.mark.parametrize("convention", ["prdc", "kynkaanniemi"])
def test_the_edge_of_balls_is_that_of_prdc(convention):
    real, generated = _sets("duplicates")
    rows = Matrices(np.concatenate([real, generated]))
    got = prdc_of_rows(rows, np.arange(60), 60 + np.arange(37), 4, convention=convention)
    expected = prdc(real, generated, 4, convention=convention)
    assert got == {name: getattr(expected, name) for name in got}


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("n_unseen", [25, 60, 90])
def test_given_unseen_rows_replace_the_halves(n_unseen, distance):
    real, generated = _sets("plain")
    new = np.random.default_rng(9).normal(size=(n_unseen, 8)).astype(np.float32)
    ends = np.cumsum([len(real), len(generated), len(new)])
    a, b, c = np.split(np.arange(ends[-1]), ends[:-1])
    stacked = np.concatenate([real, generated, new])
    rows = Matrices(stacked, distance=distance, unseen=c, seed=7)
    expected = authenticity(
        real, generated, new, distance=distance, rng=np.random.default_rng(7)
    ).nearer_train
    assert nearer_train_of_rows(rows, a, b) == expected
    assert 0 < expected < 1
    # Of fewer unseen images only as many training images are looked at.
    assert (nearer_train_of_rows(rows, a, a) == 1) == (n_unseen >= len(real))
    adjusted = irs(real, generated, new, distance=distance).adjusted
    assert irs_adjusted_of_rows(rows, a, b) == pytest.approx(adjusted)
    shuffled = nearer_train_shuffled(rows, a, b, 300)
    assert len(set(shuffled)) > 10
    assert shuffled.mean() == pytest.approx(0.5, abs=0.02)


def test_shuffled_slides_stay_whole():
    rng = np.random.default_rng(0)
    centres = np.repeat(np.arange(8.0), 10)[:, None]
    slides = centres + 0.01 * rng.normal(size=(80, 1))  # four of them real, four unseen
    generated = np.repeat(np.arange(8.0), 5)[:, None] + 0.01 * rng.normal(size=(40, 1))
    stacked = np.concatenate([slides[:40], generated, slides[40:]])
    groups = np.concatenate([centres[:40, 0], 100 + np.arange(40), centres[40:, 0]])
    real, judged, unseen = np.split(np.arange(120), [40, 80])
    by_slide, by_image = (
        nearer_train_shuffled(Matrices(stacked, groups=g, unseen=unseen), real, judged, 50)
        for g in (groups, None)
    )
    # A generated image of a slide that is whole on one side is nearest to that side.
    assert set(np.round(by_slide * 8, 9)) <= {*range(9)}
    assert not set(np.round(by_image * 8, 9)) <= {*range(9)}


def test_some_rows_are_those_rows_alone():
    real, generated = _sets("plain")
    rows = Matrices(np.concatenate([real, generated]))
    a, b = np.array([5, 40, 3, 22, 17, 8, 31]), np.array([61, 90, 70, 75, 88])
    got, four = prdc_of_rows(rows, a, b, 2), prdc(real[a], generated[b - 60], 2)
    assert (got["precision"], got["recall"]) == (four.precision, four.recall)
    assert wad_div_of_rows(rows, b, 2)["wad_div_zero"] == pytest.approx(
        wad_div(generated[b - 60], "zero", 2).value
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: prdc_of_rows(m, np.arange(10), np.arange(10, 14), 5), "k = 5 needs more"),
        (lambda m: prdc_of_rows(m, np.arange(4), np.arange(10, 20), 5), "k = 5 needs more"),
        (lambda m: wad_div_of_rows(m, np.arange(10, 13), 3), "k = 3 needs more"),
        (
            lambda m: wad_div_against_real_of_rows(m, np.arange(3), np.arange(10, 20), 3),
            "k = 3 needs more",
        ),
        (lambda m: authenticity_of_rows(m, np.arange(1), np.arange(10, 20)), "k = 1 needs more"),
        (lambda m: kid_of_rows(m, np.arange(1), np.arange(10, 20)), "at least 2 images a set"),
        (lambda m: r_fid_of_rows(m, np.arange(4), np.arange(4)), "equal the real ones"),
        (lambda m: irs_adjusted_of_rows(m, np.arange(1), np.arange(10, 20)), "halved"),
    ],
)
def test_too_few_rows_are_an_error_of_one_line(call, message):
    x = np.random.default_rng(0).normal(size=(20, 4))
    x[:4] = x[0]
    with pytest.raises(ValueError, match=message):
        call(Matrices(x))


def test_a_real_set_without_spread_has_no_ratio():
    x = np.concatenate([np.ones((6, 2)), np.random.default_rng(0).normal(size=(6, 2))])
    found = wad_div_against_real_of_rows(Matrices(x), np.arange(6), np.arange(6, 12), 2)
    assert set(found) == {"wad_div_empirical"}


def _two_sets(real, generated):
    rows = Matrices(np.concatenate([real, generated]))
    return rows, np.arange(len(real)), len(real) + np.arange(len(generated))


def test_coverage_near_one_is_covered():
    rng = np.random.default_rng(1)

    def draw():
        return _two_sets(rng.normal(size=(60, 2)), rng.normal(size=(48, 2)))

    def value(rows, a, b):
        return prdc_of_rows(rows, a, b)["coverage"]

    truth = np.mean([value(*draw()) for _ in range(600)])
    assert 0.93 < truth < 0.98
    inside = {(0, 1): 0, (0, np.inf): 0}
    for seed in range(60):
        rows, a, b = draw()
        for bounds in inside:
            found = subsample(
                lambda x, y, rows=rows: value(rows, x, y),
                a, b, n_resamples=60, bounds=bounds, seed=seed,
            )  # fmt: skip
            inside[bounds] += found.low <= truth <= found.high
    assert inside[0, 1] >= 52 > inside[0, np.inf]  # fewer than 52 of 60: 1 in 200 at 95 %


def test_retrieval_of_images_that_come_by_slide_is_covered_by_the_joined_interval():
    rng, n_train, n = np.random.default_rng(2), 120, 160
    slide = np.repeat(np.arange(20), 8)

    def draw():
        centres = rng.normal(size=(20, 4))[slide]
        return _two_sets(rng.normal(size=(n_train, 4)), centres + 0.35 * rng.normal(size=(n, 4)))

    many = [irs_of_rows(*draw()) for _ in range(300)]
    inside = np.zeros((2, 2))
    for seed in range(40):
        rows, a, b = draw()
        share = irs_of_rows(rows, a, b)["irs_alpha"]
        model = irs_from_counts(round(share * n_train), n, n_train, 0.025)
        ends = [irs_expected(n_train, n, s, 0.025).mean / n_train for s in (model.low, model.high)]
        occupancy = {"irs_inf": (model.low, model.high), "irs_alpha": (min(ends), max(ends))}
        for column, (name, (low, high)) in enumerate(occupancy.items()):
            truth = np.mean([values[name] for values in many])
            found = subsample(
                lambda x, y, rows=rows, name=name: irs_of_rows(rows, x, y)[name],
                a, b, groups=[None, slide], n_resamples=60, bounds=(0, 1), seed=seed,
            ).holding(low, high)  # fmt: skip
            inside[:, column] += low <= truth <= high, found.low <= truth <= found.high
    assert (inside[0] <= 32).all()  # the occupancy model takes images for independent
    assert (inside[1] >= 34).all()  # fewer of 40 are one chance in 300 at 95 %


def test_under_cosine_images_of_one_direction_are_one():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(20, 16))
    doubled = np.concatenate([real, 3.7 * real])
    queries = np.repeat(real, 5, axis=0)
    for distance, alpha in (("cosine", 1.0), ("euclidean", 0.5)):
        rows = Matrices(np.concatenate([doubled, queries]), distance=distance)
        got = irs_of_rows(rows, np.arange(40), 40 + np.arange(100))["irs_alpha"]
        assert got == irs(doubled, queries, distance=distance).irs_alpha == alpha


def test_swd_of_stored_projections_is_swd(stained):
    a, b = stained(12, seed=1), stained(9, seed=2)[:, ::-1] // 2
    rows = Matrices(pixels=(a, b), seed=5)
    options = {
        "n_projections": RESAMPLE_PROJECTIONS,
        "patches_per_image": RESAMPLE_PATCHES,
        "seed": 5,
    }
    got = swd_of_rows(rows, np.arange(12), 12 + np.arange(9))
    assert got == pytest.approx(swd(a, b, **options).value, rel=1e-3)
    assert swd_of_rows(rows, np.arange(12), np.arange(12)) == 0
    # Of the first images of both sets the patches lie where swd puts them.
    got = swd_of_rows(rows, np.arange(6), 12 + np.arange(4))
    assert got == pytest.approx(swd(a[:6], b[:4], **options).value, rel=1e-3)


def _fid_by_sqrtm(x, y):
    s, t = np.cov(x.T), np.cov(y.T)
    root = sqrtm(s @ t).real
    return np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2) + np.trace(s + t - 2 * root)


@pytest.mark.parametrize("dim", [4, 80])  # fewer, and more, than images
@pytest.mark.parametrize("kind", ["plain", "offset", "duplicates", "collapsed"])
def test_fid_of_resamples_is_that_of_their_covariances(kind, dim, rng):
    real, generated = (np.concatenate([x] * 10, axis=1)[:, :dim] for x in _sets(kind))
    real = real + rng.normal(size=real.shape)
    x = np.concatenate([real, generated])
    rows = Matrices(x)
    for draw in (lambda n: rng.integers(n, size=n), lambda n: rng.permutation(n)[: n // 2]):
        a, b = draw(60), 60 + draw(37)
        got = fid_of_rows(rows, a, b)
        assert got == pytest.approx(fid(x[a], x[b]).value, rel=1e-6)
        assert got == pytest.approx(_fid_by_sqrtm(x[a], x[b]), rel=1e-4)
    assert fid_of_rows(rows, a, a) == pytest.approx(0, abs=1e-6 * np.var(real))


@pytest.mark.parametrize("others", [0, 500])  # hardly any images beside the rows, and many
def test_kid_of_resamples_is_that_of_their_kernel(others, rng):
    x = rng.normal(size=(97 + others, 8))
    for a, b in (
        (np.arange(60), 60 + np.arange(37)),
        (rng.integers(60, size=50), 60 + rng.permutation(37)[:30]),
    ):
        k = [(x[i] @ x[j].T / 8 + 1) ** 3 for i, j in ((a, a), (b, b), (a, b))]
        own = [(q.sum() - np.trace(q)) / (len(q) * (len(q) - 1)) for q in k[:2]]
        expected = own[0] + own[1] - 2 * k[2].mean()
        assert kid_of_rows(Matrices(x), a, b) == pytest.approx(expected, rel=1e-9)

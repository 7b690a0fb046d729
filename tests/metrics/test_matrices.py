"""Metrics of row numbers against the pure functions and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from rl2qc.metrics.authenticity import authenticity
from rl2qc.metrics.frechet import fid
from rl2qc.metrics.irs import irs, irs_expected, irs_from_counts
from rl2qc.metrics.kernel import kid
from rl2qc.metrics.matrices import RowMetrics, cosine_matrix, distance_matrix, halves
from rl2qc.metrics.prdc import prdc
from rl2qc.metrics.sliced import swd
from rl2qc.metrics.wad_div import wad_div
from rl2qc.scoring.pixels import (
    RESAMPLE_PATCHES,
    RESAMPLE_PROJECTIONS,
    SwdRows,
    read_sample,
)
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
    rows = RowMetrics(np.concatenate([real, generated]), k=3, prdc_k=4, distance=distance, seed=7)
    a, b = np.arange(len(real)), len(real) + np.arange(len(generated))
    got = rows.neighbours(a, b)
    empirical = wad_div(generated, real, 3, metric=distance, seed=7)
    four = prdc(real, generated, 4)
    retrieval = irs(real, generated, metric=distance)
    expected = {
        "wad_div_zero": wad_div(generated, "zero", 3, metric=distance).value,
        "wad_div_exponential": wad_div(generated, "exponential", 3, metric=distance).value,
        "wad_div_empirical": empirical.value,
        "wad_div_ratio": empirical.ratio,
        "wad_div_normalized": empirical.normalized,
        "irs_alpha": retrieval.irs_alpha,
        "irs_inf": retrieval.value,
        "precision": four.precision,
        "recall": four.recall,
        "density": four.density,
        "coverage": four.coverage,
        "authenticity": authenticity(real, generated, metric=distance).value,
    }
    assert got == pytest.approx(expected, rel=1e-5, abs=1e-9)
    assert rows.fid(a, b) == pytest.approx(fid(real, generated).value, rel=1e-9, abs=1e-9)
    unbiased = kid(real, generated, n_subsets=1).unbiased
    assert rows.kid(a, b) == pytest.approx(unbiased, rel=1e-6, abs=1e-9)
    train, held_out = halves(a, None, 7)
    adjusted = irs(real[train], generated, real[held_out], metric=distance).adjusted
    assert rows.irs_adjusted(a, b) == pytest.approx(adjusted)
    with pytest.raises(ValueError, match="has not seen"):
        rows.nearer_train(a, b)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("n_held_out", [25, 60, 90])
def test_given_held_out_rows_replace_the_halves(n_held_out, distance):
    real, generated = _sets("plain")
    new = np.random.default_rng(9).normal(size=(n_held_out, 8)).astype(np.float32)
    ends = np.cumsum([len(real), len(generated), len(new)])
    a, b, c = np.split(np.arange(ends[-1]), ends[:-1])
    stacked = np.concatenate([real, generated, new])
    rows = RowMetrics(stacked, distance=distance, held_out=c, seed=7)
    expected = authenticity(
        real, generated, new, metric=distance, rng=np.random.default_rng(7)
    ).nearer_train
    assert rows.nearer_train(a, b) == expected
    assert 0 < expected < 1
    # Of fewer held-out images only as many training images are looked at.
    assert (rows.nearer_train(a, a) == 1) == (n_held_out >= len(real))
    adjusted = irs(real, generated, new, metric=distance).adjusted
    assert rows.irs_adjusted(a, b) == pytest.approx(adjusted)
    null = rows.nearer_train_null(a, b, 300)
    assert len(set(null)) > 10
    assert null.mean() == pytest.approx(0.5, abs=0.02)


def test_shuffled_slides_stay_whole():
    rng = np.random.default_rng(0)
    centres = np.repeat(np.arange(8.0), 10)[:, None]
    slides = centres + 0.01 * rng.normal(size=(80, 1))  # four of them real, four held out
    generated = np.repeat(np.arange(8.0), 5)[:, None] + 0.01 * rng.normal(size=(40, 1))
    stacked = np.concatenate([slides[:40], generated, slides[40:]])
    groups = np.concatenate([centres[:40, 0], 100 + np.arange(40), centres[40:, 0]])
    sets = np.split(np.arange(120), [40, 80])
    by_slide = RowMetrics(stacked, groups=groups, held_out=sets[2]).nearer_train_null(*sets[:2], 50)
    by_image = RowMetrics(stacked, held_out=sets[2]).nearer_train_null(*sets[:2], 50)
    # A generated image of a slide that is whole on one side is nearest to that side.
    assert set(np.round(by_slide * 8, 9)) <= {*range(9)}
    assert not set(np.round(by_image * 8, 9)) <= {*range(9)}


def test_some_rows_are_those_rows_alone():
    real, generated = _sets("plain")
    rows = RowMetrics(np.concatenate([real, generated]), k=2, prdc_k=2)
    a, b = np.array([5, 40, 3, 22, 17, 8, 31]), np.array([61, 90, 70, 75, 88])
    got = rows.neighbours(a, b)
    four = prdc(real[a], generated[b - 60], 2)
    assert (got["precision"], got["recall"]) == (four.precision, four.recall)
    assert got["wad_div_zero"] == pytest.approx(wad_div(generated[b - 60], "zero", 2).value)


def test_too_few_rows_leave_metrics_out():
    rows = RowMetrics(np.random.default_rng(0).normal(size=(20, 4)), k=3, prdc_k=5)
    got = rows.neighbours(np.arange(10), np.arange(10, 14))
    assert "precision" not in got
    assert "wad_div_zero" in got
    assert "wad_div_zero" not in rows.neighbours(np.arange(10), np.arange(10, 13))


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_distances_are_those_of_differences(offset):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 16)) + offset
    x[10:20] = x[0]
    x[20:30] = x[1] + 1e-6 * rng.normal(size=(10, 16))
    got, expected = distance_matrix(x), cdist(x, x)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-11 * max(offset, 1))
    assert (got[10:20, 0] == 0).all()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_cosine_distances_are_those_of_the_directions(scale):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 16))
    x[10:20] = x[0] * rng.uniform(0.1, 9, size=(10, 1))
    x[20:30] = x[1] + 1e-5 * rng.normal(size=(10, 16))
    got, expected = cosine_matrix(scale * x), cdist(x, x, "cosine")
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-12)
    with pytest.raises(ValueError, match="row 1 is all zero"):
        cosine_matrix(np.array([[1.0], [0.0]]))


def _two_sets(real, generated):
    rows = RowMetrics(np.concatenate([real, generated]))
    return rows, np.arange(len(real)), len(real) + np.arange(len(generated))


def test_coverage_near_one_is_covered():
    rng = np.random.default_rng(1)

    def draw():
        return _two_sets(rng.normal(size=(60, 2)), rng.normal(size=(48, 2)))

    def value(rows, a, b):
        return rows.neighbours(a, b)["coverage"]

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

    many = [rows.neighbours(a, b) for rows, a, b in (draw() for _ in range(300))]
    inside = np.zeros((2, 2))
    for seed in range(40):
        rows, a, b = draw()
        share = rows.neighbours(a, b)["irs_alpha"]
        model = irs_from_counts(round(share * n_train), n, n_train, 0.025)
        ends = [irs_expected(n_train, n, s, 0.025).mean / n_train for s in (model.low, model.high)]
        occupancy = {"irs_inf": (model.low, model.high), "irs_alpha": (min(ends), max(ends))}
        for column, (name, (low, high)) in enumerate(occupancy.items()):
            truth = np.mean([values[name] for values in many])
            found = subsample(
                lambda x, y, rows=rows, name=name: rows.neighbours(x, y)[name],
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
        rows = RowMetrics(np.concatenate([doubled, queries]), distance=distance)
        got = rows.neighbours(np.arange(40), 40 + np.arange(100))["irs_alpha"]
        assert got == irs(doubled, queries, metric=distance).irs_alpha == alpha


def test_halves_keep_groups_together():
    groups = np.repeat(["a", "b", "c", "d"], [10, 10, 10, 10])
    first, second = halves(np.arange(40), groups, 0)
    assert len(first) == len(second) == 20
    assert not set(groups[first]) & set(groups[second])
    with pytest.raises(ValueError, match="halved"):
        halves(np.arange(3), np.array(["a", "a", "a"]), 0)


def test_swd_of_stored_projections_is_swd(stained):
    a, b = stained(12, seed=1), stained(9, seed=2)[:, ::-1] // 2
    rows = SwdRows(a, b, seed=5)
    options = {
        "n_projections": RESAMPLE_PROJECTIONS,
        "patches_per_image": RESAMPLE_PATCHES,
        "seed": 5,
    }
    got = rows(np.arange(12), 12 + np.arange(9))
    assert got == pytest.approx(swd(a, b, **options).value, rel=1e-3)
    assert rows(np.arange(12), np.arange(12)) == 0
    # Of the first images of both sets the patches lie where `swd` puts them.
    got = rows(np.arange(6), 12 + np.arange(4))
    assert got == pytest.approx(swd(a[:6], b[:4], **options).value, rel=1e-3)


def test_a_sample_of_images_is_bounded(stained, monkeypatch):
    from rl2qc.images.sources.base import as_source
    from rl2qc.scoring import pixels

    monkeypatch.setattr(pixels, "_MOST_IMAGES", 5)
    images = stained(12)
    got, rows = read_sample(as_source(images), seed=0)
    assert len(got) == 5
    np.testing.assert_array_equal(got, images[rows])
    assert len(set(rows.tolist())) == 5

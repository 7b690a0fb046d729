"""WAD-Div against scipy's distance table and Wasserstein distance, and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from rl2qc.metrics.matrices import Matrices
from rl2qc.metrics.wad_div import wad_div, wad_div_against_real_of_rows


def oracle_distances(x, k=3, metric="euclidean"):
    table = cdist(np.asarray(x, float), np.asarray(x, float), metric)
    np.fill_diagonal(table, np.inf)
    return np.sort(table, axis=1)[:, :k].ravel()


def oracle_rate(observed, prob=0.95, percentile=95.0):
    return np.clip(-np.log(1 - prob) / np.percentile(observed, percentile), 1e-12, 1e6)


def oracle_exponential(observed, rate, nodes=40):
    """Gauss-Legendre quadrature of |F_obs(x) - F_exp(x)| between the observed values.

    Not on the quantiles, as the metric has it, but on the distribution functions, cut where they
    cross; what lies beyond the largest value is the exponential tail.
    """
    edges = np.concatenate([[0.0], np.sort(observed)])
    heights = np.arange(len(observed) + 1) / len(observed)
    at, weight = np.polynomial.legendre.leggauss(nodes)
    total = np.exp(-rate * edges[-1]) / rate
    for low, high, height in zip(edges[:-1], edges[1:], heights[:-1], strict=True):
        crossing = np.clip(-np.log1p(-height) / rate, low, high)
        for a, b in ((low, crossing), (crossing, high)):
            x = (a + b) / 2 + (b - a) / 2 * at
            total += (b - a) / 2 * weight @ np.abs(height - (1 - np.exp(-rate * x)))
    return total


def feature_sets(rng):
    spread = rng.normal(size=(90, 16))
    return {
        "gaussian": spread,
        "float32": (10 + spread).astype(np.float32),
        "heavy tails": rng.standard_t(1.5, size=(80, 4)),
        "collapsed": 5 + 1e-3 * spread,
        "half duplicated": np.concatenate([spread, spread[:45]]),
        "few": spread[:4],
        "one dimension": spread[:, :1],
    }


SETS = [*feature_sets(np.random.default_rng(0))]


@pytest.fixture(params=SETS)
def features(request, rng):
    return feature_sets(rng)[request.param]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("k", [1, 3])
def test_zero_reference(features, k, metric):
    expected = wasserstein_distance(oracle_distances(features, k, metric), np.zeros(10))
    result = wad_div(features, k=k, distance=metric)
    assert result.value == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert result.zero == result.value
    assert (result.reference, result.n, result.n_reference) == ("zero", len(features), 0)
    assert result.normalized is result.ratio is result.paper is result.zero_reference is None


@pytest.mark.parametrize(("prob", "percentile"), [(0.95, 95.0), (0.5, 50.0), (0.999, 100.0)])
def test_exponential_reference(features, prob, percentile):
    observed = oracle_distances(features)
    expected = oracle_exponential(observed, oracle_rate(observed, prob, percentile))
    result = wad_div(features, "exponential", ref_prob=prob, ref_percentile=percentile)
    assert result.value == pytest.approx(expected, rel=1e-6)
    assert result.method == "closed"


def test_exponential_against_quantiles_of_the_law_on_a_fine_grid(rng):
    x = rng.normal(size=(60, 8))
    observed = oracle_distances(x)
    p = (np.arange(180 * 20_000) + 0.5) / (180 * 20_000)
    law = -np.log1p(-p) / oracle_rate(observed)
    expected = np.abs(np.repeat(np.sort(observed), 20_000) - law).mean()
    assert wad_div(x, "exponential").value == pytest.approx(expected, rel=1e-6)


def test_empirical_reference(features, rng):
    real = 0.3 + 1.5 * rng.normal(size=(len(features), features.shape[1]))
    observed, expected = oracle_distances(features), oracle_distances(real)
    result = wad_div(features, real)
    assert result.value == pytest.approx(wasserstein_distance(observed, expected), rel=1e-6)
    assert result.zero == pytest.approx(observed.mean(), rel=1e-6)
    assert result.zero_reference == pytest.approx(expected.mean(), rel=1e-6)
    ratio = observed.mean() / expected.mean()
    assert result.ratio == pytest.approx(ratio, rel=1e-6)
    assert result.normalized == pytest.approx(np.clip(ratio, 0, 1), rel=1e-6)
    s = expected.mean() * (1 - 0.99) / 0.99
    assert result.paper == pytest.approx(observed.mean() / (observed.mean() + s), rel=1e-6)


def test_unmatched_sizes(rng):
    x, real = rng.normal(size=(30, 5)), 2 * rng.normal(size=(70, 5))
    # Repeating values leaves a distribution as it is, and makes the sizes equal.
    a = np.sort(np.repeat(oracle_distances(x), 7))
    b = np.sort(np.repeat(oracle_distances(real), 3))
    result = wad_div(x, real, matched_n=False)
    assert result.value == pytest.approx(np.abs(a - b).mean(), rel=1e-6)
    assert (result.n, result.n_reference) == (30, 70)


def test_sizes_are_matched_by_default_and_seeded(rng):
    x, real = rng.normal(size=(40, 5)), rng.normal(size=(400, 5))
    result = wad_div(x, real)
    assert (result.n, result.n_reference) == (40, 40)
    assert wad_div(real, x).n == 40
    assert wad_div(x, real) == result
    assert wad_div(x, real, seed=1) != result
    assert wad_div(x, real, rng=np.random.default_rng(42)) == result


def test_matching_removes_the_bias_of_the_sample_size(rng):
    x, real = rng.normal(size=(100, 8)), rng.normal(size=(2000, 8))
    assert wad_div(x, real, matched_n=False).ratio > 1.3
    assert wad_div(x, real).ratio == pytest.approx(1, abs=0.1)


def test_sampled_exponential_is_the_published_sampling(rng):
    x = rng.normal(size=(50, 6))
    observed = oracle_distances(x)
    state = np.random.get_state()  # noqa: NPY002 - the published code seeds the global generator
    try:
        np.random.seed(7)  # noqa: NPY002
        draws = np.random.exponential(1 / oracle_rate(observed), 10_000)  # noqa: NPY002
    finally:
        np.random.set_state(state)  # noqa: NPY002
    result = wad_div(x, "exponential", method="sampled", seed=7)
    assert result.value == pytest.approx(wasserstein_distance(observed, draws), rel=1e-9)
    assert result.method == "sampled"


def test_sampled_exponential_leaves_the_global_generator_alone(rng):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    wad_div(rng.normal(size=(10, 2)), "exponential", method="sampled")
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_closed_form_is_the_limit_of_sampling(rng):
    x = rng.normal(size=(50, 6))
    sampled = [wad_div(x, "exponential", method="sampled", seed=s).value for s in range(20)]
    error = np.std(sampled) / np.sqrt(20)
    assert abs(np.mean(sampled) - wad_div(x, "exponential").value) < 5 * error + 1e-3


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(1e-2, 1e4),
    shift=st.floats(-100, 100),
    reference=st.sampled_from(["zero", "exponential", "empirical"]),
)
def test_permutation_translation_and_scaling(seed, scale, shift, reference):
    rng = np.random.default_rng(seed)
    x, real = rng.normal(size=(25, 4)), rng.normal(size=(25, 4))
    plain = wad_div(x, real if reference == "empirical" else reference)
    moved = wad_div(
        scale * rng.permutation(x) + shift,
        scale * rng.permutation(real) + shift if reference == "empirical" else reference,
    )
    assert moved.value == pytest.approx(scale * plain.value, rel=1e-6)
    assert moved.ratio == (None if plain.ratio is None else pytest.approx(plain.ratio, rel=1e-6))


def test_a_set_against_itself(rng):
    x = rng.normal(size=(40, 6))
    result = wad_div(x, x[::-1])
    assert result.value == pytest.approx(0, abs=1e-12)
    assert result.ratio == pytest.approx(1)


def test_duplicates_count_as_neighbours_at_distance_zero(rng):
    x = rng.normal(size=(30, 6))
    assert wad_div(np.repeat(x, 4, axis=0)).value == 0
    assert 0 < wad_div(np.repeat(x, 2, axis=0)).value < wad_div(x).value


def test_more_dispersed_than_real_shows_in_the_ratio_alone(rng):
    real = rng.normal(size=(40, 6))
    result = wad_div(3 * rng.normal(size=(40, 6)), real)
    assert result.ratio > 2
    assert result.normalized == 1


@pytest.mark.parametrize("reference", ["zero", "exponential"])
def test_identical_images_score_zero(reference):
    assert wad_div(np.full((10, 3), 0.1), reference).value == 0


def test_a_reference_without_spread_normalises_nothing(rng):
    x = rng.normal(size=(10, 3))
    result = wad_div(x, np.ones((10, 3)))
    assert result.value == pytest.approx(wad_div(x).value)
    assert result.zero_reference == 0
    assert result.ratio is result.normalized is result.paper is None


def test_rate_is_clipped_as_published():
    x = 1e-9 * np.arange(10.0)[:, None]
    expected = oracle_exponential(oracle_distances(x), 1e6)
    assert wad_div(x, "exponential").value == pytest.approx(expected, rel=1e-6)


def test_result_converts_to_float(rng):
    result = wad_div(rng.normal(size=(10, 3)))
    assert float(result) == result.value


X = [[0.0], [1.0], [2.0], [4.0], [8.0]]


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((X[:2],), {}, r"^k = 3 needs more than 3 images, got n = 2$"),
        ((X[:3], "exponential"), {}, r"^k = 3 needs more than 3 images, got n = 3$"),
        ((X[:1], "zero", 1), {}, "k = 1 needs more than 1 images, got n = 1"),
        ((X[:3], X), {}, "k = 3 needs more than 3 images in features, got n = 3"),
        ((X, X[:3]), {}, "k = 3 needs more than 3 images in the reference, got n = 3"),
        ((X, "zero", 0), {}, "k must be a positive integer"),
        ((np.empty((0, 4)),), {}, "features is empty"),
        (([1.0, 2.0],), {}, "features must be a 2-D array"),
        (([[np.nan], *X],), {}, "features must be finite: .* the first is row 0"),
        ((X, [*X, [np.inf]]), {}, "reference must be finite: .* row 5"),
        ((X, np.ones((5, 2))), {}, "must have the same dimension, got 1 and 2"),
        ((X, "uniform"), {}, "reference must be 'zero', 'exponential' or an array"),
        ((X,), {"distance": "l1"}, "distance must be one of"),
        ((X,), {"distance": "cosine"}, "cosine distance is undefined: row 0"),
        ((X, "exponential"), {"method": "exact"}, "method must be one of"),
        ((X, "exponential"), {"ref_prob": 1.0}, r"ref_prob must be in \(0, 1\)"),
        ((X, "exponential"), {"ref_percentile": 101}, r"ref_percentile must be in \[0, 100\]"),
    ],
)
def test_bad_input_is_one_clear_line(args, options, message):
    with pytest.raises(ValueError, match=message) as error:
        wad_div(*args, **options)
    assert "\n" not in str(error.value)


def test_no_single_draw_of_the_larger_set_sets_the_scale(rng):
    """16 images of 600, a quarter of which lie together: the mean of many draws is the scale."""
    real = rng.normal(size=(600, 8))
    real[:150] *= 0.02
    generated = rng.normal(size=(16, 8))
    draws = np.random.default_rng(1)
    expected = np.mean(
        [oracle_distances(real[draws.choice(600, 16, replace=False)]).mean() for _ in range(2000)]
    )
    scales = [wad_div(generated, real, seed=seed).zero_reference for seed in range(30)]
    assert np.mean(scales) == pytest.approx(expected, rel=0.03)
    one = np.std([oracle_distances(real[draws.choice(600, 16, replace=False)]).mean()
                  for _ in range(200)])  # fmt: skip
    assert np.std(scales) < one / 3
    assert wad_div(generated, real).n_draws == 16


def test_a_scale_of_another_reference(rng):
    x, real, other = rng.normal(size=(3, 60, 5))
    scale = wad_div(2 * other).value
    for reference in (real, "zero", "exponential"):
        found = wad_div(x, reference, w_max=scale)
        assert found.zero_reference == scale
        assert found.ratio == found.zero / scale
        assert found.normalized == min(found.ratio, 1)
    assert wad_div(x, real, w_max=scale).value == wad_div(x, real).value
    matrices, rows = Matrices(np.concatenate([real, x])), np.arange(120)
    by_rows = wad_div_against_real_of_rows(matrices, rows[:60], rows[60:], w_max=scale)
    assert by_rows["wad_div_ratio"] == pytest.approx(wad_div(x, real, w_max=scale).ratio)
    for bad in (0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="w_max must be above 0"):
            wad_div(x, real, w_max=bad)

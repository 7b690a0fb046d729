"""The neighbour engine against a float64 brute force."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from rl2qc.metrics import neighbors
from rl2qc.metrics.neighbors import Neighbors, kneighbors

BACKENDS = [
    "numpy",
    pytest.param(
        "faiss",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("faiss") is None, reason="faiss is not installed"
        ),
    ),
]


def brute_force(queries, reference, k, *, exclude_self=False, metric="euclidean"):
    table = cdist(np.asarray(queries, float), np.asarray(reference, float), metric)
    if exclude_self:
        np.fill_diagonal(table, np.inf)
    order = np.argsort(table, axis=1, kind="stable")[:, :k]
    return Neighbors(np.take_along_axis(table, order, axis=1), order)


def gaussian(rng):
    return rng.normal(size=(300, 24))


def offset(rng):
    """A large common mean, which an uncentred float32 expansion does not survive."""
    return 1e4 + rng.normal(size=(300, 24))


def tight_clusters(rng):
    """Near-duplicates around far centres: centring does not help, only float64 does."""
    return np.repeat(100 * rng.normal(size=(3, 24)), 100, axis=0) + 1e-4 * rng.normal(
        size=(300, 24)
    )


def tightest_clusters(rng):
    """Spreads below the rounding of a float64 matrix product: only differences tell."""
    return np.repeat(100 * rng.normal(size=(3, 24)), 100, axis=0) + 1e-9 * rng.normal(
        size=(300, 24)
    )


def huge(rng):
    return 1e30 * rng.normal(size=(300, 24))


def tiny(rng):
    return 1e-30 * rng.normal(size=(300, 24))


def outlier(rng):
    x = rng.normal(size=(300, 24))
    x[17] = 1e6
    return x


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("memory_mb", [0.01, 0.5, 256])
@pytest.mark.parametrize(
    "make", [gaussian, offset, tight_clusters, tightest_clusters, huge, tiny, outlier]
)
def test_distances_are_those_of_a_float64_brute_force(make, memory_mb, backend, rng):
    x = make(rng)
    found = kneighbors(x, x, 4, exclude_self=True, memory_mb=memory_mb, backend=backend)
    expected = brute_force(x, x, 4, exclude_self=True)
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-10)
    np.testing.assert_array_equal(found.indices, expected.indices)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_queries_against_another_set(dtype, backend, rng):
    queries, reference = rng.normal(size=(70, 9)), 3 + rng.normal(size=(150, 9))
    queries, reference = queries.astype(dtype), reference.astype(dtype)
    found = kneighbors(queries, reference, 5, memory_mb=0.02, backend=backend)
    expected = brute_force(queries, reference, 5)
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-12)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.distances.dtype == np.float64


@pytest.mark.parametrize("backend", BACKENDS)
def test_cosine(backend, rng):
    x = rng.normal(size=(120, 10)) * 10 ** rng.uniform(-3, 3, size=(120, 1))
    found = kneighbors(x, x, 3, exclude_self=True, distance="cosine", backend=backend)
    expected = brute_force(x, x, 3, exclude_self=True, metric="cosine")
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(found.indices, expected.indices)


def test_cosine_tells_nearly_parallel_vectors_apart():
    # 1 - cos(angle) = 2 sin^2(angle / 2), far below the rounding of 1 - q.r
    angle = 1e-9
    found = kneighbors([[1.0, 0.0]], [[np.cos(angle), np.sin(angle)]], 1, distance="cosine")
    np.testing.assert_allclose(found.distances[0, 0], 2 * np.sin(angle / 2) ** 2, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_self_is_excluded_by_index_so_duplicates_are_neighbours(backend):
    x = np.repeat([[1.0, 2.0], [5.0, 5.0]], 30, axis=0)
    found = kneighbors(x, x, 3, exclude_self=True, backend=backend)
    assert (found.distances == 0).all()
    assert (found.indices != np.arange(60)[:, None]).all()
    assert (found.indices // 30 == np.arange(60)[:, None] // 30).all()


def test_ties_are_ordered_by_index():
    corners = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
    assert kneighbors([[0.0, 0.0]], corners, 3).indices.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("order", ["far first", "near first"])
def test_streaming_keeps_the_best_whatever_the_order(order, rng):
    reference = np.sort(rng.normal(size=(500, 1)) ** 2, axis=0)
    if order == "far first":
        reference = reference[::-1]
    queries = np.zeros((3, 1))
    found = kneighbors(queries, reference, 6, memory_mb=0.01, backend="numpy")
    np.testing.assert_allclose(
        found.distances, brute_force(queries, reference, 6).distances, rtol=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(
    x=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=40),
        elements=st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 1.0]),
    ),
    data=st.data(),
)
def test_any_finite_features(x, data):
    k = data.draw(st.integers(1, len(x) - 1))
    found = kneighbors(x, x, k, exclude_self=True, memory_mb=0.01, backend="numpy")
    expected = brute_force(x, x, k, exclude_self=True)
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-9, atol=1e-300)


def test_permutation_permutes_the_result(rng):
    x, order = rng.normal(size=(80, 6)), rng.permutation(80)
    plain = kneighbors(x, x, 3, exclude_self=True)
    shuffled = kneighbors(x[order], x[order], 3, exclude_self=True)
    np.testing.assert_array_equal(shuffled.distances, plain.distances[order])
    np.testing.assert_array_equal(order[shuffled.indices], plain.indices[order])


def test_memory_stays_bounded(rng):
    """The full table of distances would take 128 MB as float32, and as much again to sort."""
    x = rng.standard_normal((5657, 8), dtype=np.float32)
    tracemalloc.start()
    try:
        kneighbors(x, x, 3, exclude_self=True, memory_mb=8, backend="numpy")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # 8 MB of blocks, 8 MB chunks of the float64 passes, and the result.
    assert peak < 40 * 2**20


def test_a_hundred_thousand_features_fit_in_one_gigabyte():
    """All of the process counted; the queries fill a block, and more of them take no more."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the peak of a process alone is read from /proc")
    code = (
        "import numpy as np, pathlib\n"
        "from rl2qc.metrics.neighbors import kneighbors\n"
        "x = np.random.default_rng(0).standard_normal((100_000, 512), np.float32)\n"
        "found = kneighbors(x[:2200], x, 4, backend='numpy')\n"
        "assert (found.indices[:, 0] == np.arange(2200)).all()\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(status.split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Not ru_maxrss, which a process takes over from the one that starts it.
    peak = int(done.stdout) * 1024
    assert 100_000 * 512 * 4 < peak < 10**9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kneighbors([1.0, 2.0], [[1.0]], 1), "queries must be a 2-D array"),
        (lambda: kneighbors([[1.0]], np.empty((0, 1)), 1), "reference is empty"),
        (lambda: kneighbors([[np.nan]], [[1.0]], 1), "queries must be finite"),
        (lambda: kneighbors([[1.0]], [[np.inf]], 1), "reference must be finite"),
        (lambda: kneighbors([[1.0]], [[1.0, 2.0]], 1), "same dimension, got 1 and 2"),
        (lambda: kneighbors([[1.0]], [[1.0]], 2), "k = 2 needs at least 2 reference rows, got 1"),
        (
            lambda: kneighbors([[1.0], [2.0]], [[1.0], [2.0]], 2, exclude_self=True),
            "k = 2 needs more than 2 images, got n = 2",
        ),
        (lambda: kneighbors([[1.0]], [[1.0]], 0), "k must be a positive integer"),
        (lambda: kneighbors([[1.0]], [[1.0]], True), "k must be a positive integer"),
        (lambda: kneighbors([[1.0]], [[1.0]], 1.5), "k must be a positive integer"),
        (
            lambda: kneighbors([[1.0]], [[1.0], [2.0]], 1, exclude_self=True),
            "the same rows twice, got 1 queries and 2",
        ),
        (
            lambda: kneighbors([[1.0]], [[2.0], [0.0]], 1, distance="cosine"),
            "cosine distance is undefined: row 1 of the reference",
        ),
        (lambda: kneighbors([[1.0]], [[1.0]], 1, distance="l1"), "distance must be one of"),
        (lambda: kneighbors([[1.0]], [[1.0]], 1, backend="gpu"), "backend must be one of"),
        (lambda: kneighbors([[1.0]], [[1.0]], 1, memory_mb=0), "memory_mb must be positive"),
        (lambda: kneighbors([["a"]], [[1.0]], 1), "queries must hold real numbers"),
        (lambda: kneighbors([[1.0], [1.0, 2.0]], [[1.0]], 1), "rows of different lengths"),
        (lambda: kneighbors([[1j]], [[1.0]], 1), "queries must hold real numbers"),
    ],
)
def test_bad_input_is_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_faiss_asked_for_but_absent(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install faiss-cpu"):
        kneighbors([[1.0]], [[1.0]], 1, backend="faiss")


def test_a_folder_called_faiss_is_not_faiss(monkeypatch, tmp_path):
    (tmp_path / "faiss").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert kneighbors([[1.0]], [[2.0]], 1).distances.tolist() == [[1.0]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_numbers_of_neighbours_from_numpy(rng, backend):
    """As they come from an array of sizes."""
    x = rng.normal(size=(30, 4))
    found = kneighbors(x, x, np.int64(2), exclude_self=True, backend=backend)
    expected = kneighbors(x, x, 2, exclude_self=True, backend=backend)
    assert np.array_equal(found.indices, expected.indices)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("make", [gaussian, offset, tight_clusters, tightest_clusters])
def test_a_set_with_itself_by_halves_of_the_products(make, distance, rng, monkeypatch):
    x = make(rng)
    monkeypatch.setattr(neighbors, "_block_size", lambda *_: 70)
    used = []
    by_pairs = neighbors._candidates_of_pairs
    monkeypatch.setattr(
        neighbors, "_candidates_of_pairs", lambda *given: used.append(1) or by_pairs(*given)
    )
    found = kneighbors(x, x, 4, exclude_self=True, distance=distance)
    assert used
    expected = kneighbors(x.copy(), x, 4, exclude_self=True, distance=distance, backend="numpy")
    assert len(used) == 1
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-12)
    np.testing.assert_array_equal(found.indices, expected.indices)


def test_duplicates_within_a_set_are_neighbours_at_0(rng, monkeypatch):
    x = np.repeat(rng.normal(size=(5, 8)), 40, axis=0)
    monkeypatch.setattr(neighbors, "_block_size", lambda *_: 30)
    assert not kneighbors(x, x, 3, exclude_self=True).distances.any()

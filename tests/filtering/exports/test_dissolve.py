"""The union of rectangles, as polygons that geometry libraries take."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rl2qc.filtering.exports.dissolve import dissolve


def rasterise(polygons: list[list[list[list[int]]]], shape: tuple[int, int]) -> np.ndarray:
    """How many polygons hold each unit cell, by the even-odd rule at the cell's centre."""
    counts = np.zeros(shape, int)
    for row, column in np.ndindex(shape):
        x, y = column + 0.5, row + 0.5
        for polygon in polygons:
            crossings = 0
            for ring in polygon:
                for (x0, y0), (x1, y1) in pairwise(ring):
                    crossings += x0 == x1 and x0 > x and min(y0, y1) < y < max(y0, y1)
            counts[row, column] += crossings % 2
    return counts


def area(ring: list[list[int]]) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) / 2


def assert_valid(polygons: list[list[list[list[int]]]]) -> None:
    for outline, *holes in polygons:
        assert area(outline) > 0
        assert all(area(hole) < 0 for hole in holes)
        for ring in (outline, *holes):
            assert ring[0] == ring[-1]
            corners = [tuple(p) for p in ring[:-1]]
            assert len(set(corners)) == len(corners) >= 4  # simple: no point twice
            for a, b, c in zip(
                corners, corners[1:] + corners[:1], corners[2:] + corners[:2], strict=True
            ):
                assert (a[0] == b[0]) != (a[1] == b[1])  # axis-parallel
                assert (a[0] == b[0]) == (b[1] == c[1])  # every point is a turn


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_dissolved_cells_cover_what_they_covered(cells: np.ndarray) -> None:
    if not cells.any():
        return
    y, x = np.nonzero(cells)
    ones = np.ones(len(x), np.int64)
    polygons = dissolve(x, y, ones, ones)
    assert_valid(polygons)
    np.testing.assert_array_equal(rasterise(polygons, cells.shape), cells)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 5), st.integers(1, 5)),
        min_size=1,
        max_size=8,
    )
)
def test_dissolved_overlapping_rectangles(boxes: list[tuple[int, int, int, int]]) -> None:
    expected = np.zeros((15, 15), int)
    for x, y, width, height in boxes:
        expected[y : y + height, x : x + width] = 1
    polygons = dissolve(*(np.array(column, np.int64) for column in zip(*boxes, strict=True)))
    assert_valid(polygons)
    np.testing.assert_array_equal(rasterise(polygons, expected.shape), expected)


def test_a_ring_of_cells_that_closes_at_a_corner() -> None:
    # The hole touches the outline at a point; both must stay simple rings.
    cells = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]])
    y, x = np.nonzero(cells)
    ones = np.ones(len(x), np.int64)
    polygons = dissolve(x, y, ones, ones)
    assert_valid(polygons)
    assert len(polygons) == 1
    assert len(polygons[0]) == 2


Boxes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def assert_is_the_union(boxes: Boxes) -> None:
    """By GEOS, which follows the rules of QuPath's geometry library."""
    x, y, width, height = boxes
    union = shapely.union_all(shapely.box(x, y, x + width, y + height))
    polygons = dissolve(*boxes)
    assert_valid(polygons)
    shape = shapely.MultiPolygon([(outline, holes) for outline, *holes in polygons])
    assert shape.is_valid, shapely.is_valid_reason(shape)
    assert shape.equals(union)
    assert len(polygons) == shapely.get_num_geometries(union)


@st.composite
def tile_sets(draw: st.DrawFn) -> Boxes:
    """Tiles of one size on one to three grids, each with an offset and a stride of its own."""
    side = draw(st.integers(1, 6))
    places: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(1, 3))):
        stride, left, top = (
            draw(st.integers(1, 8)),
            draw(st.integers(0, 9)),
            draw(st.integers(0, 9)),
        )
        cells = st.tuples(st.integers(0, 6), st.integers(0, 6))
        places += [
            (left + stride * i, top + stride * j) for i, j in draw(st.lists(cells, min_size=1))
        ]
    x, y = np.array(places, np.int64).T
    sides = np.full(len(x), side)
    return x, y, sides, sides


@given(tile_sets())
def test_dissolved_tiles_are_their_union(boxes: Boxes) -> None:
    assert_is_the_union(boxes)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("extent", [60, 300, 3000])
def test_many_dissolved_tiles_are_their_union(seed: int, extent: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, extent, (2, 300))
    width, height = rng.integers(1, 30, (2, 300)) if seed % 2 else np.full((2, 300), 16)
    assert_is_the_union((x, y, width, height))


def test_half_of_a_large_grid_is_its_union(rng: np.random.Generator) -> None:
    y, x = np.nonzero(rng.random((60, 50)) < 0.5)
    sides = np.full(len(x), 256)
    assert_is_the_union((256 * x, 256 * y, sides, sides))


def test_what_has_no_area_dissolves_to_nothing() -> None:
    none = np.empty(0, np.int64)
    assert dissolve(none, none, none, none) == []
    one, zero = np.ones(1, np.int64), np.zeros(1, np.int64)
    assert dissolve(one, one, one, zero) == dissolve(one, one, zero, one) == []


@pytest.mark.parametrize("extent", [100_000, 4_000])
def test_irregular_tiles_need_little_memory(extent: int, rng: np.random.Generator) -> None:
    # A grid of all their edges has 16 million cells, whether they lie scattered or in one part.
    x, y = rng.integers(0, extent, (2, 2000))
    sides = np.full(2000, 256)
    tracemalloc.start()
    try:
        dissolve(x, y, sides, sides)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()

"""Cells in four bytes, against their definition."""

from __future__ import annotations

import numpy as np
import pytest

from rl2qc.images.cells import CellMap, encode_cells, glass_cells


def test_the_strongest_class_is_the_one_farthest_beyond_its_limit() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.001, 0.999, (3, 4, 5, 6)).astype(np.float32)
    limits = rng.normal(size=6)
    found = encode_cells(p, limits)
    for index in np.ndindex(3, 4, 5):
        margins = [np.log(p[index][c] / (1 - p[index][c])) - limits[c] for c in range(6)]
        assert found[index][0] == int(np.argmax(margins))
        assert abs(found[index][1] / 4 - max(margins)) <= 0.126


def test_the_likeliest_class_is_that_of_the_cell_and_of_its_tile() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.001, 0.999, (3, 4, 5, 6))
    limits, of_tiles = rng.normal(size=6), rng.dirichlet(np.ones(6), 3)
    likeliest = encode_cells(p, limits, of_tiles)[..., 2]
    for i, *cell in np.ndindex(3, 4, 5):
        own = p[i, *cell]
        sum_of = [
            np.log(own[c] / (1 - own[c])) + (np.log(of_tiles[i, c]) - limits[c]) / 4
            for c in range(6)
        ]
        assert likeliest[i, *cell] == int(np.argmax(sum_of))


def test_what_is_just_beyond_a_low_limit_is_not_for_that_the_likelier() -> None:
    # Out of focus beyond doubt; and a bubble just a little, which clean cells hardly ever are.
    cells = encode_cells(np.array([0.9, 0.02]).reshape(1, 1, 1, 2), [0.0, -7.0])
    assert cells[0, 0, 0].tolist()[:3:2] == [1, 0]
    assert CellMap(("out_of_focus", "bubble"), cells).mask().tolist() == [[[1]]]
    # Results of before say the strongest alone.
    assert CellMap(("out_of_focus", "bubble"), cells[..., :2]).mask().tolist() == [[[2]]]


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certainty_is_bounded(p: float) -> None:
    strongest, steps, *_ = encode_cells(np.full((1, 1, 1, 2), p), [0.0, 0.0])[0, 0, 0]
    assert strongest == 0
    assert abs(int(steps)) in range(60, 128)


def test_a_mask_and_its_shares() -> None:
    cells = np.zeros((2, 2, 2, 2), np.int8)
    cells[0, 0, 0], cells[0, 0, 1], cells[1, 1, 1] = (1, 8), (0, 3), (1, -3)
    found = CellMap(("ink", "fold"), cells)
    assert found.mask().tolist() == [[[2, 1], [0, 0]], [[0, 0], [0, 0]]]
    # Two logits and a quarter: what is two logits beyond is within the raised limit.
    assert found.mask([0.0, 2.25]).tolist()[0] == [[0, 1], [0, 0]]
    assert found.shares().tolist() == [[0.25, 0.25], [0.0, 0.0]]
    assert found.take(np.array([1])).cells.tolist() == [cells[1].tolist()]


@pytest.mark.parametrize(
    "cells",
    [
        np.zeros((1, 2, 2), np.int8),
        np.zeros((1, 2, 2, 5), np.int8),
        np.full((1, 1, 1, 4), (0, 1, 1, 5), np.int8),
        np.full((1, 1, 1, 4), (0, 1, 1, -1), np.int8),
        np.zeros((1, 2, 2, 2), np.int16),
        np.full((1, 1, 1, 2), 5, np.int8),
        np.full((1, 1, 1, 2), -1, np.int8),
        np.array([0, 1, 2], np.int8).reshape(1, 1, 1, 3),
    ],
)
def test_cells_that_do_not_fit_are_refused(cells: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cells of"):
        CellMap(("ink", "fold"), cells).check()


def test_cells_around_what_is_far_surer_are_its_rim() -> None:
    rng = np.random.default_rng(2)
    classes = ("ink", "fold", "out_of_focus")
    cells = rng.integers(-20, 60, (3, 16, 14, 3), np.int8)
    cells[..., ::2] = rng.integers(0, 3, (3, 16, 14, 2))
    shift = rng.uniform(-1, 2, (3, 3))
    found = CellMap(classes, cells).mask(shift)
    for i, y, x in np.ndindex(3, 16, 14):
        own, near = 0.0, 0.0
        for v, u in np.ndindex(16, 14):
            strongest, steps, likeliest = cells[i, v, u]
            over = steps / 4 - shift[i, strongest]
            if (v, u) == (y, x):
                own, of_class = over, likeliest
            if max(abs(v - y), abs(u - x)) <= 4 and likeliest != 2:
                near = max(near, over)
        # What fades out has no rim, and is none.
        shown = own > 0 and (of_class == 2 or own > 0.3 * near)
        assert found[i, y, x] == (of_class + 1 if shown else 0)


def test_hue_stands_behind_the_classes() -> None:
    hue = np.arange(4).reshape(1, 2, 2)
    found = encode_cells(np.full((1, 2, 2, 2), 0.5), [0.0, 0.0], odd_hue=hue)
    assert CellMap(("ink", "fold"), found).odd_hue.tolist() == [[[0, 0.25], [0.5, 0.75]]]
    # Results of before do not know it, and their masks are as they were.
    before = CellMap(("ink", "fold"), found[..., :3])
    before.check()
    assert not before.odd_hue.any()
    assert np.array_equal(before.mask(-1), CellMap(("ink", "fold"), found).mask(-1))


def test_glass_is_bright_and_even() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(225, 240, (2, 20, 27, 3), np.uint8)
    images[0, 3, 9] = (200, 120, 190)  # a speck in the second cell
    images[1, :8, :8] = rng.integers(0, 256, (8, 8, 3))
    images[1, 16:, 24:] = 150  # even, and too dark for glass
    found = glass_cells(images)
    assert found.shape == (2, 3, 4)
    assert sorted(zip(*(axis.tolist() for axis in np.nonzero(~found)), strict=True)) == [
        (0, 0, 1),
        (1, 0, 0),
        (1, 2, 3),
    ]

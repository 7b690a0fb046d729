from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl2qc.images.resolution import TOLERANCE
from rl2qc.slides.tiling import (
    beyond_grid,
    is_shifted,
    plan_reading,
    readable_bounds,
    tile_grid,
    tissue_fractions,
)

PYRAMID = (1.0, 4.0, 16.0)


@pytest.mark.parametrize(
    ("slide_mpp", "downsamples", "mpp", "level", "scale"),
    [
        (0.5, PYRAMID, 0.5, 0, 1.0),
        (0.25, PYRAMID, 0.5, 0, 2.0),
        (0.25, PYRAMID, 1.0, 1, 1.0),
        (0.25, (1.0, 3.9999, 16.0), 1.0, 1, 1.0),
        (0.25, (1.0, 4.0001, 16.0), 1.0, 1, 1.0),
        (0.2425, (1.0, 2.0005), 0.5, 1, 1.0),  # 3 % finer: taken as it is
        (0.46, (1.0,), 0.5, 0, 0.5 / 0.46),  # 8 % finer: resampled
        (0.25, PYRAMID, 2.0, 1, 2.0),
        (0.25, (1.0, 16.0, 4.0), 1.0, 2, 1.0),  # levels out of order
        (0.55, (1.0,), 0.5, 0, 0.5 / 0.55),  # enlarged a little
    ],
)
def test_level_choice(
    slide_mpp: float, downsamples: tuple[float, ...], mpp: float, level: int, scale: float
) -> None:
    plan = plan_reading(slide_mpp, downsamples, mpp)
    assert plan.level == level
    assert plan.scale == pytest.approx(scale)


@given(
    st.floats(0.1, 1.0),
    st.lists(st.floats(1.0, 64.0), max_size=6),
    st.floats(0.1, 8.0),
)
def test_a_plan_gives_the_resolution(slide_mpp: float, more: list[float], mpp: float) -> None:
    downsamples = (1.0, *sorted(more))
    if slide_mpp > 1.25 * mpp:
        with pytest.raises(ValueError, match="um/px"):
            plan_reading(slide_mpp, downsamples, mpp)
        return
    plan = plan_reading(slide_mpp, downsamples, mpp)
    # What is read has the resolution that the plan says, and that is the one asked for.
    assert slide_mpp * downsamples[plan.level] * plan.scale == pytest.approx(plan.mpp)
    assert plan.downsample * slide_mpp == pytest.approx(plan.mpp)
    assert abs(plan.mpp / mpp - 1) <= TOLERANCE + 1e-9
    # No level that is coarse enough to save work and fine enough to be used is passed over.
    for downsample in downsamples:
        if slide_mpp * downsample <= mpp:
            assert downsample <= downsamples[plan.level]


def test_too_coarse_a_slide_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"pass --mpp 1 to read it"):
        plan_reading(1.0, PYRAMID, 0.5)


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan")])
def test_impossible_resolutions(mpp: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        plan_reading(0.5, PYRAMID, mpp)
    with pytest.raises(ValueError, match="positive"):
        plan_reading(mpp, PYRAMID, 0.5)


@given(
    st.integers(-5, 5),
    st.integers(-5, 5),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 9),
)
def test_tiles_do_not_overlap_and_leave_no_room(
    x: int, y: int, width: int, height: int, side: int
) -> None:
    corners = tile_grid((x, y, width, height), side)
    covered = np.zeros((height, width), int)
    for cx, cy in corners - [x, y]:
        assert cx >= 0
        assert cy >= 0
        assert cx + side <= width
        assert cy + side <= height
        covered[cy : cy + side, cx : cx + side] += 1
    assert covered.max(initial=0) <= 1
    assert covered.sum() == (width // side) * side * (height // side) * side
    assert corners.tolist() == sorted(corners.tolist(), key=lambda c: (c[1], c[0]))


@given(
    st.integers(-5, 5),
    st.integers(-5, 5),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 9),
)
def test_tiles_moved_inwards_leave_nothing(
    x: int, y: int, width: int, height: int, side: int
) -> None:
    bounds = (x, y, width, height)
    corners = tile_grid(bounds, side, shift=True)
    if side > min(width, height):
        assert not len(corners)
        return
    covered, fresh = np.zeros((2, height, width), int)
    for cx, cy in corners - [x, y]:
        assert min(cx, cy) >= 0
        covered[cy : cy + side, cx : cx + side] += 1
    assert covered.min() == 1
    # What each shows and no other did is shown once.
    for (cx, cy), (w, h) in zip(*beyond_grid(corners, side, (x, y), side), strict=True):
        fresh[cy - y : cy - y + h, cx - x : cx - x + w] += 1
    assert (fresh == 1).all()
    plain = tile_grid(bounds, side).tolist()
    moved = is_shifted(corners, (x, y), side)
    assert corners[~moved].tolist() == plain
    assert len(corners) == -(-width // side) * -(-height // side)


def test_tiles_end_where_the_level_does() -> None:
    # 4443 x 3567 px, of which the second level has 2221 x 1783.
    bounds = readable_bounds((0, 0, 4443, 3567), 448, (2221, 1783), 2.000506)
    assert bounds == (0, 0, 4443, 3566)
    assert readable_bounds((0, 0, 4443, 3567), 448, (4443, 3567), 1.0) == (0, 0, 4443, 3567)
    # A scanned part that ends before is as it was, and a slide of one tile has it.
    assert readable_bounds((100, 50, 900, 800), 448, (2221, 1783), 2.0) == (100, 50, 900, 800)
    assert readable_bounds((0, 0, 9, 9), 9, (4, 4), 2.25) == (0, 0, 9, 9)


def test_tiles_with_gaps_or_overlap_are_moved_where_they_would_begin_within() -> None:
    assert tile_grid((0, 0, 11, 4), 4, 8, shift=True)[:, 0].tolist() == [0, 7]
    assert tile_grid((0, 0, 7, 4), 4, 8, shift=True)[:, 0].tolist() == [0]
    assert tile_grid((0, 0, 9, 4), 4, 2, shift=True)[:, 0].tolist() == [0, 2, 4, 5]
    assert tile_grid((0, 0, 8, 4), 4, 2, shift=True)[:, 0].tolist() == [0, 2, 4]
    corners, sizes = beyond_grid(np.array([[5, 0]]), 4, (0, 0), 2)
    assert (corners.tolist(), sizes.tolist()) == ([[8, 0]], [[1, 4]])
    corners, sizes = beyond_grid(np.array([[7, 0]]), 4, (0, 0), 8)
    assert (corners.tolist(), sizes.tolist()) == ([[7, 0]], [[4, 4]])


def test_tiles_of_any_shape_have_their_share() -> None:
    mask = np.zeros((4, 6), bool)
    mask[:, 3:] = True
    found = tissue_fractions(mask, np.array([[2, 0], [3, 1]]), np.array([[2, 4], [3, 2]]))
    assert found.tolist() == [0.5, 1.0]


def test_stride() -> None:
    assert tile_grid((0, 0, 8, 4), 4, 2)[:, 0].tolist() == [0, 2, 4]
    assert tile_grid((0, 0, 12, 4), 4, 8)[:, 0].tolist() == [0, 8]
    for side, stride in ((0, 1), (4, 0), (4, -1)):
        with pytest.raises(ValueError, match="at least 1"):
            tile_grid((0, 0, 8, 8), side, stride)


def overlap(low: float, high: float, pixel: int) -> float:
    return max(0.0, min(high, pixel + 1) - max(low, pixel))


@given(st.data())
def test_tissue_fraction_is_the_exact_area(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    bits = data.draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    mask = np.array(bits).reshape(rows, columns)
    downsample = (data.draw(st.floats(1, 9)), data.draw(st.floats(1, 9)))
    origin = (data.draw(st.integers(-9, 9)), data.draw(st.integers(-9, 9)))
    side = data.draw(st.integers(1, 20))
    corner = (data.draw(st.integers(-20, 40)), data.draw(st.integers(-20, 40)))

    x0, y0 = ((corner[i] - origin[i]) / downsample[i] for i in (0, 1))
    x1, y1 = x0 + side / downsample[0], y0 + side / downsample[1]
    area = sum(
        overlap(x0, x1, column) * overlap(y0, y1, row) for row, column in np.argwhere(mask).tolist()
    )
    found = tissue_fractions(mask, np.array([corner]), side, origin=origin, downsample=downsample)
    assert found[0] == pytest.approx(area / ((x1 - x0) * (y1 - y0)), abs=1e-9)


def test_no_tiles() -> None:
    found = tissue_fractions(np.ones((2, 2), bool), np.empty((0, 2), np.int64), 4)
    assert found.shape == (0,)

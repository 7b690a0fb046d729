"""Which tiles to cut from a slide, and from which level: arithmetic without a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl2qc.images.resolution import MAX_RATIO, TOLERANCE

__all__ = [
    "ReadPlan",
    "beyond_grid",
    "is_shifted",
    "plan_reading",
    "readable_bounds",
    "share_beyond",
    "tile_grid",
    "tissue_fractions",
]


@dataclass(frozen=True)
class ReadPlan:
    """How tiles of one resolution are read from a slide.

    Attributes
    ----------
    level
        The level to read from.
    scale
        Pixels of that level per pixel of a tile; 1 means that nothing is resampled.
    mpp
        Microns per pixel of the tiles, as they really come out.
    downsample
        Level-0 px per pixel of a tile.
    """

    level: int
    scale: float
    mpp: float
    downsample: float


def plan_reading(
    slide_mpp: float,
    level_downsamples: Sequence[float],
    mpp: float,
    *,
    tolerance: float = TOLERANCE,
    finest: float | None = None,
) -> ReadPlan:
    """Choose the coarsest level that still resolves ``mpp``.

    Parameters
    ----------
    slide_mpp
        Microns per pixel at level 0.
    level_downsamples
        Level-0 px per pixel of each level.
    mpp
        Microns per pixel asked for.
    tolerance
        Relative deviation of a level that is read without resampling; it also keeps 3.9999
        against 4 from choosing a finer level.
    finest
        Microns per pixel along the finer side of pixels that are not square, which tells whether
        the slide is too coarse.

    Raises
    ------
    ValueError
        The slide is coarser than ``mpp`` by more than 25 %.

    Examples
    --------
    >>> plan_reading(0.25, (1.0, 3.9999, 16.0), 1.0)
    ReadPlan(level=1, scale=1.0, mpp=0.999975, downsample=3.9999)
    >>> plan_reading(0.25, (1.0, 4.0), 0.5)
    ReadPlan(level=0, scale=2.0, mpp=0.5, downsample=2.0)
    """
    if not slide_mpp > 0 or not mpp > 0:
        raise ValueError(f"microns per pixel must be positive, got {slide_mpp} and {mpp}")
    if (finest or slide_mpp) > mpp * MAX_RATIO:
        raise ValueError(
            f"the slide has {slide_mpp:g} um/px and cannot give tiles of {mpp:g} um/px: "
            f"take a model for {slide_mpp:g} um/px, or pass --mpp {slide_mpp:g} to read it as it "
            "is (and --any-mpp if that is far from what the model was trained at)"
        )
    level = max(
        (i for i, d in enumerate(level_downsamples) if slide_mpp * d <= mpp * (1 + tolerance)),
        key=lambda i: level_downsamples[i],
        default=0,
    )
    level_mpp = slide_mpp * level_downsamples[level]
    if abs(level_mpp / mpp - 1) <= tolerance:
        return ReadPlan(level, 1.0, level_mpp, float(level_downsamples[level]))
    return ReadPlan(level, mpp / level_mpp, mpp, mpp / slide_mpp)


def tile_grid(
    bounds: tuple[int, int, int, int], side: int, stride: int | None = None, *, shift: bool = False
) -> NDArray[np.int64]:
    """Top left corners of the tiles that lie wholly within ``bounds``, row by row.

    Rows first is the order in which slides are stored, and in which they are read fastest.

    Parameters
    ----------
    bounds
        x, y, width, height of the area.
    side
        Side of a tile; all lengths in level-0 px.
    stride
        Distance between neighbours; ``side``, that is tiles that neither overlap nor leave a gap,
        by default.
    shift
        Move tiles that would reach over the right or the bottom edge inwards, up to it; without,
        they are left out.

    Returns
    -------
    (n, 2) int64, x and y.

    Examples
    --------
    >>> tile_grid((0, 0, 5, 4), 2).tolist()
    [[0, 0], [2, 0], [0, 2], [2, 2]]
    >>> tile_grid((0, 0, 5, 2), 2, shift=True).tolist()
    [[0, 0], [2, 0], [3, 0]]
    """
    stride = side if stride is None else stride
    if side < 1 or stride < 1:
        raise ValueError(f"side and stride must be at least 1 px, got {side} and {stride}")
    left, top, width, height = bounds
    xs, ys = (
        _places(start, length, side, stride, shift)
        for start, length in ((left, width), (top, height))
    )
    grid_y, grid_x = np.meshgrid(ys, xs, indexing="ij")
    return np.stack([grid_x.ravel(), grid_y.ravel()], axis=1)


def _places(start: int, length: int, side: int, stride: int, shift: bool) -> NDArray[np.int64]:
    """Where tiles begin along one side."""
    places = np.arange(start, start + length - side + 1, stride, dtype=np.int64)
    end = start + length
    # A tile that would begin within and end beyond, if it shows more than the last one.
    over = shift and len(places) and places[-1] + side < end and places[-1] + stride < end
    return np.append(places, end - side) if over else places


def readable_bounds(
    bounds: tuple[int, int, int, int],
    side: int,
    level_dimensions: tuple[int, int],
    downsample: float,
) -> tuple[int, int, int, int]:
    """``bounds`` without what tiles cannot reach that are read whole from a level.

    A level of half the pixels of a side that is odd ends before the slide does, and its last
    pixels are read half transparent.

    Parameters
    ----------
    bounds
        x, y, width, height of the area, in level-0 px.
    side
        Side of a tile in level-0 px.
    level_dimensions, downsample
        Of the level that tiles are read from.

    Examples
    --------
    >>> readable_bounds((0, 0, 9, 8), 4, (4, 4), 2.0)
    (0, 0, 8, 8)
    """
    left, top, width, height = bounds
    pixels = max(1, round(side / downsample))
    width, height = (
        min(length, max(side, math.floor((most - pixels) * downsample + 1e-6) + side - start))
        for start, length, most in (
            (left, width, level_dimensions[0]),
            (top, height, level_dimensions[1]),
        )
    )
    return left, top, width, height


def is_shifted(
    corners: NDArray[np.int64], origin: tuple[int, int], stride: int
) -> NDArray[np.bool_]:
    """Which tiles were moved inwards: those off the grid that begins at ``origin``.

    Examples
    --------
    >>> is_shifted(tile_grid((0, 0, 5, 2), 2, shift=True), (0, 0), 2).tolist()
    [False, False, True]
    """
    return np.asarray(((corners - np.array(origin)) % stride).any(axis=1))


def beyond_grid(
    corners: NDArray[np.int64], side: int, origin: tuple[int, int], stride: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of tiles that were moved inwards, what the others do not show; of others, all.

    Returns
    -------
    Corners (n, 2), and width and height (n, 2), in px at level 0.

    Examples
    --------
    >>> corners, sizes = beyond_grid(np.array([[2, 0], [3, 0]]), 2, (0, 0), 2)
    >>> corners.tolist(), sizes.tolist()
    ([[2, 0], [4, 0]], [[2, 2], [1, 2]])
    """
    away = corners - np.array(origin)
    off = away % stride
    # The tile before it on the grid ends here, if tiles leave no gap.
    shown = np.where(off > 0, np.clip(side - off, 0, side), 0)
    return corners + shown, side - shown


def tissue_fractions(
    mask: NDArray[np.bool_],
    corners: NDArray[np.int64],
    side: int | NDArray[np.int64],
    *,
    origin: tuple[int, int] = (0, 0),
    downsample: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.float64]:
    """Share of tissue in each tile.

    The integral of the mask is piecewise bilinear, so that interpolating it at a tile's corners
    gives the exact area, with corners that fall between mask pixels, too.

    Parameters
    ----------
    mask
        (h, w) bool.
    corners
        (n, 2) x and y of the tiles in level-0 px.
    side
        Side of the tiles in level-0 px, or the width and height of each (n, 2).
    origin
        Level-0 position of the mask's top left corner.
    downsample
        Level-0 px per mask pixel in x and in y.

    Returns
    -------
    (n,) float64 in [0, 1]. What lies outside the mask is no tissue.

    Examples
    --------
    >>> tissue_fractions(np.array([[True, False]]), np.array([[0, 0], [1, 0]]), 2,
    ...                  downsample=(2.0, 2.0)).tolist()
    [1.0, 0.5]
    """
    integral = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    integral[1:, 1:] = mask.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)

    x = (corners[:, 0] - origin[0]) / downsample[0]
    y = (corners[:, 1] - origin[1]) / downsample[1]
    sides = np.broadcast_to(side, corners.shape)
    width, height = sides[:, 0] / downsample[0], sides[:, 1] / downsample[1]
    area = (
        _bilinear(integral, x + width, y + height)
        - _bilinear(integral, x, y + height)
        - _bilinear(integral, x + width, y)
        + _bilinear(integral, x, y)
    )
    fractions: NDArray[np.float64] = np.clip(area / (width * height), 0.0, 1.0)
    return fractions


def share_beyond(
    mask: NDArray[np.bool_],
    corners: NDArray[np.int64],
    side: int,
    *,
    origin: tuple[int, int] = (0, 0),
    downsample: tuple[float, float] = (1.0, 1.0),
) -> float:
    """Share of the tissue that lies to the right of a grid of tiles, or below it.

    Parameters
    ----------
    mask, corners, side, origin, downsample
        As for :func:`tissue_fractions`.

    Returns
    -------
    In [0, 1], to a pixel of the mask; 0 where there is no tissue.

    Examples
    --------
    >>> share_beyond(np.ones((3, 4), bool), tile_grid((0, 0, 4, 3), 2), 2) == 1 / 3
    True
    """
    if not mask.any():
        return 0.0
    if not len(corners):
        return 1.0
    right, bottom = corners.max(axis=0) + side - np.array(origin)
    # What a pixel of the mask shows of the last tile counts as reached.
    columns, rows = math.ceil(right / downsample[0]), math.ceil(bottom / downsample[1])
    return float((mask.sum() - mask[:rows, :columns].sum()) / mask.sum())


def _bilinear(
    values: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``values`` at fractional positions, those outside moved to the nearest edge."""
    rows, columns = values.shape
    x, y = np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1)
    x0 = np.minimum(x.astype(np.int64), max(columns - 2, 0))
    y0 = np.minimum(y.astype(np.int64), max(rows - 2, 0))
    fx, fy = x - x0, y - y0
    result: NDArray[np.float64] = (
        values[y0, x0] * (1 - fx) * (1 - fy)
        + values[y0, x0 + 1] * fx * (1 - fy)
        + values[y0 + 1, x0] * (1 - fx) * fy
        + values[y0 + 1, x0 + 1] * fx * fy
    )
    return result

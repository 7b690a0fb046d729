"""Cells that do not belong: squamous flakes, displaced cells and their clumps, floating tissue."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.synthetic.teaching_tools import (
    Canvas,
    Damaged,
    Floats,
    Image,
    absorb,
    canvas_of,
    cover,
    density,
    grid,
    lay,
    only_inside,
    smoothstep,
    stretched,
)

__all__ = ["cell_single", "cells_clump", "floater", "squame", "squames_many"]


def squame(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A squamous cell: a large thin flake with corners and wrinkles, pale, its nucleus small.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
    area
        Share of the pixels that is covered, 0 to 1.
    rng
        Source of randomness.

    Returns
    -------
    Damaged
        A new image and the mask (h, w) bool of what was covered.

    Raises
    ------
    ValueError
        If ``image`` is no (h, w, 3) uint8 array or ``area`` lies outside 0 to 1.

    Examples
    --------
    >>> damaged = squame(np.full((64, 64, 3), 90, np.uint8), 0.2, np.random.default_rng(0))
    >>> bool(damaged.image[damaged.mask].mean() > 110)
    True
    """
    return _squames(image, area, rng, 1)


def squames_many(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Two to four squamous cells that touch or overlap.

    Parameters, return value and errors are those of :func:`squame`.

    Examples
    --------
    >>> damaged = squames_many(np.full((64, 64, 3), 90, np.uint8), 0.2, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.2
    """
    return _squames(image, area, rng, int(rng.integers(2, 5)))


def cell_single(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """One displaced cell, red, blue or pink, its rim of another colour than its middle.

    Parameters, return value and errors are those of :func:`squame`.

    Examples
    --------
    >>> damaged = cell_single(np.full((64, 64, 3), 200, np.uint8), 0.02, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.02
    """
    canvas, side = canvas_of(image, area, rng)
    return _cells(image, area, canvas, rng.uniform(0.05, 0.95, (1, 2)) * side)


def cells_clump(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A clump, a row or a scatter of displaced cells.

    Parameters, return value and errors are those of :func:`squame`.

    Examples
    --------
    >>> damaged = cells_clump(np.full((64, 64, 3), 200, np.uint8), 0.1, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.1
    """
    canvas, side = canvas_of(image, area, rng)
    count = int(np.exp(rng.uniform(np.log(3), np.log(30))))
    step = rng.uniform(0.02, 0.09) * side
    if rng.random() < 0.5:  # a row that winds
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.5, count))
        places = np.cumsum(np.c_[np.cos(heading), np.sin(heading)], 0) * step
        places += rng.normal(0, 0.6 * step, places.shape)
    else:
        places = rng.normal(0, 0.5 * step * np.sqrt(count), (count, 2))
    places += rng.uniform(0.15, 0.85, 2) * side - places.mean(0)
    return _cells(image, area, canvas, places)


def floater(
    image: Image, area: float, rng: np.random.Generator, donor: Image | None = None
) -> Damaged:
    """A scrap of other tissue that floated here: opaque, or over the tissue as a second layer.

    Parameters, return value and errors are those of :func:`squame`; the scrap is cut out of
    ``donor``, an image of the same shape, or of the image itself, turned and enlarged.

    Examples
    --------
    >>> pale, dark = (np.full((64, 64, 3), v, np.uint8) for v in (200, 60))
    >>> damaged = floater(pale, 0.1, np.random.default_rng(0), dark)
    >>> bool(damaged.image[damaged.mask].mean() < 150)
    True
    """
    canvas, side = canvas_of(image, area, rng)
    scrap = image if donor is None else donor
    h, w = canvas.shape
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), rng.uniform(0, 360), rng.uniform(1.0, 1.8))
    scrap = np.asarray(
        cv2.warpAffine(scrap, turn, (w, h), borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )
    shape = _flake(canvas, rng.uniform(0, 1, 2) * (w, h), rng.uniform(0.4, 1.0))
    shape = shape + (0.25 * canvas.noise(0.2 * side) + 0.1 * canvas.noise(0.06 * side))
    opaque, softness = rng.uniform(0.8, 1.0), rng.uniform(0.8, 4)
    layer = density(scrap) + rng.uniform(0, 0.15)
    doubled = rng.random() < 0.5
    blurred = canvas.blur(scrap, rng.uniform(0.2, 2.0))
    mask, edge = cover(np.asarray(shape, np.float32), area)
    seen = smoothstep(edge, 0, softness)
    if doubled:
        return only_inside(image, absorb(image, seen[..., None] * layer), mask)
    return only_inside(image, lay(image, blurred, opaque * seen), mask)


def _squames(image: Image, area: float, rng: np.random.Generator, count: int) -> Damaged:
    canvas, side = canvas_of(image, area, rng)
    centre = rng.uniform(0.1, 0.9, 2) * canvas.shape[::-1]
    shapes = [
        _flake(canvas, centre + (i > 0) * rng.normal(0, 0.22, 2) * side, rng.uniform(0.4, 1.0))
        for i in range(count)
    ]
    field = np.max(shapes, 0)
    field = field + rng.uniform(0, 0.06) * canvas.noise(0.1 * side)
    field = field + rng.uniform(0, 0.03) * canvas.noise(2.0)
    light = _eosin(image, rng)
    angle = rng.uniform(0, np.pi)
    wrinkles = stretched(canvas, rng.uniform(2, 5), rng.uniform(0.15, 0.6) * side, angle)
    texture = rng.uniform(2, 12) * wrinkles + rng.uniform(1, 7) * canvas.noise(rng.uniform(1.2, 3))
    lines = rng.uniform(0, 0.35) * np.exp(-((wrinkles / 0.25) ** 2))
    nuclei = _nuclei(canvas, field, int(rng.integers(0, 2)) + (count > 1) * int(rng.integers(2)))
    dots = _dots(canvas, int(rng.integers(0, 8)) if rng.random() < 0.5 else 0)
    opacity, border = rng.uniform(0.6, 1.0), rng.uniform(-0.15, 0.4)
    soft, blur = rng.uniform(0.8, 3), rng.uniform(0, 1) ** 2 * 1.5
    overlap = np.partition(np.stack(shapes), -2, 0)[-2] if count > 1 else None
    mask, edge = cover(np.asarray(field, np.float32), area)
    seen = smoothstep(edge, 0, soft)
    rim = border * np.exp(-(((edge - 1.5) / 1.5) ** 2))
    dark = (lines + rim + 1.2 * nuclei + 0.9 * dots)[..., None] * np.array([0.7, 0.8, 0.5])
    if overlap is not None and mask.any():
        dark = dark + 0.25 * (overlap > field[mask].min())[..., None] * np.array([0.2, 0.8, 0.5])
    above = canvas.blur((light + texture[..., None]) * np.exp(-dark), max(blur, 0.2))
    return only_inside(image, lay(image, above, opacity * seen), mask)


def _flake(canvas: Canvas, centre: NDArray[np.floating], squeeze: float) -> Floats:
    """1 at the centre, 0 on the border of a random polygon, negative beyond."""
    rng = canvas.rng
    side = min(canvas.shape)
    y, x = grid(canvas)
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    turn = rng.uniform(0, np.pi)
    u = (x * np.cos(turn) + y * np.sin(turn)) / (0.3 * side)
    v = (y * np.cos(turn) - x * np.sin(turn)) / (0.3 * side * squeeze)
    corners = int(rng.integers(4, 9))
    angles = 2 * np.pi * (np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) / corners
    reach = rng.uniform(0.75, 1.25, corners)
    planes = [(u * np.cos(a) + v * np.sin(a)) / r for a, r in zip(angles, reach, strict=True)]
    return np.asarray(1 - np.max(planes, 0), np.float32)


def _eosin(image: Image, rng: np.random.Generator) -> NDArray[np.float64]:
    """Light (3,) of a thin flake: eosin of some strength over white, or near the tissue's own."""
    eosin = np.array([0.07, 0.55, 0.28]) + rng.normal(0, 0.06, 3)
    absolute = 240 * np.exp(-np.maximum(eosin, 0) * rng.uniform(0.3, 1.5))
    own = np.exp(-density(image).mean((0, 1)) * rng.uniform(0.3, 0.9)) * 238
    mixed = rng.choice([0.0, 0.5, 1.0], p=[0.6, 0.2, 0.2])
    return np.asarray(absolute * (1 - mixed) + own * mixed + rng.normal(0, 4, 3), np.float64)


def _nuclei(canvas: Canvas, field: Floats, count: int) -> Floats:
    """Densities 0 to 1 of small round nuclei near the middle of flakes."""
    rng = canvas.rng
    marks = np.zeros(canvas.shape, np.uint8)
    row, column = np.unravel_index(int(field.argmax()), canvas.shape)
    for _ in range(count):
        radius = rng.uniform(0.012, 0.03) * min(canvas.shape)
        at = np.array([column, row]) + rng.normal(0, 0.04, 2) * min(canvas.shape)
        axes = np.rint(16 * radius * rng.uniform(0.7, 1.3, 2)).astype(int).tolist()
        middle = np.rint(16 * at).astype(int).tolist()
        shade = int(rng.integers(120, 255))
        cv2.ellipse(marks, middle, axes, rng.uniform(0, 180), 0, 360, shade, -1, cv2.LINE_AA, 4)
    return canvas.blur(marks.astype(np.float32) / 255, 0.7)


def _dots(canvas: Canvas, count: int) -> Floats:
    """Densities 0 to 1 of specks, as of bacteria or keratohyalin."""
    marks = np.zeros(canvas.shape, np.uint8)
    for _ in range(count):
        x, y = (canvas.rng.uniform(0, 1, 2) * canvas.shape[::-1]).astype(int).tolist()
        cv2.circle(marks, (x, y), int(canvas.rng.integers(1, 3)), 255, -1, cv2.LINE_AA)
    return canvas.blur(marks.astype(np.float32) / 255, 0.6)


def _cells(image: Image, area: float, canvas: Canvas, places: NDArray[np.floating]) -> Damaged:
    """Lay cells at places (n, 2) of x, y in px."""
    rng = canvas.rng
    side = min(canvas.shape)
    y, x = grid(canvas)
    fields = np.empty((len(places), *canvas.shape), np.float32)
    for i, (cx, cy) in enumerate(places):
        turn, squeeze = rng.uniform(0, np.pi), rng.uniform(0.55, 1.0)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / squeeze
        fields[i] = -np.hypot(u, v) * rng.uniform(0.8, 1.25)
    field = fields.max(0) + (rng.uniform(0.001, 0.012) * side * canvas.noise(0.05 * side))
    middle, rim = _cell_colours(rng)
    shade = rng.uniform(0.75, 1.2, len(places))[fields.argmax(0)][..., None]
    grain = 1 + rng.uniform(0, 0.15) * canvas.noise(2)[..., None]
    opacity, soft = rng.uniform(0.7, 1.0), rng.uniform(0.8, 2)
    share = rng.uniform(0.2, 0.8)
    mask, edge = cover(np.asarray(field, np.float32), area)
    thick = max(float(edge.max()), 1.0)
    inner = smoothstep(edge, (share - 0.2) * thick, (share + 0.2) * thick)[..., None]
    light = 240 * np.exp(-(middle * inner + rim * (1 - inner)) * shade * grain)
    return only_inside(image, lay(image, light, opacity * smoothstep(edge, 0, soft)), mask)


def _cell_colours(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Optical densities (3,) of a cell's middle and of its rim."""
    red = np.array([0.05, 1.1, 1.0]) * rng.uniform(0.6, 1.6)
    blue = np.array([1.3, 1.5, 0.6]) * rng.uniform(0.5, 1.4)
    pink = np.array([0.1, 0.6, 0.3]) * rng.uniform(0.6, 1.6)
    kind = rng.choice(4, p=[0.4, 0.25, 0.15, 0.2])
    middle, rim = [(red, 0.7 * red + 0.5 * blue), (blue, pink), (pink, 1.5 * pink), (red, red)][
        kind
    ]
    return middle + rng.normal(0, 0.08, 3), rim + rng.normal(0, 0.08, 3)

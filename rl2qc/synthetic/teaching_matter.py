"""Foreign matter that teaches: dark spots, smears, debris, powder, precipitate, droplets, rings."""

from __future__ import annotations

import numpy as np

from rl2qc.synthetic.teaching_tools import (
    Canvas,
    Damaged,
    Floats,
    Image,
    absorb,
    canvas_of,
    cover,
    grid,
    lay,
    line,
    only_inside,
    smoothstep,
)

__all__ = ["dark_smear", "dark_spot", "debris", "droplets", "fat_ring", "powder", "precipitate"]


def dark_spot(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Dust far out of focus: a dark round cloud, black or grey in its middle.

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
    >>> damaged = dark_spot(np.full((64, 64, 3), 200, np.uint8), 0.2, np.random.default_rng(0))
    >>> bool(damaged.image.min() < 130)
    True
    """
    canvas, side = canvas_of(image, area, rng)
    field = _spots(canvas, int(rng.integers(1, 3)), 0.02, spread=0.3)
    field += rng.uniform(0, 0.02) * side * canvas.noise(0.3 * side)
    strength = np.exp(rng.uniform(np.log(0.5), np.log(5)))
    tint = 1 + rng.normal(0, 0.08, 3)
    plateau = rng.uniform(0.4, 1.0)
    mask, edge = cover(field.astype(np.float32), area)
    depth = edge / max(float(edge.max()), 1.0)
    amount = strength * (0.06 * smoothstep(edge, 0, 2) + smoothstep(depth, 0, plateau) ** 1.5)
    return only_inside(image, absorb(image, amount[..., None] * tint), mask)


def dark_smear(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Dark soft matter that comes in from a side: grey-brown, hazy, streaked.

    Parameters, return value and errors are those of :func:`dark_spot`.

    Examples
    --------
    >>> damaged = dark_smear(np.full((64, 64, 3), 200, np.uint8), 0.2, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.2
    """
    canvas, side = canvas_of(image, area, rng)
    front = line(canvas, rng.uniform(0.1, 0.4), middle=False)
    field = front.across if rng.random() < 0.7 else -np.abs(front.across)
    field = field + 0.03 * side * canvas.noise(0.1 * side)
    strength = rng.uniform(0.3, 2.0)
    tint = np.array([0.95, 1.0, 1.02]) * (1 + rng.normal(0, 0.1, 3))
    cloud = np.clip(1 + 0.35 * canvas.noise(0.15 * side) + 0.1 * canvas.noise(3), 0.2, 2)
    fade = rng.uniform(0.1, 0.5) * side
    soft = canvas.blur(image, rng.uniform(0.5, 3))
    mask, edge = cover(np.asarray(field, np.float32), area)
    seen = smoothstep(edge, 0, fade)
    amount = strength * cloud * (0.12 * smoothstep(edge, 0, 3) + 0.88 * seen)
    drawn = absorb(lay(image, soft, smoothstep(edge, 0, 5)), amount[..., None] * tint)
    return only_inside(image, drawn, mask)


def debris(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Opaque or translucent particles of irregular outline, sharp or not, black to rusty.

    Parameters, return value and errors are those of :func:`dark_spot`.

    Examples
    --------
    >>> damaged = debris(np.full((64, 64, 3), 200, np.uint8), 0.05, np.random.default_rng(0))
    >>> bool(damaged.image[damaged.mask].mean() < 160)
    True
    """
    canvas, side = canvas_of(image, area, rng)
    field = _spots(canvas, int(rng.integers(1, 6)), 0.03, spread=0.9)
    field += rng.uniform(0.01, 0.05) * side * canvas.noise(0.05 * side)
    field += 0.01 * side * canvas.noise(2.5)
    colours = np.array([[2.5, 2.5, 2.5], [1.0, 1.8, 2.6], [1.6, 2.0, 2.4], [0.8, 1.0, 1.2]])
    colour = colours[rng.integers(4)] * rng.uniform(0.6, 1.4) + rng.normal(0, 0.05, 3)
    texture = np.clip(1 + rng.uniform(0, 0.4) * canvas.noise(3), 0.2, 2)
    soft = rng.uniform(1, 5)
    mask, edge = cover(field.astype(np.float32), area)
    amount = smoothstep(edge, 0, soft) * texture
    return only_inside(image, absorb(image, amount[..., None] * colour), mask)


def powder(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Grains of glove powder: bright round grains with a dark rim and a dark centre or cross.

    Parameters, return value and errors are those of :func:`dark_spot`.

    Examples
    --------
    >>> damaged = powder(np.full((64, 64, 3), 120, np.uint8), 0.05, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.05
    """
    canvas, side = canvas_of(image, area, rng)
    field = _spots(canvas, int(rng.integers(1, 9)), 0.03, spread=0.5)
    field += rng.uniform(0, 0.01) * side * canvas.noise(0.06 * side)
    light = rng.uniform(200, 250) + rng.normal(0, 4, 3)
    opacity, rim, core = rng.uniform(0.4, 0.9), rng.uniform(0.4, 1.6), rng.uniform(0, 1.5)
    mask, edge = cover(field.astype(np.float32), area)
    thick = max(float(edge.max()), 1.0)
    seen = smoothstep(edge, 0, 1)
    drawn = lay(image, light, opacity * seen)
    dark = rim * np.exp(-(((edge - 0.12 * thick) / (0.1 * thick + 0.5)) ** 2))
    dark = seen * (dark + core * smoothstep(edge, 0.75 * thick, thick))
    return only_inside(image, absorb(drawn, dark[..., None] * np.array([1.0, 1.0, 0.95])), mask)


def precipitate(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Many fine grains of pigment or stain, scattered or in clouds: black, brown, blue.

    Parameters, return value and errors are those of :func:`dark_spot`.

    Examples
    --------
    >>> damaged = precipitate(np.full((64, 64, 3), 200, np.uint8), 0.05, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.05
    """
    canvas, side = canvas_of(image, area, rng)
    field = canvas.noise(rng.uniform(1.5, 4)) + rng.uniform(0.3, 1.2) * canvas.noise(0.3 * side)
    colours = np.array([[2.2, 2.2, 2.0], [0.9, 1.7, 2.4], [1.9, 1.6, 0.6]])
    colour = colours[rng.integers(3)] * rng.uniform(0.6, 1.4)
    mask, edge = cover(field.astype(np.float32), area)
    return only_inside(image, absorb(image, smoothstep(edge, 0, 1.5)[..., None] * colour), mask)


def droplets(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Droplets of water or mounting medium: round, refracting, a dark rim and a bright spot.

    Parameters, return value and errors are those of :func:`dark_spot`.

    Examples
    --------
    >>> damaged = droplets(np.full((64, 64, 3), 150, np.uint8), 0.1, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.1
    """
    canvas, _ = canvas_of(image, area, rng)
    field = _spots(canvas, int(rng.integers(1, 10)), 0.05, spread=0.8)
    blurred = canvas.blur(image, rng.uniform(1, 4))
    rim, glow = rng.uniform(0.3, 2), rng.uniform(0, 0.5)
    mask, edge = cover(field, area)
    thick = max(float(edge.max()), 1.0)
    width = 0.06 * thick + 0.8
    seen = smoothstep(edge, 0, 1.5)
    drawn = lay(lay(image, blurred, seen), np.full(3, 245.0), glow * smoothstep(edge, 0, thick))
    dark = rim * seen * np.exp(-(((edge - width) / width) ** 2))
    return only_inside(image, absorb(drawn, dark[..., None] * np.ones(3)), mask)


def fat_ring(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A grey out-of-focus ring with a clear middle, as of fat or oil on the glass.

    Parameters, return value and errors are those of :func:`dark_spot`.

    Examples
    --------
    >>> damaged = fat_ring(np.full((64, 64, 3), 200, np.uint8), 0.3, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.3
    """
    canvas, side = canvas_of(image, area, rng)
    field = _spots(canvas, 1, 0.02, spread=0.4) + 0.03 * side * canvas.noise(0.3 * side)
    strength, hole = rng.uniform(0.25, 1.2), rng.uniform(0.5, 0.95)
    tint = np.array([1.05, 0.95, 0.85]) * (1 + rng.normal(0, 0.08, 3))
    mask, edge = cover(np.asarray(field, np.float32), area)
    depth = edge / max(float(edge.max()), 1.0)
    ring = smoothstep(depth, 0, 0.4) * (1 - 0.8 * smoothstep(depth, hole - 0.1, hole + 0.05))
    amount = strength * (0.05 * smoothstep(edge, 0, 2) + ring)
    return only_inside(image, absorb(image, amount[..., None] * tint), mask)


def _spots(canvas: Canvas, count: int, size: float, *, spread: float) -> Floats:
    """Height of the highest of ``count`` cones of random size (share of the side) and squeeze."""
    rng = canvas.rng
    side = min(canvas.shape)
    y, x = grid(canvas)
    field = np.full(canvas.shape, -np.inf, np.float32)
    for _ in range(count):
        cy, cx = rng.uniform(0, 1, 2) * canvas.shape
        squeeze = np.exp(rng.normal(0, 0.12))
        height = size * side * rng.lognormal(0, spread)
        field = np.maximum(field, height - np.hypot((x - cx) * squeeze, y - cy).astype(np.float32))
    return field

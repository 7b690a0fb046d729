"""What the glass does: bubbles with many rims, foam, the coverslip's edge, dried medium."""

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

__all__ = ["bubble_foam", "bubble_rim", "coverslip_edge", "dried_medium"]


def bubble_rim(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Part of a large bubble: a dark rim, hard outside and soft inside, the inside grey or hazy.

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
    >>> damaged = bubble_rim(np.full((64, 64, 3), 200, np.uint8), 0.4, np.random.default_rng(0))
    >>> bool(damaged.image.min() < 170)
    True
    """
    canvas, side = canvas_of(image, area, rng)
    if rng.random() < 0.6:
        y, x = grid(canvas)
        cy, cx = rng.uniform(-0.3, 1.3, 2) * canvas.shape
        squeeze = rng.uniform(0.7, 1.4)
        field = -np.hypot((x - cx) * squeeze, y - cy)
    else:
        field = line(canvas, rng.uniform(0.1, 0.4)).across
    field = field + rng.uniform(0, 0.06) * side * canvas.noise(0.5 * side)
    return _bubble(image, canvas, np.asarray(field, np.float32), area)


def bubble_foam(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Several small bubbles, round, some touching.

    Parameters, return value and errors are those of :func:`bubble_rim`.

    Examples
    --------
    >>> damaged = bubble_foam(np.full((64, 64, 3), 200, np.uint8), 0.2, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.2
    """
    canvas, side = canvas_of(image, area, rng)
    y, x = grid(canvas)
    field = np.full(canvas.shape, -np.inf, np.float32)
    for _ in range(int(rng.integers(2, 9))):
        cy, cx = rng.uniform(0, 1, 2) * canvas.shape
        size = 0.08 * side * rng.lognormal(0, 0.6)
        field = np.maximum(field, size - np.hypot(x - cx, y - cy).astype(np.float32))
    return _bubble(image, canvas, field, area)


def coverslip_edge(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """The coverslip's edge: a straight line, bright and dark; beyond it all is dull and soft.

    Parameters, return value and errors are those of :func:`bubble_rim`.

    Examples
    --------
    >>> damaged = coverslip_edge(np.full((64, 64, 3), 180, np.uint8), 0.4, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.4
    """
    canvas, side = canvas_of(image, area, rng)
    edge_line = line(canvas, rng.choice([0.0, 0.01]))
    only_line = rng.random() < 0.4
    field = -np.abs(edge_line.across) if only_line else edge_line.across
    field = field + rng.uniform(0, 0.008) * side * canvas.noise(0.1 * side)
    width = rng.uniform(0.008, 0.05) * side + 0.7
    dark, bright = rng.uniform(0.4, 2.0), rng.uniform(0, 0.7)
    grey = rng.uniform(0, 0.7) * (1 + rng.normal(0, 0.06, 3))
    soft = canvas.blur(image, rng.uniform(0.5, 4))
    mask, edge = cover(np.asarray(field, np.float32), area)
    seen = smoothstep(edge, 0, 2)
    drawn = lay(image, soft, seen)
    drawn = lay(drawn, np.full(3, 250.0), bright * np.exp(-(((edge - 3 * width) / width) ** 2)))
    shade = dark * np.exp(-(((edge - width) / width) ** 2))
    layer = seen[..., None] * (shade[..., None] * np.ones(3) + grey)
    return only_inside(image, absorb(drawn, layer), mask)


def dried_medium(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Dried mounting medium or retracted air: crazed, bright and dark cells with fine borders.

    Parameters, return value and errors are those of :func:`bubble_rim`.

    Examples
    --------
    >>> damaged = dried_medium(np.full((64, 64, 3), 180, np.uint8), 0.4, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.4
    """
    canvas, side = canvas_of(image, area, rng)
    reach = canvas.noise(0.6 * side)
    veins = np.abs(canvas.noise(rng.uniform(0.06, 0.2) * side))
    dark, width = rng.uniform(0.5, 2.0), rng.uniform(0.05, 0.2)
    haze, light = rng.uniform(0.1, 0.5), rng.uniform(190, 240)
    soft = canvas.blur(image, rng.uniform(0.5, 3))
    mask, edge = cover(reach, area)
    seen = smoothstep(edge, 0, 3)
    drawn = lay(lay(image, soft, seen), np.full(3, light), haze * seen)
    shade = dark * seen * np.exp(-((veins / width) ** 2))
    return only_inside(image, absorb(drawn, shade[..., None] * np.ones(3)), mask)


def _bubble(image: Image, canvas: Canvas, field: Floats, area: float) -> Damaged:
    rng = canvas.rng
    side = min(canvas.shape)
    width = np.exp(rng.uniform(np.log(0.008), np.log(0.1))) * side + 0.8
    rim = np.exp(rng.uniform(np.log(0.3), np.log(4)))
    hardness = rng.uniform(0.8, 3)
    glow = rng.uniform(0, 0.4)
    grey = rng.uniform(0, 0.5) * (1 + rng.normal(0, 0.08, 3))
    haze, light = rng.uniform(0, 0.5) * (rng.random() < 0.6), rng.uniform(180, 235)
    soft = canvas.blur(image, rng.uniform(0.2, 3))
    mask, edge = cover(field, area)
    seen = smoothstep(edge, 0, hardness)
    drawn = lay(lay(image, soft, seen), np.full(3, light), haze * seen)
    drawn = lay(drawn, np.full(3, 250.0), glow * np.exp(-(((edge - 3 * width) / width) ** 2)))
    shade = rim * np.exp(-((np.maximum(edge - 0.5 * width, 0) / width) ** 2))
    layer = seen[..., None] * (shade[..., None] * np.ones(3) + grey)
    return only_inside(image, absorb(drawn, layer), mask)

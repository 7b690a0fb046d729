"""What cutting and staining do: tears, cracks, knife marks, thick bands, pale or dark regions."""

from __future__ import annotations

import numpy as np

from rl2qc.synthetic.teaching_tools import (
    Damaged,
    Image,
    absorb,
    canvas_of,
    cover,
    density,
    lay,
    line,
    only_inside,
    smoothstep,
    stretched,
)

__all__ = ["cracks", "knife_marks", "overstained", "tear", "understained"]


def tear(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A torn section: a ragged gap of bare glass, its lips denser than the tissue beside them.

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
    >>> damaged = tear(np.full((64, 64, 3), 120, np.uint8), 0.2, np.random.default_rng(0))
    >>> bool(damaged.image.max() > 220)
    True
    """
    canvas, side = canvas_of(image, area, rng)
    gap = line(canvas, rng.uniform(0.05, 0.2))
    field = -np.abs(gap.across) - 0.3 * np.maximum(
        np.abs(gap.along) - rng.uniform(0.2, 1) * side, 0
    )
    field = field + 0.025 * side * canvas.noise(0.08 * side) + 0.01 * side * canvas.noise(3)
    light = rng.uniform(228, 250) + rng.normal(0, 2, 3)
    lip, width = rng.uniform(0.2, 0.9), rng.uniform(1, 3)
    mask, edge = cover(np.asarray(field, np.float32), area)
    drawn = lay(image, light, smoothstep(edge, width, width + 2))
    dense = density(image) * (lip * smoothstep(edge, 0, 1) * (edge < width + 2))[..., None]
    return only_inside(image, absorb(drawn, dense), mask)


def cracks(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Cracks of a dried section: a net of thin bright gaps with sharp walls.

    Parameters, return value and errors are those of :func:`tear`.

    Examples
    --------
    >>> damaged = cracks(np.full((64, 64, 3), 120, np.uint8), 0.1, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.1
    """
    canvas, side = canvas_of(image, area, rng)
    cells = canvas.lattice((rng.uniform(0.15, 0.5) * side,) * 2, angle=rng.uniform(0, 3))
    if not len(cells):  # the picture is smaller than a cell
        cells = np.array([canvas.shape[::-1]], np.float32) * np.float32(0.5)
    _, border, _ = canvas.voronoi(np.stack([cells, cells], 1))
    field = -border + (0.02 * side * canvas.noise(0.08 * side)).astype(np.float32)
    light = rng.uniform(225, 250) + rng.normal(0, 2, 3)
    wall = rng.uniform(0.1, 0.8)
    mask, edge = cover(field, area)
    drawn = lay(image, light, smoothstep(edge, 0.6, 1.8))
    dense = wall * smoothstep(edge, 0, 0.6) * (edge < 1.5)
    return only_inside(image, absorb(drawn, dense[..., None] * np.ones(3)), mask)


def knife_marks(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Marks of a nicked knife or chatter: parallel bands, thinner and thicker, or bright lines.

    Parameters, return value and errors are those of :func:`tear`.

    Examples
    --------
    >>> damaged = knife_marks(np.full((64, 64, 3), 120, np.uint8), 0.3, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.3
    """
    canvas, side = canvas_of(image, area, rng)
    angle = rng.uniform(0, np.pi)
    field = stretched(canvas, rng.uniform(0.02, 0.12) * side, 1.5 * side, angle)
    field = field + 0.1 * canvas.noise(0.05 * side)
    gain = rng.uniform(-0.85, -0.35) if rng.random() < 0.6 else rng.uniform(0.5, 1.3)
    soft = rng.uniform(1, 4)
    mask, edge = cover(np.asarray(field, np.float32), area)
    layer = density(image) * (gain * smoothstep(edge, 0, soft))[..., None]
    return only_inside(image, absorb(image, layer), mask)


def understained(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A region that took up little stain: all of its colour is washed out.

    Parameters, return value and errors are those of :func:`tear`.

    Examples
    --------
    >>> damaged = understained(np.full((64, 64, 3), 90, np.uint8), 0.5, np.random.default_rng(0))
    >>> bool(damaged.image[damaged.mask].mean() > 120)
    True
    """
    return _stained(image, area, rng, -rng.uniform(0.65, 0.92), np.zeros(3))


def overstained(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A region with far too much stain, or too thick: dark, its detail drowned.

    Parameters, return value and errors are those of :func:`tear`.

    Examples
    --------
    >>> damaged = overstained(np.full((64, 64, 3), 150, np.uint8), 0.5, np.random.default_rng(0))
    >>> bool(damaged.image[damaged.mask].mean() < 120)
    True
    """
    veil = np.array([0.5, 0.55, 0.25]) * rng.uniform(0, 1) + rng.uniform(0, 0.1, 3)
    return _stained(image, area, rng, rng.uniform(1.0, 2.2), veil)


def _stained(
    image: Image, area: float, rng: np.random.Generator, gain: float, veil: np.ndarray
) -> Damaged:
    canvas, side = canvas_of(image, area, rng)
    field = canvas.noise(0.8 * side) + 0.1 * canvas.noise(0.1 * side)
    fade = rng.uniform(2, 0.2 * side + 2)
    own = density(image)
    present = smoothstep(own.mean(2), 0.03, 0.15)[..., None]
    mask, edge = cover(np.asarray(field, np.float32), area)
    layer = smoothstep(edge, 0, fade)[..., None] * (gain * own + veil * present)
    return only_inside(image, absorb(image, layer), mask)

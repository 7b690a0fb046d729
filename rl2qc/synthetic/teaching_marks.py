"""Ink and pen that teach: soaked, flaked and washed-out ink; wet, dry and flooding pens."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

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
    stretched,
    tissue,
)

__all__ = ["ink_flakes", "ink_soaked", "ink_wash", "pen_dry", "pen_flood", "pen_wet"]


def ink_soaked(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Dye along an edge of the tissue: ragged, dense on tissue, thin on glass.

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
    >>> damaged = ink_soaked(np.full((64, 64, 3), 200, np.uint8), 0.25, np.random.default_rng(0))
    >>> float(damaged.mask.mean())
    0.25
    """
    canvas, side = canvas_of(image, area, rng)
    field = _reach(canvas.rng, canvas, side)
    for scale in (0.25, 0.1, 0.04):
        field += np.float32(0.25 * scale * side) * canvas.noise(scale * side)
    grain = 0.8 + 0.35 * canvas.noise(rng.uniform(0.03, 0.1) * side) + 0.2 * canvas.noise(2.5)
    sticks = rng.uniform(0.3, 1.0) * (1 - tissue(image, canvas))
    colour = _colour(rng) * rng.uniform(0.5, 1.2)
    mask, edge = cover(field, area)
    amount = smoothstep(edge, 0, rng.uniform(0.6, 4)) * np.clip(grain, 0.1, 2) * (1 - 0.7 * sticks)
    return only_inside(image, absorb(image, amount[..., None] * colour), mask)


def ink_flakes(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Crusts and flakes of ink: opaque grains, crowded along an edge, scattered beside it.

    Parameters, return value and errors are those of :func:`ink_soaked`.

    Examples
    --------
    >>> damaged = ink_flakes(np.full((64, 64, 3), 200, np.uint8), 0.2, np.random.default_rng(0))
    >>> bool(damaged.image[damaged.mask].mean() < 160)
    True
    """
    canvas, side = canvas_of(image, area, rng)
    size = rng.uniform(0.015, 0.05) * side
    field = _reach(rng, canvas, side) / side
    field += 0.2 * canvas.noise(size * 4) + 0.25 * canvas.noise(size) + 0.1 * canvas.noise(1.5)
    colour = _colour(rng)
    light = np.exp(-colour * rng.uniform(0.8, 1.6)) * 235
    spread = (1 + 0.25 * canvas.noise(3.0) + 0.2 * canvas.noise(size * 2))[..., None]
    opaque = rng.uniform(0.7, 1.0)
    mask, edge = cover(field.astype(np.float32), area)
    flakes = lay(image, light * np.clip(spread, 0.3, 2.5), opaque * smoothstep(edge, 0, 1.5))
    return only_inside(image, flakes, mask)


def ink_wash(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A thin transparent wash of dye that fades: the tissue shows through.

    Parameters, return value and errors are those of :func:`ink_soaked`.

    Examples
    --------
    >>> damaged = ink_wash(np.full((64, 64, 3), 200, np.uint8), 0.4, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.4
    """
    canvas, side = canvas_of(image, area, rng)
    field = _reach(rng, canvas, side) + 0.08 * side * canvas.noise(0.3 * side)
    colour = _colour(rng) * rng.uniform(0.15, 0.7)
    patchy = np.clip(1 + 0.3 * canvas.noise(0.15 * side), 0.3, 2)
    fade = rng.uniform(1, 0.2 * side + 2)
    mask, edge = cover(field.astype(np.float32), area)
    amount = (0.15 + 0.85 * smoothstep(edge, 0, fade)) * patchy
    return only_inside(image, absorb(image, amount[..., None] * colour), mask)


def pen_wet(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A felt pen's stroke on the glass: even, with a denser border, softening what lies below.

    Parameters, return value and errors are those of :func:`ink_soaked`.

    Examples
    --------
    >>> damaged = pen_wet(np.full((64, 64, 3), 200, np.uint8), 0.3, np.random.default_rng(0))
    >>> bool(damaged.image[damaged.mask].mean() < 200)
    True
    """
    canvas, side = canvas_of(image, area, rng)
    stroke = line(canvas, rng.uniform(0, 0.25))
    wobble = rng.uniform(0.002, 0.03) * side * canvas.noise(0.06 * side)
    colour = _colour(rng) * rng.uniform(0.4, 1.3)
    streaks = _streaks(rng, stroke.across, side)
    border, width = rng.uniform(0, 0.6), rng.uniform(0.01, 0.05) * side + 1
    soft = canvas.blur(image, rng.uniform(0.3, 1.6))
    sharp = rng.uniform(0.8, 4)
    mask, edge = cover((-np.abs(stroke.across) + wobble).astype(np.float32), area)
    seen = smoothstep(edge, 0, sharp)
    amount = seen * np.clip(1 + 0.15 * streaks + border * np.exp(-((edge / width) ** 2)), 0.2, 2)
    drawn = absorb(lay(image, soft, seen), amount[..., None] * colour)
    return only_inside(image, drawn, mask)


def pen_dry(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A pen that runs dry: parallel lanes with gaps and grains between them.

    Parameters, return value and errors are those of :func:`ink_soaked`.

    Examples
    --------
    >>> damaged = pen_dry(np.full((64, 64, 3), 200, np.uint8), 0.2, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.2
    """
    canvas, side = canvas_of(image, area, rng)
    stroke = line(canvas, rng.uniform(0, 0.1))
    angle = np.arctan2(stroke.normal[0], -stroke.normal[1])
    lanes = stretched(canvas, rng.uniform(1.5, 6), rng.uniform(0.3, 1.0) * side, -angle)
    grain = canvas.noise(rng.uniform(1.2, 3))
    colour = _colour(rng) * rng.uniform(0.4, 1.3)
    patchy = np.clip(0.9 + 0.25 * canvas.noise(4), 0.3, 2)
    field = -np.abs(stroke.across) / (0.3 * side) + 0.5 * lanes + rng.uniform(0.1, 0.4) * grain
    mask, edge = cover(field.astype(np.float32), area)
    amount = smoothstep(edge, 0, 1.5) * patchy
    return only_inside(image, absorb(image, amount[..., None] * colour), mask)


def pen_flood(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """The inside of a broad mark, one border in sight at most: an even filter over the tissue.

    Parameters, return value and errors are those of :func:`ink_soaked`.

    Examples
    --------
    >>> damaged = pen_flood(np.full((64, 64, 3), 200, np.uint8), 1.0, np.random.default_rng(0))
    >>> bool(damaged.mask.all())
    True
    """
    canvas, side = canvas_of(image, area, rng)
    stroke = line(canvas, rng.uniform(0, 0.15))
    colour = _colour(rng) * rng.uniform(0.5, 1.6)
    slope = 1 + rng.uniform(-0.4, 0.4) * stroke.across / side
    uneven = np.clip(slope + 0.08 * canvas.noise(0.3 * side), 0.2, 2)
    streaks = _streaks(rng, stroke.across, side)
    soft = canvas.blur(image, rng.uniform(0.3, 2.0))
    fade = rng.uniform(1, 0.3 * side)
    mask, edge = cover(stroke.across, area)
    seen = smoothstep(edge, 0, fade)
    amount = (0.1 + 0.9 * seen) * uneven * np.clip(1 + 0.08 * streaks, 0.5, 1.5)
    return only_inside(image, absorb(lay(image, soft, seen), amount[..., None] * colour), mask)


def _colour(rng: np.random.Generator) -> Floats:
    """Optical densities (3,) of a dye: blue, green, black, red, orange, yellow, brown, violet."""
    dyes = np.array(
        [
            [2.5, 1.5, 0.35],
            [2.4, 0.8, 1.0],
            [2.2, 2.2, 2.2],
            [0.3, 2.3, 2.4],
            [0.1, 1.0, 2.4],
            [0.05, 0.35, 2.0],
            [1.2, 1.8, 2.3],
            [1.5, 2.2, 0.6],
            [1.8, 0.4, 0.5],
            [1.1, 0.25, 0.55],
        ]
    )
    dye = dyes[rng.integers(len(dyes))] + rng.normal(0, 0.15, 3)
    return np.asarray(np.maximum(dye, 0.02), np.float32)


def _reach(rng: np.random.Generator, canvas: Canvas, side: float) -> Floats:
    """Where ink gets to, in px: behind a bent line, along one, or around a point."""
    form = rng.integers(3)
    if form == 2:
        y, x = grid(canvas)
        cy, cx = rng.uniform(0, 1, 2) * canvas.shape
        return np.asarray(-np.hypot(x - cx, y - cy) + 0.1 * side * canvas.noise(0.3 * side))
    stroke = line(canvas, rng.uniform(0.05, 0.3), middle=False)
    return stroke.across if form == 0 else -np.abs(stroke.across)


def _streaks(rng: np.random.Generator, across: Floats, side: float) -> Floats:
    """Unit noise that only depends on the place across a stroke."""
    profile = gaussian_filter1d(rng.normal(0, 1, 256), rng.uniform(1, 4))
    profile /= profile.std()
    lane = 128 * across / side + 128
    return np.asarray(np.interp(lane, np.arange(256), profile), np.float32)

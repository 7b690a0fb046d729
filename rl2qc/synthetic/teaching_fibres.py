"""Fibres and cracks of line shape that teach: pale threads, hair, lint, bundles, scratches."""

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
    away_from,
    canvas_of,
    cover,
    lay,
    only_inside,
    smoothstep,
)

__all__ = ["hair", "lint", "scratch", "thread_pale", "threads_fine"]


def thread_pale(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A pale half-opaque fibre, straight or slightly bent, with faint borders and nodes.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
    area
        Share of the pixels that is covered, 0 to 1: the fibre's width follows from it.
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
    >>> damaged = thread_pale(np.full((64, 64, 3), 128, np.uint8), 0.1, np.random.default_rng(0))
    >>> bool(damaged.image[damaged.mask].mean() > 140)
    True
    """
    canvas, side = canvas_of(image, area, rng)
    field = -_fibres(canvas, int(rng.integers(1, 3)), rng.uniform(0, 0.02))
    field += rng.uniform(0, 0.012) * side * canvas.noise(0.12 * side)
    light = rng.uniform(185, 240) + rng.normal(0, 5, 3) + rng.uniform(0, 8) * _veins(canvas)
    opacity = rng.uniform(0.45, 0.97)
    border, tint = rng.uniform(0, 0.35), rng.uniform(0.6, 1.4, 3)
    glow = rng.uniform(0, 0.3)
    soft = rng.uniform(0.8, 2.5)
    mask, edge = cover(field.astype(np.float32), area)
    thick = max(float(edge.max()), 1.0)
    seen = smoothstep(edge, 0, soft)
    bright = light * (1 + 0.15 * glow * smoothstep(edge, 0.4 * thick, thick))[..., None]
    drawn = lay(image, bright, opacity * seen)
    rim = border * np.exp(-(((edge - 1) / (0.12 * thick + 0.8)) ** 2)) * seen
    return only_inside(image, absorb(drawn, rim[..., None] * tint), mask)


def hair(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A hair: dark walls, a lighter or darker core, sometimes far out of focus.

    Parameters, return value and errors are those of :func:`thread_pale`.

    Examples
    --------
    >>> damaged = hair(np.full((64, 64, 3), 200, np.uint8), 0.1, np.random.default_rng(0))
    >>> bool(damaged.image[damaged.mask].mean() < 190)
    True
    """
    canvas, _ = canvas_of(image, area, rng)
    field = -_fibres(canvas, int(rng.integers(1, 3)), rng.uniform(0, 0.1))
    colour = np.array([1.3, 1.6, 2.0]) * rng.uniform(0.6, 1.4, 3) * rng.uniform(0.3, 1.2)
    wall, core = rng.uniform(0.15, 0.5), rng.uniform(0.0, 1.0)
    grain = np.clip(1 + 0.2 * canvas.noise(3), 0.4, 1.6)
    soft = rng.uniform(0, 1) ** 2
    mask, edge = cover(field, area)
    thick = max(float(edge.max()), 1.0)
    inner = smoothstep(edge, wall * thick, (wall + 0.3) * thick)
    amount = smoothstep(edge, 0, 0.8 + soft * thick) * (1 - (1 - core) * inner) * grain
    return only_inside(image, absorb(image, amount[..., None] * colour), mask)


def lint(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A flat twisted fibre of cotton or cloth: its width swells and shrinks, coloured or grey.

    Parameters, return value and errors are those of :func:`thread_pale`.

    Examples
    --------
    >>> damaged = lint(np.full((64, 64, 3), 200, np.uint8), 0.1, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.1
    """
    canvas, side = canvas_of(image, area, rng)
    field = -_fibres(canvas, int(rng.integers(1, 4)), rng.uniform(0.02, 0.15))
    field *= np.clip(1 + rng.uniform(0.1, 0.5) * canvas.noise(0.15 * side), 0.3, 2)
    light = rng.uniform(90, 235) + rng.normal(0, 30, 3) + 10 * _veins(canvas)
    opacity = rng.uniform(0.35, 0.95)
    border = rng.uniform(0.2, 1.2)
    soft = rng.uniform(0.8, 3)
    mask, edge = cover(field.astype(np.float32), area)
    seen = smoothstep(edge, 0, soft)
    rim = border * np.exp(-(((edge - 1.2) / 1.2) ** 2)) * seen
    drawn = absorb(lay(image, light, opacity * seen), rim[..., None] * np.ones(3))
    return only_inside(image, drawn, mask)


def threads_fine(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Many thin curling fibres, dark or bright, as of tissue paper or fungus.

    Parameters, return value and errors are those of :func:`thread_pale`.

    Examples
    --------
    >>> damaged = threads_fine(np.full((64, 64, 3), 200, np.uint8), 0.1, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.1
    """
    canvas, _ = canvas_of(image, area, rng)
    field = -_fibres(canvas, int(rng.integers(3, 9)), rng.uniform(0.03, 0.25))
    if rng.random() < 0.5:
        light = np.array([1, 1, 1]) * rng.uniform(20, 120) + rng.normal(0, 15, 3)
    else:
        light = np.array([1, 1, 1]) * rng.uniform(200, 250) + rng.normal(0, 5, 3)
    opacity = rng.uniform(0.4, 0.95)
    mask, edge = cover(field, area)
    return only_inside(image, lay(image, light, opacity * smoothstep(edge, 0, 1.5)), mask)


def scratch(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A scratch or crack of the glass: a sharp bright or dark line with a shade beside it.

    Parameters, return value and errors are those of :func:`thread_pale`.

    Examples
    --------
    >>> damaged = scratch(np.full((64, 64, 3), 128, np.uint8), 0.05, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.05
    """
    canvas, side = canvas_of(image, area, rng)
    field = -_fibres(canvas, int(rng.integers(1, 4)), rng.uniform(0, 0.06))
    field += (0.002 * side * canvas.noise(0.03 * side)).astype(np.float32)
    dark, bright = rng.uniform(0.3, 2.0), rng.uniform(0, 0.8)
    mask, edge = cover(field, area)
    thick = max(float(edge.max()), 1.0)
    core = smoothstep(edge, 0.45 * thick, 0.9 * thick)
    drawn = lay(image, np.full(3, 245.0), bright * core)
    shade = dark * smoothstep(edge, 0, 1) * (1 - core)
    return only_inside(image, absorb(drawn, shade[..., None] * np.ones(3)), mask)


def _fibres(canvas: Canvas, count: int, curl: float) -> Floats:
    """Distance in px to the nearest of ``count`` paths across the picture."""
    return away_from(canvas, [_path(canvas, curl) for _ in range(count)])


def _path(canvas: Canvas, curl: float) -> NDArray[np.floating]:
    """A walk (80, 2) through a point of the picture whose direction turns by ``curl`` a step."""
    rng = canvas.rng
    side = min(canvas.shape)
    trend = rng.uniform(0, 2 * np.pi) + rng.normal(0, curl / 2) * np.arange(80)
    heading = trend + np.cumsum(rng.normal(0, curl, 80))
    path = np.cumsum(np.c_[np.cos(heading), np.sin(heading)], 0) * 0.03 * side
    first = int(rng.integers(20, 60))
    path += rng.uniform(0.1, 0.9, 2) * canvas.shape[::-1] - path[first]
    # Some fibres end in the picture.
    return path[first:] if rng.random() < 0.25 else path


def _veins(canvas: Canvas) -> Floats:
    """Unit texture (h, w, 1) of fine lines in one direction."""
    fine = canvas.rng.standard_normal(canvas.shape, np.float32)
    angle = canvas.rng.uniform(0, np.pi)
    reach = np.arange(-6, 7)
    kernel = np.zeros((13, 13), np.float32)
    kernel[
        np.rint(6 + reach * np.sin(angle)).astype(int),
        np.rint(6 + reach * np.cos(angle)).astype(int),
    ] = 1
    drawn = cv2.filter2D(fine, -1, kernel / kernel.sum())
    return np.asarray(drawn[..., None] / max(float(drawn.std()), 1e-6), np.float32)

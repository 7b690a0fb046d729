"""Folds that teach: bands of doubled tissue, thin wrinkles, laps with one edge, fans."""

from __future__ import annotations

import cv2
import numpy as np

from rl2qc.synthetic.teaching_tools import (
    Canvas,
    Damaged,
    Floats,
    Image,
    Mask,
    absorb,
    canvas_of,
    cover,
    density,
    grid,
    lay,
    line,
    only_inside,
    smoothstep,
    tissue,
)

__all__ = ["fold_band", "fold_fan", "fold_lap", "fold_wrinkle"]

# Optical density that no fold exceeds.
_MOST = 2.2


def fold_band(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A band along which the section lies on itself, two or three layers thick, with dark creases.

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
    >>> damaged = fold_band(np.full((64, 64, 3), 128, np.uint8), 0.3, np.random.default_rng(0))
    >>> bool(damaged.image[damaged.mask].mean() < 100)
    True
    """
    canvas, side = canvas_of(image, area, rng)
    band = line(canvas, rng.uniform(0, 0.12))
    field = -np.abs(band.across) - _taper(rng, band.along, side)
    field += 0.006 * side * rng.uniform(0, 1) * canvas.noise(0.05 * side)
    layers = _layers(image, canvas, int(rng.integers(1, 3)))
    return _folded(image, canvas, np.asarray(field, np.float32), area, layers)


def fold_wrinkle(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A narrow ridge: two dark lines with a lighter, soft middle, often short and curved.

    Parameters, return value and errors are those of :func:`fold_band`.

    Examples
    --------
    >>> damaged = fold_wrinkle(np.full((64, 64, 3), 128, np.uint8), 0.1, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.1
    """
    canvas, side = canvas_of(image, area, rng)
    field = np.full(canvas.shape, -np.inf, np.float32)
    for _ in range(int(rng.integers(1, 3))):
        ridge = line(canvas, rng.uniform(0.05, 0.3))
        field = np.maximum(field, -np.abs(ridge.across) - _taper(rng, ridge.along, side))
    field += 0.002 * side * canvas.noise(0.08 * side)
    layers = rng.uniform(0.3, 0.9) * _layers(image, canvas, 1)
    return _folded(image, canvas, field, area, layers, crease=rng.uniform(0.7, 1.8))


def fold_lap(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A lap of tissue turned over: everything on one side of an edge is doubled.

    Parameters, return value and errors are those of :func:`fold_band`.

    Examples
    --------
    >>> damaged = fold_lap(np.full((64, 64, 3), 128, np.uint8), 0.5, np.random.default_rng(0))
    >>> float(damaged.mask.mean())
    0.5
    """
    canvas, side = canvas_of(image, area, rng)
    edge = line(canvas, rng.uniform(0.02, 0.25))
    ragged = rng.uniform(0, 0.03) * side * canvas.noise(0.08 * side)
    layers = _layers(image, canvas, int(rng.integers(1, 4)))
    return _folded(image, canvas, edge.across + ragged.astype(np.float32), area, layers)


def fold_fan(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Two to four wrinkles that part from a point.

    Parameters, return value and errors are those of :func:`fold_band`.

    Examples
    --------
    >>> damaged = fold_fan(np.full((64, 64, 3), 128, np.uint8), 0.2, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 2))
    0.2
    """
    canvas, side = canvas_of(image, area, rng)
    y, x = grid(canvas)
    cy, cx = rng.uniform(-0.1, 1.1, 2) * canvas.shape
    x, y = x - cx, y - cy
    bend = (rng.uniform(0.02, 0.1) * side * canvas.noise(0.5 * side)).astype(np.float32)
    field = np.full(canvas.shape, -np.inf, np.float32)
    start = np.arctan2(canvas.shape[0] / 2 - cy, canvas.shape[1] / 2 - cx)
    for angle in start + rng.uniform(-0.9, 0.9, int(rng.integers(2, 5))):
        cos, sin = np.cos(angle), np.sin(angle)
        behind = np.maximum(-(x * cos + y * sin), 0)
        away = np.abs(y * cos - x * sin + bend) * rng.uniform(0.6, 1.6)
        field = np.maximum(field, -(away + behind).astype(np.float32))
    return _folded(image, canvas, field, area, _layers(image, canvas, int(rng.integers(1, 3))))


def _taper(rng: np.random.Generator, along: Floats, side: float) -> Floats:
    """0 over the fold's length, growing beyond its ends; some folds have none in sight."""
    if rng.random() < 0.5:
        return np.zeros_like(along)
    middle, half = rng.uniform(-0.3, 0.3) * side, rng.uniform(0.15, 0.5) * side
    beyond = np.maximum(np.abs(along - middle) - half, 0)
    return np.asarray(rng.uniform(0.03, 0.3) * beyond, np.float32)


def _layers(image: Image, canvas: Canvas, count: int) -> Floats:
    """Density of ``count`` layers of the tissue, turned, shifted and softened, (h, w, 3)."""
    rng = canvas.rng
    h, w = canvas.shape
    own = density(image)
    found = np.zeros_like(own)
    for _ in range(count):
        turn = np.asarray(
            cv2.getRotationMatrix2D((w / 2, h / 2), rng.uniform(0, 360), rng.uniform(1.0, 1.4)),
            np.float64,
        )
        turn[:, 2] += rng.uniform(-0.25, 0.25, 2) * (w, h)
        source = np.ascontiguousarray(own[:, ::-1] if rng.random() < 0.7 else own)
        other = cv2.warpAffine(source, turn, (w, h), borderMode=cv2.BORDER_REFLECT_101)
        # A turned layer may show glass where the section has tissue: folds are rarely empty.
        full = np.maximum(other, rng.uniform(0, 0.6) * other.mean((0, 1)))
        # Some layers lie within the focal plane.
        soft = max(rng.uniform(-0.8, 2.0), 0.0)
        found += rng.uniform(0.4, 1.1) * (canvas.blur(full, soft) if soft > 0.3 else full)
    return found


def _folded(
    image: Image,
    canvas: Canvas,
    field: Floats,
    area: float,
    layers: Floats,
    crease: float | None = None,
) -> Damaged:
    """Lay the layers over the covered part, out of focus, with creases and a grey-brown cast."""
    rng = canvas.rng
    side = min(canvas.shape)
    strength = max(rng.uniform(-0.4, 0.9), 0.0) if crease is None else crease
    width = rng.uniform(0.008, 0.03) * side + 0.5
    # Half of the folds are nothing but the tissue of several layers.
    haze = max(rng.uniform(-0.45, 0.45), 0.0)
    cast = haze * np.array([0.9, 0.9, 1.0]) * rng.uniform(0.75, 1.25, 3)
    shadow = rng.uniform(0, 0.5) if rng.random() < 0.5 else 0.0
    soft = canvas.blur(image, rng.uniform(0.2, 1.8))
    sharp = rng.uniform(0.8, 3)
    on_tissue = np.maximum(tissue(image, canvas), rng.uniform(0, 0.5))
    mask, edge = cover(field, area)
    seen = smoothstep(edge, 0, sharp)
    lines = strength * np.exp(-(((edge - width) / width) ** 2))
    lines = lines + shadow * np.exp(-((edge / (3 * width)) ** 2)) * _one_side(mask, rng)
    extra = layers + (lines * on_tissue)[..., None] + on_tissue[..., None] * cast
    # Even three layers let some light through.
    extra = _MOST * np.tanh(extra / _MOST)
    drawn = absorb(lay(image, soft, seen), seen[..., None] * extra)
    return only_inside(image, drawn, mask)


def _one_side(mask: Mask, rng: np.random.Generator) -> Floats:
    """1 near those borders of the mask that face one direction, 0 near the others."""
    angle = rng.uniform(0, 2 * np.pi)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3.0)
    slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0) * np.cos(angle)
    slope = slope + cv2.Sobel(soft, cv2.CV_32F, 0, 1) * np.sin(angle)
    return np.asarray(smoothstep(slope, 0, 0.1), np.float32)

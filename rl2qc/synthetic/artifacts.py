"""Procedural slide artifacts: tissue ink, pen strokes, folds, air bubbles, local defocus.

Every artifact is a pure function of an image, a severity and a random generator, and returns the
damaged image with the mask of the damage. The severity is the share of the area that is
affected, so that severities and truth tables have a unit. Colours and profiles follow the physics
where it is simple: inks and folded tissue absorb (optical densities add), a bubble refracts at
its rim, defocus is a convolution with a disc.

Deterministic given the generator; sizes scale with the image, so that a patch and a region of a
slide are treated alike.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from rl2qc.synthetic.corruptions import CorruptionSpec, Damaged, Image, register_corruption
from rl2qc.synthetic.drawing import Canvas, Floats, Mask, smoothstep

__all__ = [
    "bubble",
    "fold",
    "ink",
    "out_of_focus",
    "pen",
    "specks",
    "thread",
]

# Optical densities (base e) of red, green and blue light at full strength.
_INKS = np.array([[2.5, 0.7, 1.2], [2.4, 1.5, 0.5], [2.3, 2.2, 2.3], [0.6, 0.7, 2.2]])
_PENS = np.array([[2.4, 2.0, 0.6], [1.6, 0.4, 0.8], [0.4, 2.6, 2.8], [2.0, 2.0, 2.2]])
_FIBRES = np.array([[1.6, 1.2, 0.5], [1.2, 1.2, 1.2], [0.6, 1.3, 1.6], [2.2, 2.2, 2.0]])


def ink(image: Image, severity: float, rng: np.random.Generator) -> Damaged:
    """Tissue-marking ink that soaked in: ragged, grainy, denser on tissue than on glass.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
    severity
        Share of the area that the ink reaches, 0 to 1; on glass it hardly sticks.
    rng
        Source of randomness: colour, strength and shape.

    Returns
    -------
    Damaged
        A new image and its mask.

    Raises
    ------
    ValueError
        If ``image`` is no (h, w, 3) uint8 array or ``severity`` lies outside 0 to 1.

    Examples
    --------
    >>> image = np.full((64, 64, 3), 200, np.uint8)
    >>> inked = ink(image, 0.25, np.random.default_rng(0))
    >>> round(float(inked.mask.mean()), 2)
    0.25
    """
    canvas, side = _canvas(image, severity, rng)
    h, w = canvas.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    cy, cx = rng.uniform(0.2, 0.8, 2) * (h, w)
    blob = -3 * np.hypot(x - cx, y - cy) / side
    for weight, scale in ((0.5, 0.3 * side), (0.25, 0.1 * side), (0.12, 4.0)):
        blob += np.float32(weight) * canvas.noise(scale)
    mask, edge = _cover(blob, severity)
    colour = _INKS[rng.integers(len(_INKS))] * rng.uniform(0.6, 1.1)
    tissue = canvas.blur(smoothstep(_density(image).mean(2), 0.05, 0.3), 2.0)
    grain = 0.7 + 0.25 * canvas.noise(0.05 * side) + 0.2 * canvas.noise(6) + 0.1 * canvas.noise(2)
    amount = smoothstep(edge, 0, 0.6) * np.clip(grain, 0.05, 1.6) * (0.25 + 0.75 * tissue)
    return Damaged(_absorb(image, amount[..., None] * colour), mask)


def pen(image: Image, severity: float, rng: np.random.Generator) -> Damaged:
    """A marker stroke on the cover glass: a band of even colour with streaks and a dark border.

    The stroke lies above the focal plane: it is smooth itself and softens what is below.
    Parameters, return value and errors are those of :func:`ink`.

    Examples
    --------
    >>> image = np.full((64, 64, 3), 200, np.uint8)
    >>> bool(pen(image, 0.4, np.random.default_rng(0)).image.mean() < image.mean())
    True
    """
    canvas, side = _canvas(image, severity, rng)
    across, along, _ = _band(canvas, side)
    mask, edge = _cover(-np.abs(across + 0.006 * side * canvas.noise(0.05 * side)), severity)
    colour = _PENS[rng.integers(len(_PENS))] * rng.uniform(0.45, 1.0)
    # Streaks: one profile across the stroke, drifting slowly along it.
    profile = gaussian_filter1d(rng.normal(0, 1, 256), 1.7)
    lane = 256 * (across / side + 0.02 * np.sin(4 * along / side)) + 128
    streak = np.interp(lane, np.arange(256), profile)
    border = np.exp(-((edge / (0.03 * side)) ** 2))
    amount = smoothstep(edge, 0, 3) * np.clip(0.9 + 0.2 * streak + 0.35 * border, 0.2, 2)
    soft = _blend(image, canvas.blur(image.astype(np.float32), 0.7), mask)
    return Damaged(_absorb(soft, canvas.blur(amount, 1.0)[..., None] * colour), mask)


def fold(image: Image, severity: float, rng: np.random.Generator) -> Damaged:
    """A tissue fold: along a band the section lies on itself, two or three layers thick.

    The upper layers are the neighbouring tissue, mirrored and shifted; they add their optical
    density and lie out of focus. Parameters, return value and errors are those of :func:`ink`.

    Examples
    --------
    >>> image = np.full((64, 64, 3), 128, np.uint8)
    >>> folded = fold(image, 0.3, np.random.default_rng(0))
    >>> bool(folded.image[folded.mask].mean() < 100)
    True
    """
    canvas, side = _canvas(image, severity, rng)
    across, _, normal = _band(canvas, side)
    mask, edge = _cover(-np.abs(across), severity)
    half = float(np.abs(across)[mask].max()) if mask.any() else 0.0
    density = _density(image)
    y, x = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32)
    layers = density
    for shift in (2 * (half - across), np.full_like(across, 2 * half))[: rng.integers(1, 3)]:
        mirrored = cv2.remap(
            density,
            x + shift * normal[0],
            y + shift * normal[1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        layers = layers + rng.uniform(0.7, 1.0) * canvas.blur(mirrored, 1.2)
    # The crease throws a narrow shadow along one side.
    crease = 0.5 * np.exp(-(((half - across) / (0.01 * side + 1)) ** 2)) * (layers > 0.1).any(2)
    extra = layers - density + crease[..., None]
    return Damaged(_absorb(image, smoothstep(edge, 0, 2.5)[..., None] * extra), mask)


def bubble(image: Image, severity: float, rng: np.random.Generator) -> Damaged:
    """An air bubble under the cover glass: a dark refracting rim, hazy and soft inside.

    Parameters, return value and errors are those of :func:`ink`.

    Examples
    --------
    >>> image = np.full((64, 64, 3), 200, np.uint8)
    >>> bool(bubble(image, 0.5, np.random.default_rng(0)).image.min() < 100)
    True
    """
    canvas, side = _canvas(image, severity, rng)
    h, w = canvas.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    cy, cx = rng.uniform(0.25, 0.75, 2) * (h, w)
    squeeze = rng.uniform(0.8, 1.25)
    radius = np.hypot((x - cx) * squeeze, y - cy)
    mask, edge = _cover(-radius - 0.05 * side * canvas.noise(0.7 * side), severity)
    width = rng.uniform(0.015, 0.04) * side + 1
    rim = np.exp(-(((edge - width) / width) ** 2)) * rng.uniform(1.0, 2.5)
    glow = 0.12 * np.exp(-(((edge - 3.5 * width) / width) ** 2))
    haze = rng.uniform(0.25, 0.5)
    inside = canvas.blur(image.astype(np.float32), rng.uniform(1.0, 2.0))
    inside = inside * (1 - haze) + haze * rng.uniform(185, 225)
    shown = _blend(image, inside, smoothstep(edge, 0, 2))
    return Damaged(_absorb(shown, (rim * mask - glow)[..., None] * np.ones(3)), mask)


def out_of_focus(
    image: Image, severity: float, rng: np.random.Generator, radius: float = 4.0
) -> Damaged:
    """A region that left the focal plane, convolved with a disc of ``radius`` pixels.

    The other parameters, the return value and the errors are those of :func:`ink`; a
    ``radius`` below 0.5 raises ValueError too.

    Examples
    --------
    >>> image = np.zeros((64, 64, 3), np.uint8); image[::4] = 255
    >>> soft = out_of_focus(image, 1.0, np.random.default_rng(0))
    >>> bool(soft.image.std() < image.std() / 2)
    True
    """
    canvas, side = _canvas(image, severity, rng)
    if radius < 0.5:
        raise ValueError(f"the radius of the defocus must be at least 0.5 pixels, got {radius}")
    mask, edge = _cover(canvas.noise(0.7 * side), severity)
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    soft = np.asarray(cv2.filter2D(image.astype(np.float32), -1, disc / disc.sum()), np.float32)
    return Damaged(_blend(image, soft, smoothstep(edge, 0, 0.03 * side + 2)), mask)


def thread(image: Image, severity: float, rng: np.random.Generator) -> Damaged:
    """Fibres on or under the cover glass: dark and curling, or pale, flat and half opaque.

    Parameters, return value and errors are those of :func:`ink`; a larger ``severity`` adds
    fibres, which keep their width.

    Examples
    --------
    >>> image = np.full((64, 64, 3), 200, np.uint8)
    >>> bool(thread(image, 0.05, np.random.default_rng(0)).image.min() < 150)
    True
    """
    canvas, side = _canvas(image, severity, rng)
    # Each fibre crosses the image about once: this many at this width cover the share.
    pale = bool(rng.random() < 0.5)
    width = rng.uniform(0.01, 0.08 if pale else 0.03) * side
    curl = rng.uniform(0, 0.03 if pale else 0.15)
    fibres = max(1, round(severity * side / (1.2 * width)))
    away = np.full(canvas.shape, np.inf, np.float32)
    for _ in range(fibres):
        paper = np.full(canvas.shape, 255, np.uint8)
        steps = np.cumsum(np.r_[rng.uniform(0, 2 * np.pi), rng.normal(0, curl, 59)])
        path = np.cumsum(np.c_[np.cos(steps), np.sin(steps)], 0) * 0.03 * side
        path += rng.uniform(0.2, 0.8, 2) * side - path[len(path) // 2]
        cv2.polylines(paper, [np.rint(path * 16).astype(np.int32)], False, 0, 1, cv2.LINE_8, 4)
        away = np.minimum(away, cv2.distanceTransform(paper, cv2.DIST_L2, cv2.DIST_MASK_5))
    mask, edge = _cover(-away, severity)
    if pale:
        light = rng.uniform(190, 230) + rng.normal(0, 6, 3) + 8 * canvas.noise(6)[..., None]
        seen = canvas.blur(smoothstep(edge, 0, 1), 0.7) * rng.uniform(0.5, 0.95)
        return Damaged(_blend(image, light.astype(np.float32), seen), mask)
    colour = _FIBRES[rng.integers(len(_FIBRES))] * rng.uniform(0.5, 1.2)
    thick = float(edge.max()) if mask.any() else 1.0
    outline = smoothstep(edge, 0, 1) * (1 - 0.6 * smoothstep(edge, 0.4 * thick, thick))
    return Damaged(_absorb(image, canvas.blur(outline, 0.7)[..., None] * colour), mask)


def specks(image: Image, severity: float, rng: np.random.Generator) -> Damaged:
    """Dark spots of many sizes: dust, pigment or precipitate, sharp or far out of focus.

    Parameters, return value and errors are those of :func:`ink`.

    Examples
    --------
    >>> image = np.full((64, 64, 3), 200, np.uint8)
    >>> bool(specks(image, 0.05, np.random.default_rng(0)).image.min() < 60)
    True
    """
    canvas, side = _canvas(image, severity, rng)
    h, w = canvas.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    field = np.full(canvas.shape, -np.inf, np.float32)
    for _ in range(int(rng.integers(1, 7))):
        cy, cx = rng.uniform(0, 1, 2) * (h, w)
        size = 0.06 * side * rng.lognormal(0, 0.7)
        field = np.maximum(field, size - np.hypot(x - cx, y - cy))
    field += 0.015 * side * canvas.noise(0.04 * side) + 0.006 * side * canvas.noise(2.5)
    mask, edge = _cover(field, severity)
    colour = np.array([2.2, 2.5, 2.8]) * rng.uniform(0.6, 1.3)
    soft = max(2.0, rng.uniform(0, 1) ** 2 * float(edge.max()))
    grain = np.clip(1 + 0.25 * canvas.noise(3), 0.3, 2)
    amount = canvas.blur(smoothstep(edge, 0, soft) * grain, 0.8)
    return Damaged(_absorb(image, amount[..., None] * colour), mask)


def _canvas(image: Image, severity: float, rng: np.random.Generator) -> tuple[Canvas, float]:
    """Check the input; the drawing tools for this image and its shorter side, both in pixels."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected (h, w, 3) uint8, got {image.shape} {image.dtype}")
    if not 0 <= severity <= 1:
        raise ValueError(f"the severity is a share of the area, 0 to 1, got {severity}")
    h, w = image.shape[:2]
    return Canvas(h, w, rng), float(min(h, w))


def _cover(field: Floats, share: float) -> tuple[Mask, Floats]:
    """The ``share`` of pixels where ``field`` is highest, and the distance to their edge."""
    count = round(share * field.size)
    chosen = np.zeros(field.size, np.bool_)
    if count:
        chosen[np.argpartition(field.ravel(), -count)[-count:]] = True
    mask = chosen.reshape(field.shape)
    if mask.all():
        return mask, np.full(field.shape, max(field.shape), np.float32)
    edge = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return mask, np.asarray(edge, np.float32)


def _band(canvas: Canvas, side: float) -> tuple[Floats, Floats, tuple[float, float]]:
    """Coordinates across and along a gently curved line through the middle; its normal."""
    h, w = canvas.shape
    angle = canvas.rng.uniform(0, np.pi)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    y, x = np.mgrid[:h, :w].astype(np.float32)
    x -= w * canvas.rng.uniform(0.35, 0.65)
    y -= h * canvas.rng.uniform(0.35, 0.65)
    bend = 0.06 * side * canvas.noise(side)
    return x * cos + y * sin + bend, y * cos - x * sin, (cos, sin)


def _density(image: Image) -> Floats:
    """Optical density (base e) over that of bright glass."""
    return np.maximum(-np.log(np.maximum(image.astype(np.float32), 1) / 235), 0)


def _absorb(image: Image, density: NDArray[np.floating]) -> Image:
    """Light of ``image`` behind another layer of ``density`` (h, w, 3)."""
    return _to_bytes(image.astype(np.float32) * np.exp(-density))


def _blend(image: Image, other: Floats, weight: NDArray[np.generic]) -> Image:
    """``other`` where ``weight`` (h, w) is 1, ``image`` where it is 0."""
    below = image.astype(np.float32)
    return _to_bytes(below + weight.astype(np.float32)[..., None] * (other - below))


def _to_bytes(light: NDArray[np.floating]) -> Image:
    rounded: Image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return rounded


# Shares of the area to report, and least and largest one that models learn from.
_AREAS, _TAUGHT = (0.02, 0.05, 0.1, 0.3), (0.01, 0.6)

for _order, _draw in enumerate((ink, pen, fold, bubble, out_of_focus, thread, specks)):
    register_corruption(
        CorruptionSpec(
            _draw.__name__,
            f"Drawn {_draw.__name__.replace('_', ' ')}",
            "share of the area",
            _AREAS,
            _draw,
            kind="artifact",
            teaches=_TAUGHT,
            order=30 + _order,
        )
    )

"""Tools of the drawings that teach: cover a share of the area, add layers of density, lay colours.

A drawing is a pure function of an image, the share of its area that is damaged and a generator.
Every random choice is made before the share is used, so that for equal generators a larger share
covers what a smaller one covers; pixels outside the mask keep their values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.synthetic.corruptions import Damaged
from rl2qc.synthetic.drawing import Canvas, Floats, Mask, smoothstep

__all__ = [
    "Canvas",
    "Damaged",
    "Drawing",
    "Floats",
    "Image",
    "Mask",
    "absorb",
    "away_from",
    "canvas_of",
    "cover",
    "density",
    "grid",
    "lay",
    "line",
    "only_inside",
    "smoothstep",
    "stretched",
    "tissue",
]

Image = NDArray[np.uint8]
Drawing = Callable[[Image, float, np.random.Generator], Damaged]


class Line(NamedTuple):
    """Distances across and along a bent line, in px, and its unit normal."""

    across: Floats
    along: Floats
    normal: tuple[float, float]


def canvas_of(image: Image, area: float, rng: np.random.Generator) -> tuple[Canvas, float]:
    """Check the input; the drawing tools for this image and its shorter side in px.

    Raises
    ------
    ValueError
        If ``image`` is no (h, w, 3) uint8 array or ``area`` lies outside 0 to 1.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected (h, w, 3) uint8, got {image.shape} {image.dtype}")
    if not 0 <= area <= 1:
        raise ValueError(f"the damaged share of the area lies between 0 and 1, got {area}")
    return Canvas(image.shape[0], image.shape[1], rng), float(min(image.shape[:2]))


def grid(canvas: Canvas) -> tuple[Floats, Floats]:
    """Row and column of every pixel, (h, w) float32 each."""
    y, x = np.mgrid[: canvas.shape[0], : canvas.shape[1]].astype(np.float32)
    return y, x


def cover(field: Floats, area: float) -> tuple[Mask, Floats]:
    """The share ``area`` of pixels where ``field`` is highest; their distance to the rest, px."""
    count = round(area * field.size)
    chosen = np.zeros(field.size, np.bool_)
    if count:
        # A stable order, so that the pixels of a smaller share are among those of a larger one.
        chosen[np.argsort(-field.ravel(), kind="stable")[:count]] = True
    mask = chosen.reshape(field.shape)
    if mask.all():
        return mask, np.full(field.shape, max(field.shape), np.float32)
    edge = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return mask, np.asarray(edge, np.float32)


def line(canvas: Canvas, bend: float, *, middle: bool = True) -> Line:
    """A line of random direction through the picture, bent by ``bend`` of its shorter side."""
    h, w = canvas.shape
    side = min(h, w)
    angle = canvas.rng.uniform(0, 2 * np.pi)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    low, high = (0.25, 0.75) if middle else (0.0, 1.0)
    y, x = grid(canvas)
    y -= h * canvas.rng.uniform(low, high)
    x -= w * canvas.rng.uniform(low, high)
    wave = np.float32(bend * side) * canvas.noise(canvas.rng.uniform(0.35, 1.0) * side)
    return Line(x * cos + y * sin + wave, y * cos - x * sin, (cos, sin))


def stretched(canvas: Canvas, across: float, along: float, angle: float) -> Floats:
    """Noise of about unit variance whose blobs measure ``across`` by ``along`` px at an angle."""
    reach = int(np.ceil(np.hypot(*canvas.shape))) + 2
    rows = max(2, int(np.ceil(reach / max(across, 1.0))))
    columns = max(2, int(np.ceil(reach / max(along, 1.0))))
    coarse = np.float32(1.25) * canvas.rng.standard_normal((rows, columns), np.float32)
    fine = cv2.resize(coarse, (reach, reach), interpolation=cv2.INTER_CUBIC)
    middle = (reach / 2, reach / 2)
    turn = cv2.getRotationMatrix2D(middle, float(np.rad2deg(angle)), 1.0)
    turn[0, 2] += canvas.shape[1] / 2 - middle[0]
    turn[1, 2] += canvas.shape[0] / 2 - middle[1]
    turned = cv2.warpAffine(
        fine, turn, canvas.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(turned, np.float32)


def away_from(canvas: Canvas, paths: list[NDArray[np.floating]]) -> Floats:
    """Distance of every pixel to the nearest of the paths (n, 2) of x, y in px."""
    paper = np.full(canvas.shape, 255, np.uint8)
    fixed = [np.rint(np.clip(path, -2000, 2000) * 16).astype(np.int32) for path in paths]
    cv2.polylines(paper, fixed, False, 0, 1, cv2.LINE_8, 4)
    if paper.all():  # every path misses the picture
        return np.full(canvas.shape, np.hypot(*canvas.shape), np.float32)
    found = cv2.distanceTransform(paper, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(found, np.float32)


def density(image: Image) -> Floats:
    """Optical density (base e) over bright glass, (h, w, 3), at least 0."""
    light = np.maximum(image.astype(np.float32), 1) / np.float32(235)
    return np.maximum(-np.log(light), 0)


def tissue(image: Image, canvas: Canvas) -> Floats:
    """0 on glass, 1 on tissue, (h, w), softened by 2 px."""
    return canvas.blur(smoothstep(density(image).mean(2), 0.05, 0.25).astype(np.float32), 2.0)


def absorb(image: Image, layer: NDArray[np.floating]) -> Image:
    """Light of ``image`` behind another layer of density (h, w, 3)."""
    return _bytes(image.astype(np.float32) * np.exp(-layer))


def lay(image: Image, above: NDArray[np.floating], opacity: NDArray[np.floating]) -> Image:
    """``above`` (h, w, 3) or (3,) in grey levels over ``image``, with opacity (h, w)."""
    below = image.astype(np.float32)
    return _bytes(below + opacity[..., None].astype(np.float32) * (above - below))


def only_inside(image: Image, drawn: Image, mask: Mask) -> Damaged:
    """What was drawn, where the mask is; the image elsewhere."""
    return Damaged(np.where(mask[..., None], drawn, image), mask)


def _bytes(light: NDArray[np.floating]) -> Image:
    found: Image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return found

"""Damage of a whole view by degrees: blur, noise, compression. Each tells its level, 0 to 1."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["WHOLE", "whole_damage"]

Image = NDArray[np.uint8]
WHOLE = {"out_of_focus": 0.4, "noise": 0.36, "compression": 0.24}
"""How often each class is drawn."""


def whole_damage(
    image: Image, kind: str, scale: float, rng: np.random.Generator
) -> tuple[Image, float]:
    """A damaged copy and its level; blurs grow with ``scale``, how far the view was enlarged."""
    level = float(rng.random())
    draw = {"out_of_focus": _blur, "noise": _noise, "compression": _jpeg}[kind]
    return draw(image, level, scale, rng), level


def _between(mild: float, strong: float, level: float) -> float:
    return float(mild * (strong / mild) ** level)


def _blur(image: Image, level: float, scale: float, rng: np.random.Generator) -> Image:
    form = rng.choice(4, p=[0.5, 0.25, 0.15, 0.1])
    if form == 0:
        sigma = _between(0.7, 5, level) * scale
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    if form == 3:
        h, w = image.shape[:2]
        factor = _between(1.6, 4.5, level) * scale
        small = cv2.resize(image, (round(w / factor), round(h / factor)), interpolation=3)
        return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC), np.uint8)
    if form == 1:
        radius = _between(1.3, 8, level) * scale
        reach = int(np.ceil(radius))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    else:
        length = _between(3.5, 16, level) * scale
        reach = int(np.ceil(length / 2)) + 1
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        angle = rng.uniform(0, np.pi)
        across = np.abs(x * np.sin(angle) - y * np.cos(angle))
        along = np.abs(x * np.cos(angle) + y * np.sin(angle))
        kernel = np.clip(1 - across, 0, 1) * np.clip(length / 2 + 0.5 - along, 0, 1)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _noise(image: Image, level: float, scale: float, rng: np.random.Generator) -> Image:
    form = rng.choice(4, p=[0.45, 0.15, 0.3, 0.1])
    if form == 2:  # salt and pepper, of pixels or of single channels
        share = _between(0.005, 0.3, level)
        shape = image.shape if rng.random() < 0.3 else (*image.shape[:2], 1)
        hit = rng.random(shape, np.float32)
        noisy = np.where(hit < share / 2, 0, image)
        return np.asarray(np.where(hit > 1 - share / 2, 255, noisy), np.uint8)
    sigma = 255 * _between(0.02, 0.3, level)
    channels = 1 if form == 1 else 3
    grain = rng.standard_normal((*image.shape[:2], channels), np.float32)
    if form == 3:  # coarse grain, as of a camera's own filter
        grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.7), np.float32) * 2.2
    if rng.random() < 0.2:  # shot noise: more where it is bright
        grain = grain * np.sqrt(image.astype(np.float32) / 160)
    return np.asarray(np.clip(np.rint(image + sigma * grain), 0, 255), np.uint8)


def _jpeg(image: Image, level: float, scale: float, rng: np.random.Generator) -> Image:
    top, left = rng.integers(0, 8, 2).tolist()
    padded = cv2.copyMakeBorder(image, top, 8, left, 8, cv2.BORDER_REFLECT_101)
    quality = round(_between(45, 4, level))
    _, code = cv2.imencode(".jpg", padded, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    h, w = image.shape[:2]
    return decoded[top : top + h, left : left + w]

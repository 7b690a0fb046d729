"""Changes that are no damage: what laboratories, stains, scanners and files do to good images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["crop", "encoding", "separate", "sharpness", "stain", "unite"]

Image = NDArray[np.uint8]

# Optical densities of haematoxylin and eosin (Ruifrok and Johnston, 2001), and what is left.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
_STAINS = np.vstack([_STAINS, np.cross(_STAINS[0], _STAINS[1])])
_UNMIX = np.linalg.inv(_STAINS).astype(np.float32)
# Least share of a crop that is no glass, where one can be found.
_TISSUE = 0.3


def crop(image: Image, size: int, rng: np.random.Generator) -> tuple[Image, float]:
    """A turned view (size, size, 3) of an image at another scale, and how far it was enlarged."""
    choice = rng.random()
    scale = 1.0
    if choice < 0.6:
        scale = float(np.exp(rng.uniform(np.log(0.6), np.log(1.15))))
    elif choice < 0.74:
        scale = float(np.exp(rng.uniform(np.log(1.15), np.log(1.8))))
    side = max(16, min(round(size / scale), *image.shape[:2]))
    for _ in range(4):
        top, left = (int(rng.integers(0, n - side + 1)) for n in image.shape[:2])
        view = image[top : top + side, left : left + side]
        if (view[::4, ::4].mean(2) < 225).mean() > _TISSUE:
            break
    scale = size / side
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    if side != size:
        view = np.asarray(cv2.resize(view, (size, size), interpolation=how), np.uint8)
    view = np.rot90(view, int(rng.integers(4)))
    view = view[:, ::-1] if rng.random() < 0.5 else view
    return np.ascontiguousarray(view, np.uint8), max(1.0, scale)


def separate(image: Image) -> NDArray[np.float32]:
    """Amounts (h, w, 3) of haematoxylin, eosin and of what is left."""
    density = -np.log((image.astype(np.float32) + 1) / 256)
    return np.asarray(density @ _UNMIX, np.float32)


def unite(amounts: NDArray[np.float32]) -> Image:
    """The image (h, w, 3) of such amounts."""
    light = np.exp(-(amounts @ _STAINS.astype(np.float32)))
    return np.asarray(np.clip(np.rint(256 * light - 1), 0, 255), np.uint8)


def stain(image: Image, rng: np.random.Generator) -> Image:
    """Other amounts and hues of the stains, another white balance, contrast and saturation."""
    gain = np.clip(np.exp(rng.normal(0, 0.33, 3)), 0.5, 1.8)
    amounts = separate(image) * gain.astype(np.float32)
    amounts += rng.normal(0, 0.02, 3).astype(np.float32)
    stains = _STAINS + rng.normal(0, 0.08, _STAINS.shape)
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    light = np.exp(-(amounts @ stains.astype(np.float32)))
    balance = rng.uniform(0.85, 1.0, 3) if rng.random() < 0.5 else rng.uniform(0.9, 1.0)
    light = np.clip(light * balance, 0, 1) ** np.exp(rng.normal(0, 0.15))
    grey = light.mean(2, keepdims=True)
    light = grey + (light - grey) * rng.uniform(0.7, 1.3)
    return np.asarray(np.clip(light * 255, 0, 255), np.uint8)


def sharpness(image: Image, rng: np.random.Generator) -> Image:
    """A little softer, or sharpened as scanners do."""
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.2, 0.5)), np.uint8)
    soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 1.4)).astype(np.float32)
    sharp = image + rng.uniform(0.1, 0.8) * (image - soft)
    return np.asarray(np.clip(np.rint(sharp), 0, 255), np.uint8)


def encoding(image: Image, rng: np.random.Generator) -> Image:
    """JPEG, WebP or JPEG 2000 of good quality, or resized and back within 15 %."""
    choice = rng.random()
    if choice < 0.2:
        h, w = image.shape[:2]
        factor = rng.uniform(0.85, 1.15)
        other = cv2.resize(image, (round(w * factor), round(h * factor)))
        return np.asarray(cv2.resize(other, (w, h), interpolation=cv2.INTER_CUBIC), np.uint8)
    kind, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(72, 99))]
    if choice > 0.9:
        kind, options = ".webp", [cv2.IMWRITE_WEBP_QUALITY, int(rng.integers(80, 99))]
    _, code = cv2.imencode(kind, image, options)
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)

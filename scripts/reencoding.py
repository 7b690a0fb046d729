"""What the scores should not mind, encodings, and what they should see, faults; images in, images
out.

:data:`ENCODED` and :data:`FAULTS` are fixed and judge; :func:`encoded` and :func:`degraded` draw
what teaches the branch of the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TypeAlias

import cv2
import numpy as np
from harmless import separate, unite
from numpy.typing import NDArray
from PIL import Image
from whole_damage import whole_damage

from rl2qc.synthetic.damage import random_damage
from rl2qc.synthetic.teaching import TEACHING

__all__ = ["ENCODED", "FAULTS", "Change", "degraded", "encoded"]

Pixels: TypeAlias = NDArray[np.uint8]
Change: TypeAlias = Callable[[Pixels], Pixels]
_FILTERS = (
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
)


def _coded(image: Pixels, kind: str, **options: object) -> Pixels:
    file = BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return np.asarray(Image.open(file).convert("RGB"))


def _resized(image: Pixels, factor: float, *filters: Image.Resampling) -> Pixels:
    """At another size, and back."""
    there, back = filters or (Image.Resampling.BICUBIC,) * 2
    h, w = image.shape[:2]
    other = Image.fromarray(image).resize((round(w * factor), round(h * factor)), there)
    return np.asarray(other.resize((w, h), back))


def _blurred(image: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _noisy(image: Pixels, sigma: float) -> Pixels:
    grain = np.random.default_rng(int(image.sum())).normal(0, 255 * sigma, image.shape)
    return np.asarray(np.clip(np.rint(image + grain), 0, 255), np.uint8)


def _wrong_stain(image: Pixels) -> Pixels:
    """A third less haematoxylin, half as much eosin again."""
    return unite(separate(image) * np.array([0.65, 1.5, 1.0], np.float32))


def _without_nuclei(image: Pixels) -> Pixels:
    """The darkest fifth in haematoxylin filled in from what is around."""
    amount = cv2.GaussianBlur(separate(image)[..., 0], (0, 0), 1.5)
    mask = (amount > np.quantile(amount, 0.8)).astype(np.uint8)
    mask = np.asarray(cv2.dilate(mask, np.ones((5, 5), np.uint8)), np.uint8)
    return np.asarray(cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA), np.uint8)


def _damaged(image: Pixels) -> Pixels:
    return random_damage(image, np.random.default_rng(int(image.sum())))


ENCODED: Mapping[str, Change] = {
    "JPEG 95": lambda im: _coded(im, "JPEG", quality=95),
    "JPEG 85": lambda im: _coded(im, "JPEG", quality=85),
    "JPEG 75": lambda im: _coded(im, "JPEG", quality=75),
    "WebP 80": lambda im: _coded(im, "WEBP", quality=80),
    "resized .75": lambda im: _resized(im, 0.75),
    "resized 1.1": lambda im: _resized(im, 1.1, *(Image.Resampling.BILINEAR,) * 2),
}
"""An image encoded again, as people do."""
FAULTS: Mapping[str, Change] = {
    "blur 1": lambda im: _blurred(im, 1),
    "blur 2": lambda im: _blurred(im, 2),
    "blur 4": lambda im: _blurred(im, 4),
    "noise .02": lambda im: _noisy(im, 0.02),
    "noise .05": lambda im: _noisy(im, 0.05),
    "noise .1": lambda im: _noisy(im, 0.1),
    "JPEG 50": lambda im: _coded(im, "JPEG", quality=50),
    "JPEG 20": lambda im: _coded(im, "JPEG", quality=20),
    "JPEG 8": lambda im: _coded(im, "JPEG", quality=8),
    "wrong stain": _wrong_stain,
    "no nuclei": _without_nuclei,
    "damaged": _damaged,
}
"""An image with a fault, mild ones first."""


def encoded(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Encoded again by a random format of good quality, or resized and back; now and then both."""
    choice = rng.random()
    if choice < 0.45:
        quality, chroma = int(rng.integers(70, 99)), 2 if rng.random() < 0.75 else 0
        image = _coded(image, "JPEG", quality=quality, subsampling=chroma)
    elif choice < 0.6:
        image = _coded(image, "WEBP", quality=int(rng.integers(70, 98)))
    elif choice < 0.65:
        rate = float(rng.uniform(4, 15))
        image = _coded(image, "JPEG2000", quality_mode="rates", quality_layers=[rate])
    else:
        factor = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4))))
        there, back = (_FILTERS[rng.integers(len(_FILTERS))] for _ in range(2))
        image = _resized(image, factor, there, back)
        if rng.random() < 0.2:
            image = _coded(image, "JPEG", quality=int(rng.integers(70, 99)))
    return image


def degraded(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Blurred, noisy, badly compressed, or with one drawn damage."""
    choice = rng.random()
    if choice < 0.6:
        kind = "out_of_focus" if choice < 0.3 else "noise" if choice < 0.45 else "compression"
        return whole_damage(image, kind, 1.0, rng)[0]
    lesson = list(TEACHING.values())[rng.integers(len(TEACHING))]
    return lesson.draw(image, float(np.exp(rng.uniform(*np.log(lesson.areas)))), rng).image

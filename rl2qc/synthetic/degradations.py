"""Degradations of a whole image, from mild to strong.

References
----------
Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", NeurIPS 2017, appendix A1 (blur,
noise, salt and pepper, black rectangles). Jeevan et al., "RL2", ISBI 2025, figures 2 to 5.
Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution",
Anal. Quant. Cytol. Histol. 2001 (stain vectors).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# albumentations otherwise asks the network for its newest version on import.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

from rl2qc.synthetic.corruptions import CorruptionSpec, Image, register_corruption

Degradation = Callable[[Image, float, np.random.Generator], Image]


def _albumentations(transform: Callable[[float], Any]) -> Degradation:
    """A degradation from severity to an albumentations transform that is always applied."""

    @lru_cache(maxsize=64)
    def compose(severity: float) -> Any:
        return A.Compose([transform(severity)], seed=0)

    def apply(image: Image, severity: float, rng: np.random.Generator) -> Image:
        pipeline = compose(severity)
        # Explicit seeding: albumentations' own state repeats itself in worker processes.
        pipeline.set_random_seed(int(rng.integers(2**31)))
        degraded: Image = pipeline(image=image)["image"]
        return degraded

    return apply


def _rectangles(area: float) -> Any:
    # Five black squares that together hold `area` of the image; they may overlap.
    side = float(np.sqrt(area / 5))
    return A.CoarseDropout(
        num_holes_range=(5, 5),
        hole_height_range=(side, side),
        hole_width_range=(side, side),
        fill=0,
        p=1,
    )


def _defocus(image: Image, radius: float, rng: np.random.Generator) -> Image:
    """Convolve with a disc, its rim weighted by how much of a pixel it covers."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return _convolve(image, np.clip(radius + 0.5 - np.hypot(x, y), 0, 1))


def _motion(image: Image, length: float, rng: np.random.Generator) -> Image:
    """Convolve with a straight line of random direction."""
    angle = rng.uniform(0, np.pi)
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    # Many points along the line, each shared by the four pixels around it.
    along = length * ((np.arange(16 * reach) + 0.5) / (16 * reach) - 0.5)
    x, y = reach + along * np.cos(angle), reach + along * np.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for dx in (0, 1):
        for dy in (0, 1):
            weight = (1 - np.abs(x - left - dx)) * (1 - np.abs(y - top - dy))
            np.add.at(kernel, (top + dy, left + dx), weight)
    return _convolve(image, kernel)


def _convolve(image: Image, kernel: NDArray[np.float64]) -> Image:
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _downscale(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Average to a ``factor`` times coarser grid and interpolate back."""
    h, w = image.shape[:2]
    small = (max(1, round(w / factor)), max(1, round(h / factor)))
    coarse = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC), np.uint8)


# Optical densities of haematoxylin and eosin in red, green and blue, and what is left of them.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
_STAINS = np.vstack([_STAINS, np.cross(_STAINS[0], _STAINS[1])])
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)
_UNMIX = np.linalg.inv(_STAINS)


def _stain(image: Image, change: float, rng: np.random.Generator) -> Image:
    """Haematoxylin 1 + ``change`` times as dense and eosin as much paler; glass stays white."""
    gain = np.diag([1 + change, 1 / (1 + change), 1])
    density = -np.log(np.maximum(image, 1) / 255)
    light = 255 * np.exp(-density @ (_UNMIX @ gain @ _STAINS))
    return np.asarray(np.clip(np.rint(light), 0, 255), np.uint8)


for _spec in (
    CorruptionSpec(
        "blur",
        "Gaussian blur",
        "sigma, px",
        (1, 2, 3, 4),
        _albumentations(lambda s: A.GaussianBlur(sigma_limit=(s, s), blur_limit=0, p=1)),
        teaches=(0.4, 5.0),
        order=10,
    ),
    CorruptionSpec(
        "noise",
        "Gaussian noise",
        "sigma, share of the range",
        (0.05, 0.1, 0.2, 0.3),
        _albumentations(lambda s: A.GaussNoise(std_range=(s, s), p=1)),
        teaches=(0.015, 0.3),
        order=11,
    ),
    CorruptionSpec(
        "salt_and_pepper",
        "Salt and pepper",
        "share of the pixels",
        (0.05, 0.1, 0.2, 0.3),
        _albumentations(lambda s: A.SaltAndPepper(amount=(s, s), salt_vs_pepper=(0.5, 0.5), p=1)),
        teaches=(0.005, 0.3),
        order=12,
    ),
    CorruptionSpec(
        "jpeg",
        "JPEG compression",
        "quality",
        (30, 20, 10, 5),
        _albumentations(lambda q: A.ImageCompression(quality_range=(int(q), int(q)), p=1)),
        teaches=(60.0, 4.0),
        order=13,
    ),
    CorruptionSpec(
        "rectangles",
        "Black rectangles",
        "share of the area",
        (0.05, 0.1, 0.2, 0.4),
        _albumentations(_rectangles),
        teaches=(0.02, 0.5),
        order=14,
    ),
    CorruptionSpec(
        "defocus", "Defocus", "radius of the disc, px", (2, 3, 4, 6), _defocus, order=15
    ),
    CorruptionSpec("motion", "Motion blur", "length, px", (4, 8, 12, 16), _motion, order=16),
    CorruptionSpec(
        "downscale", "Lower resolution", "times coarser", (1.5, 2, 3, 4), _downscale, order=17
    ),
    CorruptionSpec(
        "stain",
        "Stain shift",
        "haematoxylin up and eosin down by",
        (0.1, 0.25, 0.5, 1.0),
        _stain,
        order=18,
    ),
):
    register_corruption(_spec)

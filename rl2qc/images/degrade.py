"""Synthetic degradations of graded severity: the ladders of the FID and RL2 papers and their kin.

A ladder is a degradation with a list of severities, mildest first. Ladders drive three things:
the pretext task of the shipped backbone, the ladder benchmark of the metrics and the tests.

References
----------
Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", NeurIPS 2017, appendix A1 (blur,
noise, salt and pepper, black rectangles). Jeevan et al., "RL2", ISBI 2025, figures 2 to 5.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# albumentations otherwise asks the network for its newest version on import.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

__all__ = ["LADDERS", "Ladder", "degrade"]


@dataclass(frozen=True)
class Ladder:
    """One degradation: how to build it for a severity, and the severities to report.

    Attributes
    ----------
    title
        Name for tables and figures.
    unit
        What a severity measures.
    severities
        Strictly rising in strength; none of them is the identity.
    transform
        Severity to an albumentations transform that is always applied.
    """

    title: str
    unit: str
    severities: tuple[float, ...]
    transform: Callable[[float], Any]


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


LADDERS: Mapping[str, Ladder] = {
    "blur": Ladder(
        "Gaussian blur",
        "sigma, px",
        (1, 2, 3, 4),
        lambda s: A.GaussianBlur(sigma_limit=(s, s), blur_limit=0, p=1),
    ),
    "noise": Ladder(
        "Gaussian noise",
        "sigma, share of the range",
        (0.05, 0.1, 0.2, 0.3),
        lambda s: A.GaussNoise(std_range=(s, s), p=1),
    ),
    "salt_and_pepper": Ladder(
        "Salt and pepper",
        "share of the pixels",
        (0.05, 0.1, 0.2, 0.3),
        lambda s: A.SaltAndPepper(amount=(s, s), salt_vs_pepper=(0.5, 0.5), p=1),
    ),
    "rectangles": Ladder(
        "Black rectangles",
        "share of the area",
        (0.05, 0.1, 0.2, 0.4),
        _rectangles,
    ),
    "jpeg": Ladder(
        "JPEG compression",
        "quality",
        (30, 20, 10, 5),
        lambda q: A.ImageCompression(quality_range=(int(q), int(q)), p=1),
    ),
}


@lru_cache(maxsize=256)
def _compose(name: str, severity: float) -> Any:
    return A.Compose([LADDERS[name].transform(severity)], seed=0)


def degrade(
    image: NDArray[np.uint8], name: str, severity: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Degrade one image.

    Parameters
    ----------
    image : (h, w, 3) uint8
    name
        A key of :data:`LADDERS`.
    severity
        In the ladder's unit; any value of its range, not only the listed ones.
    rng
        Source of randomness; equal generators give equal images.

    Returns
    -------
    (h, w, 3) uint8, a new array

    Raises
    ------
    ValueError
        For a name that is no ladder.

    Example
    -------
    >>> image = np.zeros((32, 32, 3), np.uint8); image[:, 16:] = 255
    >>> soft = degrade(image, "blur", 2.0, np.random.default_rng(0))
    >>> bool(0 < soft[0, 15, 0] < 255)
    True
    """
    if name not in LADDERS:
        raise ValueError(f"unknown degradation {name!r}; choose from {', '.join(LADDERS)}")
    compose = _compose(name, float(severity))
    # Explicit seeding: albumentations' own state repeats itself in worker processes.
    compose.set_random_seed(int(rng.integers(2**31)))
    degraded: NDArray[np.uint8] = compose(image=image)["image"]
    return degraded

"""Random damage of every kind: what a probe or a pretext task learns to tell from clean patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rl2qc.synthetic.artifacts import ARTIFACTS
from rl2qc.synthetic.degradations import degrade

__all__ = ["COVERS", "DEGRADATIONS", "random_damage", "severity_at"]

# Mildest and strongest severity; levels are spaced evenly in the logarithm between them.
DEGRADATIONS = {
    "blur": (0.4, 5.0),
    "noise": (0.015, 0.3),
    "salt_and_pepper": (0.005, 0.3),
    "jpeg": (60.0, 4.0),
    "rectangles": (0.02, 0.5),
}
# Least and largest share of a patch that an artifact covers.
COVERS = (0.01, 0.6)
# The others get an artifact.
SHARE_DEGRADED = 0.35


def severity_at(name: str, level: float) -> float:
    """Severity of a degradation at a level between 0, the mildest, and 1, the strongest."""
    mild, strong = DEGRADATIONS[name]
    return float(mild * (strong / mild) ** level)


def random_damage(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A copy with one degradation or one procedural artifact of random kind and strength.

    Parameters
    ----------
    image : (h, w, 3) uint8
    rng
        Source of randomness; equal generators give equal images.

    Returns
    -------
    (h, w, 3) uint8, a new array

    References
    ----------
    Li et al., "CutPaste: self-supervised learning for anomaly detection and localization", CVPR
    2021: damage made by hand stands for damage that nobody has labelled.

    Examples
    --------
    >>> image = np.full((64, 64, 3), 200, np.uint8)
    >>> random_damage(image, np.random.default_rng(0)).shape
    (64, 64, 3)
    """
    if rng.random() < SHARE_DEGRADED:
        name = list(DEGRADATIONS)[rng.integers(len(DEGRADATIONS))]
        return degrade(image, name, severity_at(name, rng.random()), rng)
    draw = list(ARTIFACTS.values())[rng.integers(len(ARTIFACTS))]
    return draw(image, float(np.exp(rng.uniform(*np.log(COVERS)))), rng).image

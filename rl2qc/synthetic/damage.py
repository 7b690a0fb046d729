"""Random damage of every kind: what a probe or a pretext task learns to tell from clean patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rl2qc.synthetic.corruptions import taught

__all__ = ["random_damage"]

# The others get an artifact.
SHARE_DEGRADED = 0.35


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
    kinds = taught("degradation" if rng.random() < SHARE_DEGRADED else "artifact")
    spec = kinds[rng.integers(len(kinds))]
    return spec(image, spec.at(rng.random()), rng)

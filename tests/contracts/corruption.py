"""What every corruption must hold, whoever wrote it; call :func:`check_corruption` in a test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rl2qc.synthetic.corruptions import CorruptionSpec


def check_corruption(spec: CorruptionSpec, image: NDArray[np.uint8], draws: int = 4) -> None:
    """Words, shape, randomness, strength and place.

    Parameters
    ----------
    spec
    image : (h, w, 3) uint8
        Varied everywhere, such as :func:`~rl2qc.synthetic.tissue.synthetic_tissue` draws it.
    draws
        Over how many the strength is averaged.
    """
    assert spec.name.isidentifier(), "names are names of files, too"
    assert spec.title and spec.unit
    assert len(set(spec.severities)) == len(spec.severities) >= 2
    _check_randomness(spec, image)
    _check_strength(spec, spec.severities, image, draws)
    if spec.teaches is not None:
        np.testing.assert_allclose((spec.at(0), spec.at(1)), spec.teaches)
        np.testing.assert_allclose(spec.at(0.5) ** 2, np.prod(spec.teaches))
        _check_strength(spec, [spec.at(level) for level in (0.2, 0.6, 1.0)], image, draws)


def _check_randomness(spec, image):
    """Equal generators give equal images; the one given stays, and is not shared."""
    severity, before = spec.severities[1], image.copy()
    a, b = (spec(image, severity, np.random.default_rng(7)) for _ in range(2))
    assert a.dtype == np.uint8 and a.shape == image.shape
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(image, before)
    assert not np.shares_memory(a, image)
    damaged = spec.damage(image, severity, np.random.default_rng(7))
    np.testing.assert_array_equal(damaged.image, a)
    assert damaged.mask.dtype == np.bool_ and damaged.mask.shape == image.shape[:2]
    assert damaged.mask.any()
    # An artifact is somewhere, a degradation everywhere.
    assert damaged.mask.all() == (spec.kind == "degradation")


def _check_strength(spec, severities, image, draws):
    """Every step is farther from the original."""
    errors = [
        np.mean(
            [
                np.abs(spec(image, s, np.random.default_rng(seed)).astype(float) - image).mean()
                for seed in range(draws)
            ]
        )
        for s in severities
    ]
    assert errors[0] > 0
    assert errors == sorted(set(errors)), f"{spec.name} is not monotone: {errors}"

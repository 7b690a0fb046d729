"""Tiles of glass are no tissue, whatever the network says of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import rl2qc
from rl2qc.images.blank import blank_tiles
from rl2qc.images.quantities import measure_quantities
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.synthetic.stain import Stain
from rl2qc.synthetic.tissue import synthetic_patches


def glass(colour: Sequence[int], n: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(0, 1.5, (n, 224, 224, 3))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


gaussian_blur = partial(gaussian_filter, sigma=(8, 8, 0))


def measured(images: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(QUANTITIES, measure_quantities(images).T, strict=True))


@pytest.mark.parametrize(
    "colour", [(243, 243, 243), (255, 255, 255), (195, 195, 195), (242, 236, 218), (240, 222, 236)]
)
def test_glass_is_blank_and_pale_tissue_is_not(
    colour: tuple[int, int, int], rng: np.random.Generator
) -> None:
    assert blank_tiles(measured(glass(colour, 3, rng))).all()
    tissue = np.stack(synthetic_patches(3, 224, rng, stain=Stain.sample(rng)))
    for strength in (1.0, 0.3, 0.12):
        pale = (255 - (255 - tissue.astype(np.float64)) * strength).astype(np.uint8)
        assert not blank_tiles(measured(pale)).any()
    assert not blank_tiles(measured(np.zeros((1, 224, 224, 3), np.uint8))).any()
    assert not blank_tiles(measured(np.stack([gaussian_blur(t) for t in tissue]))).any()
    assert blank_tiles({"density": np.ones(2)}) is None


def test_blank_tiles_of_a_folder_are_rejected_and_said_to_be(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    tissue = np.stack(synthetic_patches(24, 224, rng, stain=Stain.sample(rng)))
    for i, image in enumerate(np.concatenate([tissue, glass((195, 195, 195), 4, rng)])):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    table = rl2qc.filter_patches(tmp_path)
    assert not table.keep[-4:].any()
    assert set(table.reasons[-4:]) == {"pale or background"}
    assert table.keep[:-4].mean() > 0.7
    assert not table.decide(alpha=0.001, adapt="none").keep[-4:].any()

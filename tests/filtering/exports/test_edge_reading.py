"""Tiles at the edges of slides whose levels are no whole parts of them, read by other tools."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import openslide
import pytest
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.filtering.exports.files import export
from rl2qc.filtering.slide import filter_slide


@pytest.mark.parametrize("shape", [(307, 403), (301, 515), (256, 384)])
def test_every_tile_is_read_whole_from_its_level(
    tmp_path: Path, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    path = write_slide(tmp_path / "case.tif", tissue_like(rng, *shape), levels=2)
    table = filter_slide(path, BrightnessModel(64, 1.0), min_tissue=0.0).decide(0.0)
    (written,) = export(table, tmp_path / "out" / table.name, ["clam"])
    height, width = shape
    with h5py.File(written) as file, openslide.OpenSlide(path) as slide:
        level, size = file["coords"].attrs["patch_level"], file["coords"].attrs["patch_size"]
        coords = file["coords"][:]
        assert (level, len(coords)) == (1, len(table))
        for corner in coords.tolist():
            alpha = np.asarray(slide.read_region(corner, level, (size, size)))[..., 3]
            assert alpha.min() == 255, corner
    # Nothing is left out but what the level lacks.
    assert width - 2 - (table.x + table.width).max() <= 2
    assert height - 2 - (table.y + table.height).max() <= 2

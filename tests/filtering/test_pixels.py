"""The pixels of a tile, wherever they are shown, are those that the model saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like, write_slide

from rl2qc.cohort.contact_sheet import ContactSheets
from rl2qc.cohort.dataset import KeptTiles
from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.store.results import read_results
from rl2qc.errors import WorkError
from rl2qc.filtering.pixels import TilePixels
from rl2qc.filtering.slide import filter_slide

CORNERS = [(0, 0), (3, 0), (64, 32)]


class Recording(BrightnessModel):
    """Keeps what it is shown."""

    def __init__(self, mpp: float) -> None:
        super().__init__(mpp=mpp)
        self.seen: list[np.ndarray] = []

    def measure(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self.seen.extend(images.copy())
        return super().measure(images)


@pytest.fixture
def measured(tmp_path: Path, rng: np.random.Generator) -> Callable[..., tuple[Path, Recording]]:
    """Filters a slide at imported coordinates of tiles of a size; every tile is kept."""
    slide = write_slide(tmp_path / "a.tif", tissue_like(rng, 256, 256))

    def run(side: int, mpp: float, **options: Any) -> tuple[Path, Recording]:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            coords = file.create_dataset("coords", data=CORNERS)
            coords.attrs.update(patch_size=side, patch_level=0)
        model = Recording(mpp)
        coords = str(tmp_path / "a.h5")
        options |= {"coords": coords, "covering": "centre"}
        filter_cohort(slide, tmp_path / "out", model, alpha=0.0, **options)
        assert len(model.seen) == len(CORNERS)
        return tmp_path / "out", model

    return run


def written(out: Path) -> list[np.ndarray]:
    tiles = [out / "a" / "tiles" / f"x{x}_y{y}.png" for x, y in CORNERS]
    return [np.asarray(Image.open(tile)) for tile in tiles]


def on_a_sheet(out: Path) -> list[np.ndarray]:
    sheets = ContactSheets(np.random.default_rng(0), side=64)
    (name,) = KeptTiles(out).sources
    table = table_in(out, name)
    sheets.add(table)
    shown = {tile.place: tile.image for tile in sheets.read()["kept"]}
    return [np.asarray(shown[f"x {x}, y {y}"]) for x, y in CORNERS]


def table_in(out: Path, name: str) -> Any:
    return read_results(out).tables[name]


def of_a_dataset(out: Path) -> list[np.ndarray]:
    tiles = KeptTiles(out)
    return [tiles.pixels(i) for i in range(len(tiles))]


def of_a_table(out: Path) -> list[np.ndarray]:
    with TilePixels(table_in(out, "a")) as pixels:
        return [pixels[i] for i in range(len(CORNERS))]


# Tiles as large as the model's, twice as large, smaller, odd against even, and resampled.
@pytest.mark.parametrize(("side", "mpp"), [(64, 0.5), (128, 0.5), (40, 0.5), (99, 0.5), (128, 0.9)])
@pytest.mark.parametrize("shown", [written, on_a_sheet, of_a_dataset, of_a_table])
def test_tiles_are_what_the_model_saw(
    measured: Callable[..., tuple[Path, Recording]],
    shown: Callable[[Path], list[np.ndarray]],
    side: int,
    mpp: float,
) -> None:
    out, model = measured(side, mpp, formats=["tiles"], report=False)
    for picture, seen in zip(shown(out), model.seen, strict=True):
        np.testing.assert_array_equal(picture, seen)


def test_of_larger_patches_a_sheet_shows_the_centre(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    (tmp_path / "set").mkdir()
    image = tissue_like(rng, 80, 100)
    Image.fromarray(image).save(tmp_path / "set" / "a.png")
    filter_cohort(tmp_path / "set", tmp_path / "out", BrightnessModel(), alpha=0.0, report=False)
    sheets = ContactSheets(np.random.default_rng(0), side=64)
    sheets.add(table_in(tmp_path / "out", "set"))
    (tile,) = sheets.read()["kept"]
    np.testing.assert_array_equal(np.asarray(tile.image), image[8:72, 18:82])


def test_a_table_has_two_sizes(measured: Callable[..., tuple[Path, Recording]]) -> None:
    out, _ = measured(128, 0.5, formats=["csv"], report=False)
    table = table_in(out, "a")
    assert (table.patch_size, table.tile_size) == (64, 128)
    grid = filter_slide(table.path, BrightnessModel())
    assert (grid.patch_size, grid.tile_size) == (64, 64)


def test_a_table_that_does_not_say_what_was_seen(
    measured: Callable[..., tuple[Path, Recording]],
) -> None:
    out, _ = measured(128, 0.5, formats=["csv"], report=False)
    with pytest.raises(WorkError, match="a does not say what of its tiles the model saw"):
        TilePixels(replace(table_in(out, "a"), patch_size=None))

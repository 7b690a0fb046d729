"""Slides whose pixels are not square, filtered: as the same picture with square ones."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from slide_helpers import BrightnessModel, tissue_like

from rl2qc.cohort.dataset import KeptTiles
from rl2qc.cohort.decide import decide
from rl2qc.cohort.filter import filter_cohort
from rl2qc.cohort.store.tables import read_table
from rl2qc.errors import SlideError, UsageError
from rl2qc.filtering.exports.registry import write_format
from rl2qc.filtering.pixels import TilePixels
from rl2qc.filtering.slide import filter_slide
from rl2qc.filtering.table import TileTable

WIDTH, HEIGHT = 700, 520
SHAPES = [(0.25, 0.5), (0.5, 0.25), (0.4, 0.5), (0.5, 0.37)]
FORMATS = ["csv", "geojson", "overlay", "tiles", "histoqc"]
Shape = tuple[float, float]


def draw(folder: Path, mpp: Shape = (0.5, 0.5)) -> Path:
    """Tissue on glass, some of it dark, in pixels of that shape."""
    pixels = tissue_like(np.random.default_rng(3), HEIGHT, WIDTH, (slice(40, 500), slice(100, 640)))
    pixels = cv2.GaussianBlur(pixels, (0, 0), 2)
    pixels[200:330, 260:450] //= 3
    size = round(WIDTH * 0.5 / mpp[0]), round(HEIGHT * 0.5 / mpp[1])
    pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(
        folder / "a.tif", pixels, tile=(64, 64), photometric="rgb", compression="deflate",
        resolution=(1e4 / mpp[0], 1e4 / mpp[1]), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return folder / "a.tif"


@pytest.fixture
def plain(tmp_path: Path) -> TileTable:
    return filter_slide(draw(tmp_path / "plain"), BrightnessModel(), alpha=ALPHA)


ALPHA = 0.3


@pytest.mark.parametrize("mpp", SHAPES)
def test_the_same_decisions_at_the_same_places(
    mpp: Shape, plain: TileTable, tmp_path: Path
) -> None:
    table = filter_slide(draw(tmp_path / "odd", mpp), BrightnessModel(), alpha=ALPHA)
    assert 0 < plain.keep.sum() < len(plain)
    assert len(table) == len(plain)
    np.testing.assert_array_equal(table.keep, plain.keep)
    np.testing.assert_array_equal(table.reasons, plain.reasons)
    np.testing.assert_allclose(table.tissue_fraction, plain.tissue_fraction, atol=0.03)
    p = "p_value"
    np.testing.assert_allclose(table.measurements[p], plain.measurements[p], atol=0.02)
    # In pixels of the file: the same microns, to a pixel.
    for axis, (place, side) in enumerate((("x", "width"), ("y", "height"))):
        for name in (place, side):
            microns = getattr(table, name) * mpp[axis]
            np.testing.assert_allclose(microns, getattr(plain, name) * 0.5, atol=1.01 * mpp[axis])
    assert table.dimensions == tuple(np.array(Image.open(table.path).size))
    assert table.mpp == pytest.approx(plain.mpp, rel=1e-3)
    np.testing.assert_array_equal(table.shifted, plain.shifted)
    assert table.area_um2 == pytest.approx(plain.area_um2, rel=0.02)


def test_enlarged_along_the_coarser_side_with_a_word(plain: TileTable, tmp_path: Path) -> None:
    table = filter_slide(draw(tmp_path / "odd", (0.5, 1.0)), BrightnessModel(), alpha=ALPHA)
    np.testing.assert_array_equal(table.keep, plain.keep)
    assert (table.width[0], table.height[0]) == (64, 32)
    assert any("tiles are enlarged to 0.5 um/px" in said for said in table.warnings)
    with pytest.raises(SlideError, match="cannot give tiles"):
        filter_slide(draw(tmp_path / "odd", (0.8, 1.0)), BrightnessModel())


@pytest.mark.parametrize("mpp", SHAPES)
def test_no_tile_leaves_the_slide_and_neighbours_leave_no_gap(mpp: Shape, tmp_path: Path) -> None:
    table = filter_slide(draw(tmp_path / "odd", mpp), BrightnessModel(), tissue_mask="none")
    assert table.dimensions is not None
    for place, side, end in ((table.x, table.width, table.dimensions[0]),
                             (table.y, table.height, table.dimensions[1])):  # fmt: skip
        assert place.min() >= 0 and (place + side).max() <= end
        starts = np.unique(place)
        assert (np.diff(starts) <= side[0]).all()


@pytest.mark.parametrize("mpp", SHAPES)
def test_written_and_read_again(mpp: Shape, tmp_path: Path) -> None:
    path, out = draw(tmp_path / "odd", mpp), tmp_path / "out"
    result = filter_cohort([path], out, BrightnessModel(), alpha=ALPHA, formats=FORMATS)
    first = result.tables["a"]
    again = read_table(out / "a")
    assert again.stretch == first.stretch != (1.0, 1.0)
    np.testing.assert_array_equal(again.shifted, first.shifted)
    decide(out, alpha=ALPHA / 2)
    # What is read again is what the model saw.
    tiles = KeptTiles(out)
    with TilePixels(again) as pixels:
        for i in range(len(tiles)):
            tile = tiles.tile(i)
            (row,) = np.flatnonzero((again.x == tile.x) & (again.y == tile.y))
            np.testing.assert_array_equal(tiles.pixels(i), pixels[int(row)])
            seen = BrightnessModel().measure(tiles.pixels(i)[None])["p_value"][0]
            assert seen == pytest.approx(again.measurements["p_value"][row], abs=1e-12)
        assert pixels.around(0, 2, 96).shape == (96, 96, 3)


def test_files_in_pixels_of_the_slide(tmp_path: Path) -> None:
    plain, odd = tmp_path / "plain out", tmp_path / "odd out"
    filter_cohort([draw(tmp_path / "plain")], plain, BrightnessModel(), formats=FORMATS)
    filter_cohort([draw(tmp_path / "odd", (0.25, 0.5))], odd, BrightnessModel(), formats=FORMATS)
    pairs = [
        [json.loads((out / "a" / "tiles.geojson").read_text())["features"] for out in (plain, odd)]
    ]
    for first, second in zip(*pairs[0], strict=True):
        rings = [np.array(f["geometry"]["coordinates"][0], float) for f in (first, second)]
        if first["properties"]["objectType"] == "tile":
            np.testing.assert_allclose(rings[1], rings[0] * (2, 1), atol=1)
    masks = [np.asarray(Image.open(o / "a.tif" / "a.tif_mask_use.png")) for o in (plain, odd)]
    assert masks[0].shape == masks[1].shape
    assert (masks[0] != masks[1]).mean() < 0.05
    shapes = [Image.open(o / "a.tif" / "a.tif_thumb.png").size for o in (plain, odd)]
    assert shapes[0] == shapes[1]
    rows = [(o / "results.tsv").read_text().splitlines()[-1].split("\t") for o in (plain, odd)]
    assert [float(v) for v in rows[1][5:7]] == pytest.approx([0.25, 0.5])


def test_formats_of_square_tiles_leave_it_out_and_say_so(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="needs the extra h5")
    path, out = draw(tmp_path / "odd", (0.25, 0.5)), tmp_path / "out"
    result = filter_cohort([path], out, BrightnessModel(), formats=["csv", "trident", "clam"])
    assert not list(out.rglob("*.h5"))
    assert any("leave this slide out" in said for said in result.rows[0].warnings)
    with pytest.raises(ValueError, match="not square"):
        write_format("clam", result.tables["a"], tmp_path / "a.h5")


def test_imported_coordinates_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="needs the extra h5")
    filter_cohort([draw(tmp_path / "plain")], tmp_path / "out", BrightnessModel(),
                  formats=["trident"])  # fmt: skip
    (coords,) = (tmp_path / "out").rglob("*_patches.h5")
    with pytest.raises(UsageError, match="square in pixels"):
        filter_slide(draw(tmp_path / "odd", (0.25, 0.5)), BrightnessModel(), coords=coords)


def test_a_mask_of_ones_own_lies_where_it_should(tmp_path: Path) -> None:
    """Outlines are in pixels of the file."""
    ring = [[0, 0], [700, 0], [700, 520], [0, 520], [0, 0]]
    mask = tmp_path / "a.geojson"
    outline = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {}, "geometry": outline}
    mask.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    path = draw(tmp_path / "odd", (0.25, 0.5))
    table = filter_slide(path, BrightnessModel(), tissue_mask=mask)
    assert table.x.max() <= 700 < WIDTH * 2
    assert table.tissue_coverage == pytest.approx(0.5, abs=0.02)

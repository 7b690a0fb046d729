"""Pixels that are not square, in every format, against the same picture with square ones."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from slide_helpers import shrink, write_slide
from test_czi import write_czi
from test_ome_tiff import write_ome
from test_ome_zarr import write_image

from rl2qc.errors import SlideError
from rl2qc.slides.readers.base import SlideReader, open_slide, reader_of
from rl2qc.slides.readers.pixel_shape import square_pixels

for _module in ("imagecodecs", "zarr", "pylibCZIrw"):
    pytest.importorskip(_module, reason="needs the extras czi and ome")

WIDTH, HEIGHT, MPP = 400, 300, 0.5
Pixels = NDArray[np.uint8]
Shape = tuple[float, float]


@pytest.fixture
def picture(rng: np.random.Generator) -> Pixels:
    """As smooth as an image from a microscope: nothing smaller than some pixels."""
    noise = rng.integers(0, 255, (HEIGHT // 25, WIDTH // 25, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def stretched(picture: Pixels, mpp: Shape) -> Pixels:
    """The same place, in pixels of that shape."""
    size = round(WIDTH * MPP / mpp[0]), round(HEIGHT * MPP / mpp[1])
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR))


def write_tiff(folder: Path, pixels: Pixels, mpp: Shape) -> Path:
    path = folder / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        for level in range(2):
            tiff.write(
                shrink(pixels, 2**level), tile=(64, 64), photometric="rgb", subfiletype=level,
                resolution=(1e4 / mpp[0] / 2**level, 1e4 / mpp[1] / 2**level),
                resolutionunit="CENTIMETER", compression="deflate", metadata=None,
            )  # fmt: skip
    return path


def write_ome_tiff(folder: Path, pixels: Pixels, mpp: Shape) -> Path:
    about = {"PhysicalSizeX": mpp[0], "PhysicalSizeY": mpp[1]}
    return write_ome(folder / "a.ome.tif", [pixels, shrink(pixels, 2)], None, **about)


def write_zarr(folder: Path, pixels: Pixels, mpp: Shape) -> Path:
    return write_image(folder / "a.ome.zarr", [pixels, shrink(pixels, 2)], mpp)


def write_zeiss(folder: Path, pixels: Pixels, mpp: Shape) -> Path:
    return write_czi(folder / "a.czi", [(pixels, (0, 0), 0)], mpp)


WRITERS = {
    "openslide": write_tiff,
    "ome-tiff": write_ome_tiff,
    "ome-zarr": write_zarr,
    "czi": write_zeiss,
    "fastslide": write_tiff,
}
SHAPES = [(0.25, 0.5), (0.5, 0.25), (0.5, 0.5 / 1.2), (0.2, 0.5)]


def opened(name: str, path: Path) -> SlideReader:
    if name == "fastslide":
        pytest.importorskip("fastslide", reason="has wheels for one version of Python")
        return open_slide(path, reader="fastslide")
    assert reader_of(path).name == name
    return open_slide(path)


@pytest.mark.parametrize("mpp", SHAPES)
@pytest.mark.parametrize("name", WRITERS)
def test_they_are_read_as_square_ones(
    name: str, mpp: Shape, picture: Pixels, tmp_path: Path
) -> None:
    path = WRITERS[name](tmp_path, stretched(picture, mpp), mpp)
    with opened(name, path) as slide:
        info = slide.info
        assert info.dimensions == pytest.approx((WIDTH, HEIGHT), abs=1)
        assert info.bounds == (0, 0, *info.dimensions)
        assert info.mpp == pytest.approx(MPP, rel=1e-3)
        assert info.own.dimensions == stretched(picture, mpp).shape[1::-1]
        assert any("not square" in said for said in info.warnings)
        for x, y, width, height in ((0, 0, 64, 64), (31, 77, 90, 53), (333, 222, 60, 70)):
            region = slide.read_region(x, y, (width, height))
            expected = picture[y : y + height, x : x + width]
            assert np.abs(region.rgb.astype(float) - expected).mean() < 2
            assert (region.rgb.shape, region.valid) == (expected.shape, 1.0)
        overview = slide.read_overview(10)
        assert overview.rgb.shape == (HEIGHT // 10, WIDTH // 10, 3)
        assert overview.downsample == pytest.approx((10, 10), rel=0.01)
        assert (overview.valid == 1).all() and overview.readable.all()
        # Where sides are no whole multiples, means of means are taken.
        assert np.abs(overview.rgb.astype(float) - shrink(picture, 10)).mean() < 4


def test_levels_scales_and_edges(picture: Pixels, tmp_path: Path) -> None:
    mpp = (0.25, 0.5)
    slide = open_slide(write_tiff(tmp_path, stretched(picture, mpp), mpp))
    assert slide.info.level_dimensions == ((400, 300), (200, 150))
    half = shrink(picture, 2).astype(float)
    coarse = slide.read_region(80, 60, (50, 40), level=1).rgb
    scaled = slide.read_region(80, 60, (50, 40), scale=2.0).rgb
    for found in (coarse, scaled):
        assert np.abs(found - half[30:70, 40:90]).mean() < 3
    beyond = slide.read_region(390, 290, (20, 20))
    assert beyond.valid == pytest.approx(0.25)
    assert (beyond.rgb[12:] == slide.info.background).all()
    again = pickle.loads(pickle.dumps(slide))
    np.testing.assert_array_equal(again.read_region(3, 5, (9, 9)).rgb,
                                  slide.read_region(3, 5, (9, 9)).rgb)  # fmt: skip


def test_no_more_is_said_to_be_resolved_than_the_coarser_side_does(tmp_path: Path) -> None:
    pixels = np.full((128, 128, 3), 200, np.uint8)
    assert open_slide(write_tiff(tmp_path, pixels, (0.5, 1.0))).info.mpp == pytest.approx(1)


def test_little_is_no_matter_and_an_override_is_taken_at_its_word(tmp_path: Path) -> None:
    pixels = np.full((128, 128, 3), 200, np.uint8)
    info = open_slide(write_tiff(tmp_path, pixels, (0.5, 0.505))).info
    assert (info.dimensions, info.warnings, info.stored) == ((128, 128), (), None)
    path = write_tiff(tmp_path, pixels, (0.25, 0.5))
    info = open_slide(path, mpp_override=0.25).info
    assert (info.dimensions, info.mpp) == ((128, 128), 0.25)
    assert any("as you say" in said for said in info.warnings)


@pytest.mark.parametrize("y", [5.0, 0.01, -0.5])
def test_what_no_scanner_has_is_refused(y: float) -> None:
    with pytest.raises(SlideError, match=r"a\.tif records .* cannot be true: pass --mpp-override"):
        square_pixels(Path("a.tif"), 0.5, y, overridden=False)


def test_square_ones_are_not_touched(tmp_path: Path, picture: Pixels) -> None:
    slide = open_slide(write_slide(tmp_path / "a.tif", picture))
    np.testing.assert_array_equal(slide.read_region(1, 2, (99, 88)).rgb, picture[2:90, 1:100])

"""OME-TIFF that OpenSlide does not read as it is meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from contracts.reader import check_reader
from numpy.typing import NDArray
from slide_helpers import shrink

from rl2qc.errors import SlideError
from rl2qc.slides.readers.base import READERS, open_slide, reader_of, scenes_of

pytest.importorskip("imagecodecs", reason="needs the extra ome")

Levels = Sequence[NDArray[np.uint8]]


def write_ome(
    path: Path, levels: Levels, mpp: float | None, *, axes: str = "YXS", **about: Any
) -> Path:
    """A pyramid in sub-files, as OME asks for."""
    metadata = {"axes": axes, **about}
    if mpp is not None:
        sizes = {f"PhysicalSize{a}": mpp for a in "XY"}
        metadata |= sizes | {f"{name}Unit": "µm" for name in sizes}
    kind = {"photometric": "rgb"} if axes.endswith("S") else {"photometric": "minisblack"}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(
            levels[0], subifds=len(levels) - 1, tile=(64, 64), metadata=metadata,
            compression="deflate", **kind,
        )  # fmt: skip
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, tile=(64, 64), compression="deflate", **kind)
    return path


def test_contract(tmp_path: Path) -> None:
    def make(folder: Path, levels: Levels, mpp: float | None) -> Path:
        return write_ome(folder / "slide.ome.tiff", levels, mpp)

    check_reader(READERS.get("ome-tiff"), tmp_path, make)


@pytest.fixture
def pixels(rng: np.random.Generator) -> NDArray[np.uint8]:
    return rng.integers(0, 255, (130, 200, 3), dtype=np.uint8)


@pytest.mark.parametrize("names", [["Red", "Green", "Blue"], ["B", "G", "R"]])
def test_colours_in_pages_of_their_own(
    tmp_path: Path, pixels: NDArray[np.uint8], names: list[str]
) -> None:
    order = [0, 1, 2] if names[0] == "Red" else [2, 1, 0]
    planes = np.ascontiguousarray(pixels[..., order].transpose(2, 0, 1))
    path = write_ome(tmp_path / "a.ome.tif", [planes], 0.5, axes="CYX", Channel={"Name": names})
    with open_slide(path) as slide:
        assert slide.info.vendor == "ome-tiff"
        region = slide.read_region(10, 20, (150, 100))
    np.testing.assert_array_equal(region.rgb, pixels[20:120, 10:160])


def test_other_channels_are_no_stained_slide(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    about = {"Channel": {"Name": ["DAPI", "FITC", "Cy3"]}}
    path = write_ome(tmp_path / "a.ome.tif", [planes], 0.5, axes="CYX", **about)
    with pytest.raises(SlideError, match=r"3 channels \(DAPI, FITC, Cy3\)"):
        open_slide(path)


def test_sixteen_bits_by_what_they_hold(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    deep = pixels.astype(np.uint16) * 16
    for bits, expected in ((12, np.rint(deep * (255 / 4095))), (16, np.rint(deep * (255 / 65535)))):
        about = {"SignificantBits": bits}
        path = write_ome(tmp_path / f"a{bits}.ome.tif", [deep], 0.5, **about)
        region = open_slide(path).read_region(0, 0, (200, 130))
        np.testing.assert_array_equal(region.rgb, np.minimum(expected, 255))


def test_each_of_several_slides_is_one(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = tmp_path / "two.ome.tiff"
    second = pixels[:100, :150] // 2
    about = {f"PhysicalSize{a}": 0.25 for a in "XY"}
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for image, name in ((pixels, "first"), (second, "second"), (shrink(pixels, 8), "label")):
            tiff.write(
                image, photometric="rgb", tile=(64, 64),
                metadata={"axes": "YXS", "Name": name, **about},
            )  # fmt: skip
    scenes = scenes_of(path)
    assert [scene.name for scene in scenes] == ["two.ome.tiff@scene1", "two.ome.tiff@scene2"]
    for scene, image in zip(scenes, (pixels, second), strict=True):
        assert reader_of(scene).files(scene) == [path]
        with open_slide(scene) as slide:
            height, width = image.shape[:2]
            assert (slide.info.dimensions, slide.info.mpp) == ((width, height), 0.25)
            np.testing.assert_array_equal(slide.read_region(0, 0, (width, height)).rgb, image)
    with pytest.raises(SlideError, match="holds 2 slides"):
        open_slide(tmp_path / "two.ome.tiff@scene3")


def test_of_focal_planes_the_middle_one_is_read(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    stack = np.stack([pixels // 4, pixels, pixels // 2])
    path = write_ome(tmp_path / "z.ome.tif", [stack], 0.5, axes="ZYXS")
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, (200, 130)).rgb, pixels)
        assert slide.info.warnings == ("of 3 focal planes the middle one is read",)


def test_what_openslide_reads_well_stays_with_it(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = write_ome(tmp_path / "plain.ome.tif", [pixels], 0.5)
    assert reader_of(path).name == "openslide"

"""CZI, written by Zeiss's own library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from contracts.reader import check_reader
from numpy.typing import NDArray

from rl2qc.errors import SlideError
from rl2qc.slides.readers.base import READERS, open_slide

czi = pytest.importorskip("pylibCZIrw.czi", reason="needs the extra czi")

Levels = Sequence[NDArray[np.uint8]]


def write_czi(path: Path, tiles: Sequence[tuple[NDArray[np.generic], tuple[int, int], int]],
              mpp: float | tuple[float, float] | None) -> Path:  # fmt: skip
    """Pixels, place and scene of each tile; without a pyramid, which the library does not write."""
    x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    with czi.create_czi(str(path)) as document:
        for pixels, place, scene in tiles:
            data = np.ascontiguousarray(pixels[..., ::-1] if pixels.shape[2] == 3 else pixels)
            document.write(data=data, location=place, scene=scene)
        if mpp is None:
            document.write_metadata("slide")
        else:
            document.write_metadata("slide", scale_x=x * 1e-6, scale_y=y * 1e-6)
    return path


@pytest.fixture
def pixels(rng: np.random.Generator) -> NDArray[np.uint8]:
    return rng.integers(0, 255, (130, 200, 3), dtype=np.uint8)


def test_all_scenes_in_one_plane(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    tiles = [(pixels, (-40, 30), 0), (pixels[:60, :80], (220, 200), 1)]
    with open_slide(write_czi(tmp_path / "a.czi", tiles, 0.22)) as slide:
        info = slide.info
        assert (info.dimensions, info.bounds) == ((340, 230), (0, 0, 340, 230))
        assert info.mpp == pytest.approx(0.22)
        assert (info.mpp_source, info.vendor) == ("czi.Scaling", "zeiss")
        whole = slide.read_region(0, 0, (340, 230))
        np.testing.assert_array_equal(whole.rgb[:130, :200], pixels)
        np.testing.assert_array_equal(whole.rgb[170:, 260:], pixels[:60, :80])
        assert (whole.rgb[140:160] == 255).all()
        scanned = 130 * 200 + 60 * 80
        assert whole.valid == pytest.approx(scanned / (340 * 230), abs=0.001)
        overview = slide.read_overview(10)
        assert (overview.valid[:13, :20] == 1).all()
        assert (overview.valid[14:16] == 0).all()


def test_what_is_no_stained_slide(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    grey = np.ascontiguousarray(pixels[..., :1])
    with pytest.raises(SlideError, match="Gray8"):
        open_slide(write_czi(tmp_path / "grey.czi", [(grey, (0, 0), 0)], 0.5))


def test_its_pixels_and_how_it_travels(tmp_path: Path) -> None:
    spec = READERS.get("czi")

    def make(folder: Path, levels: Levels, mpp: float | None) -> Path:
        return write_czi(folder / "slide.czi", [(levels[0], (0, 0), 0)], mpp)

    check_reader(spec, tmp_path, make, pyramid=False)


def test_tiles_in_jpeg_xr_as_scanners_write_them(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    """The library does not write JPEG XR: its tile is put in the place of the plain one."""
    pixels[:] = 40 + pixels[:1, :1] // 2 + np.arange(200, dtype=np.uint8)[:, None] // 3
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the extra ome")
    if not imagecodecs.JPEGXR.available:
        pytest.skip("needs imagecodecs with JPEG XR")
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path), compression_options="uncompressed:") as document:
        document.write(data=np.ascontiguousarray(pixels[..., ::-1]), location=(0, 0))
        document.write_metadata("slide", scale_x=0.22e-6, scale_y=0.22e-6)
    plain = path.read_bytes()
    place = plain.index(pixels[..., ::-1].tobytes())
    coded = imagecodecs.jpegxr_encode(np.ascontiguousarray(pixels), level=100)
    # The formats of pixels that decoders give, 24bppRGB and 24bppBGR; CZI has the latter alone.
    rgb = bytes.fromhex("24c3dd6f034efe4bb1853d77768dc90d")
    assert rgb in coded
    coded = coded.replace(rgb, rgb[:-1] + b"\x0c")
    content = bytearray(plain)
    content[place : place + pixels.nbytes] = coded.ljust(pixels.nbytes, b"\0")[: pixels.nbytes]
    sizes = plain.index(b"ZISRAWSUBBLOCK\0") + 32
    content[sizes + 8 : sizes + 16] = len(coded).to_bytes(8, "little")
    # In the tile's own entry and in the directory's: "DV", pixels of three bytes.
    entry = plain.find(b"DV\x03\0\0\0")
    while entry >= 0:
        content[entry + 18 : entry + 22] = (4).to_bytes(4, "little")
        entry = plain.find(b"DV\x03\0\0\0", entry + 1)
    path.write_bytes(content)
    assert len(coded) <= pixels.nbytes
    with open_slide(path) as slide:
        found = slide.read_region(0, 0, (200, 130)).rgb
    assert np.abs(found.astype(int) - pixels).mean() < 3

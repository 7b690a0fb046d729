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


def test_pixels_that_are_not_square(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(SlideError, match=r"0\.5 x 1 um"):
        open_slide(write_czi(tmp_path / "a.czi", [(pixels, (0, 0), 0)], (0.5, 1.0)))


def test_its_pixels_and_how_it_travels(tmp_path: Path) -> None:
    spec = READERS.get("czi")

    def make(folder: Path, levels: Levels, mpp: float | None) -> Path:
        return write_czi(folder / "slide.czi", [(levels[0], (0, 0), 0)], mpp)

    check_reader(spec, tmp_path, make, pyramid=False)

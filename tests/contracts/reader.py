"""What every reader of slides must hold, whoever wrote it; call :func:`check_reader` in a test."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from slide_helpers import BrightnessModel, shrink

from rl2qc.cohort.filter import filter_cohort
from rl2qc.errors import SlideError
from rl2qc.filtering.slide import filter_slide
from rl2qc.slides.readers.base import (
    READERS,
    ReaderSpec,
    SharedCache,
    SlideReader,
    open_slide,
    reader_of,
)

Levels = Sequence[NDArray[np.uint8]]
MakeSlide = Callable[[Path, Levels, float | None], Path]
WIDTH, HEIGHT, MPP = 512, 384, 0.25


def check_reader(spec: ReaderSpec, place: Path, make: MakeSlide, *, pyramid: bool = True) -> None:
    """Levels, positions, overview, resolution, threads, pickling, what cannot be read, a filter.

    Parameters
    ----------
    spec
        A registered one.
    place
        An empty folder.
    make
        Writes a slide into a folder: pixels (h, w, 3) of each level without loss, finest first,
        each half as large as the one before, and microns per pixel at level 0 (None: not
        recorded); returns what is opened.
    pyramid
        False for a format that no library writes pyramids of: level 0 alone is there.
    """
    assert READERS.get(spec.name) is spec
    rng = np.random.default_rng(0)
    pixels = rng.integers(60, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[..., 1] //= 2  # of tissue
    levels = [pixels, shrink(pixels, 2), shrink(pixels, 4)][: 3 if pyramid else 1]
    path = make(_folder(place / "good"), levels, MPP)
    assert reader_of(path) is spec
    assert path in spec.files(path) or path.is_dir()
    with open_slide(path) as slide:
        _check_info(slide, levels)
        _check_levels(slide, levels)
        _check_resampling(slide, pixels)
        _check_overview(slide, pixels)
        _check_sharing(slide, pixels)
    _check_reopening(path, pixels)
    _check_resolution(make, place, levels)
    _check_broken(path, place)
    _check_filter(path, place / "out", level=int(pyramid))
    assert all(isinstance(v, str) for pair in spec.versions().items() for v in pair)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _check_info(slide: SlideReader, levels: Levels) -> None:
    info = slide.info
    assert info.dimensions == (WIDTH, HEIGHT)
    assert info.level_dimensions == tuple((p.shape[1], p.shape[0]) for p in levels)
    assert info.level_downsamples == (1.0, 2.0, 4.0)[: len(levels)]
    assert info.mpp == pytest.approx(MPP, rel=1e-4)
    assert info.bounds == (0, 0, WIDTH, HEIGHT)
    assert info.vendor and info.mpp_source and info.warnings == ()


def _check_levels(slide: SlideReader, levels: Levels) -> None:
    """Pixels are those of the file, wherever and of whatever level; outside is background."""
    for level, pixels in enumerate(levels):
        for x, y, width, height in ((0, 0, 40, 30), (31, 17, 33, 21), (70, 60, 26, 36)):
            corner = (x << level, y << level)
            region = slide.read_region(*corner, (width, height), level=level)
            np.testing.assert_array_equal(region.rgb, pixels[y : y + height, x : x + width])
            assert (region.rgb.dtype, region.valid) == (np.uint8, 1.0)
    region = slide.read_region(WIDTH - 10, HEIGHT - 10, (20, 20))
    np.testing.assert_array_equal(region.rgb[:10, :10], levels[0][-10:, -10:])
    assert (region.rgb[10:] == slide.info.background).all()
    assert region.valid == pytest.approx(0.25)


def _check_resampling(slide: SlideReader, pixels: NDArray[np.uint8]) -> None:
    region = slide.read_region(64, 32, (50, 40), level=0, scale=2.0)
    assert region.rgb.shape == (40, 50, 3)
    expected = shrink(pixels[32:112, 64:164], 2).astype(float)
    assert np.abs(region.rgb.astype(float) - expected).mean() < 20
    assert region.rgb.mean() == pytest.approx(expected.mean(), abs=2)


def _check_overview(slide: SlideReader, pixels: NDArray[np.uint8]) -> None:
    overview = slide.read_overview(8)
    assert overview.rgb.shape == (HEIGHT // 8, WIDTH // 8, 3)
    assert overview.downsample == (8.0, 8.0)
    assert overview.readable.all() and (overview.valid == 1).all()
    assert np.abs(overview.rgb.astype(int) - shrink(pixels, 8)).max() <= 2


def _check_sharing(slide: SlideReader, pixels: NDArray[np.uint8]) -> None:
    """Threads share it, and it travels."""
    corners = [(x, y) for y in range(0, HEIGHT, 64) for x in range(0, WIDTH, 64)] * 4

    def read(corner: tuple[int, int]) -> NDArray[np.uint8]:
        return slide.read_region(*corner, (64, 64)).rgb

    with ThreadPoolExecutor(4) as pool:
        for (x, y), rgb in zip(corners, pool.map(read, corners), strict=True):
            np.testing.assert_array_equal(rgb, pixels[y : y + 64, x : x + 64])
    other = pickle.loads(pickle.dumps(slide))
    assert other.info == slide.info
    np.testing.assert_array_equal(other.read_region(0, 0, (8, 8)).rgb, pixels[:8, :8])


def _check_reopening(path: Path, pixels: NDArray[np.uint8]) -> None:
    cache = SharedCache()
    for _ in range(2):
        slide = open_slide(path, cache=cache)
        np.testing.assert_array_equal(slide.read_region(8, 8, (8, 8)).rgb, pixels[8:16, 8:16])
        slide.close()
        slide.close()


def _check_resolution(make: MakeSlide, place: Path, levels: Levels) -> None:
    """Recorded, given in its place, missing, or absurd."""
    blind = make(_folder(place / "blind"), levels, None)
    with pytest.raises(SlideError, match="--mpp-override"):
        open_slide(blind)
    info = open_slide(blind, mpp_override=0.4).info
    assert (info.mpp, info.mpp_source, info.warnings) == (0.4, "override", ())
    other = make(_folder(place / "other"), levels, MPP)
    assert any("0.5 is taken" in said for said in open_slide(other, mpp_override=0.5).info.warnings)
    with pytest.raises(SlideError, match="cannot be true"):
        open_slide(make(_folder(place / "absurd"), levels, 352.8))


def _check_broken(path: Path, place: Path) -> None:
    """What is gone, empty or cut short is refused in one line that names it."""
    if path.is_dir():
        return
    empty = place / f"empty{path.suffix}"
    empty.write_bytes(b"")
    short = place / f"short{path.suffix}"
    short.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    for broken in (place / f"gone{path.suffix}", empty, short):
        with pytest.raises(SlideError) as caught:
            open_slide(broken).read_overview(1)
        assert "\n" not in str(caught.value)
        assert broken.name in str(caught.value)


def _check_filter(path: Path, out: Path, level: int) -> None:
    """The whole way: found by its folder, filtered, shown, and found done."""
    model = BrightnessModel(64, 2 * MPP)
    result = filter_cohort(path.parent, out, model, formats=["csv", "tiles", "overlay"])
    (row,) = result.rows
    assert (row.status, row.level, row.tiles) == ("done", level, 12)
    assert result.report is not None
    table = filter_slide(path, model)
    np.testing.assert_array_equal(table.x, result.tables[row.name].x)
    assert len(model.batches) == 2
    filter_cohort(path.parent, out, model, formats=["csv", "tiles", "overlay"])
    assert len(model.batches) == 2

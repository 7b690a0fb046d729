"""TIFF files that say of their tiles what cannot be true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from slide_helpers import BrightnessModel, FakeHandle, tissue_like, write_slide

from rl2qc.cohort.filter import filter_cohort
from rl2qc.errors import SlideError
from rl2qc.slides.readers._openslide_properties import describe_slide
from rl2qc.slides.readers._tiff_geometry import check_geometry, is_ndpi
from rl2qc.slides.readers.base import is_slide, open_slide

WIDTH, LENGTH, TILE_WIDTH, TILE_LENGTH, COUNTS = 256, 257, 322, 323, 325
SIZES = {3: 2, 4: 4, 16: 8}


def alter(path: Path, tag: int, value: int, page: int = 0) -> Path:
    """Put another number into a tag of a page; of several numbers, into the first."""
    with tifffile.TiffFile(path) as tiff:
        found = tiff.pages[page].aspage().tags[tag]
        order, place, size = tiff.byteorder, found.valueoffset, SIZES[int(found.dtype)]
    content = bytearray(path.read_bytes())
    content[place : place + size] = value.to_bytes(size, "little" if order == "<" else "big")
    path.write_bytes(content)
    return path


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, **options: object) -> Path:
        pixels = tissue_like(np.random.default_rng(0), 320, 256)
        path = tmp_path / name
        if not options:
            return write_slide(path, pixels, levels=2)
        tifffile.imwrite(path, pixels, tile=(64, 64), photometric="rgb", resolution=(2e4, 2e4),
                         resolutionunit="CENTIMETER", **options)  # fmt: skip
        return path

    return write


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        (TILE_LENGTH, 1_375_731_840, "its tiles have 64 x 1375731840 px"),
        (TILE_WIDTH, 2**32 - 16, "its tiles have 4294967280 x 64 px"),
        (TILE_WIDTH, 0, "its tiles have 0 x 64 px"),
        (WIDTH, 2**31, "it has 2147483648 x 320 px"),
        (LENGTH, 16_000_000, "it has 1000000 tiles, and it lists 20"),
        (WIDTH, 0, "it has 0 x 320 px"),
        (COUNTS, 2**32 - 1, "one of its tiles takes 4294967295 of its"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    make: Callable[..., Path], tag: int, value: int, said: str
) -> None:
    for options in ({}, {"bigtiff": True}, {"byteorder": ">"}):
        path = make("case.tif", **options)
        with tifffile.TiffFile(path) as tiff:
            size = SIZES[int(tiff.pages[0].aspage().tags[tag].dtype)]
        if size < 4:
            continue  # it has no room for the number
        alter(path, tag, value)
        with pytest.raises(SlideError, match=rf"case\.tif cannot be opened .*{said}"):
            check_geometry(path)
        assert is_slide(path)
        with pytest.raises(SlideError, match=said):
            open_slide(path)


def test_a_second_page_counts_as_well(make: Callable[..., Path]) -> None:
    path = alter(make("case.svs"), TILE_LENGTH, 1_375_731_840, page=1)
    with pytest.raises(SlideError, match=r"page 2\)"):
        open_slide(path)


def test_good_ones_pass_and_what_is_cut_short(make: Callable[..., Path], tmp_path: Path) -> None:
    for options in ({}, {"bigtiff": True}, {"byteorder": ">"}, {"planarconfig": "contig"}):
        path = make("case.tif", **options)
        check_geometry(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        check_geometry(path)
    for content in (b"", b"II*\0", b"no TIFF", b"II*\0" + b"\xff" * 100):
        (tmp_path / "odd.tif").write_bytes(content)
        check_geometry(tmp_path / "odd.tif")


@pytest.mark.parametrize("given", ["files", "folder"])
def test_it_fails_among_good_ones(make: Callable[..., Path], tmp_path: Path, given: str) -> None:
    place = tmp_path / "slides"
    place.mkdir()
    for name in ("a.tif", "b.tif", "c.tif"):
        make(name).rename(place / name)
    alter(place / "b.tif", TILE_LENGTH, 1_375_731_840)
    inputs = place if given == "folder" else sorted(place.iterdir())
    result = filter_cohort(inputs, tmp_path / "out", BrightnessModel())
    assert [(row.name, row.status) for row in result.rows] == [
        ("a", "done"), ("b", "failed"), ("c", "done"),
    ]  # fmt: skip
    assert "b.tif" in result.rows[1].error


def test_a_name_does_not_tell_what_a_file_is(make: Callable[..., Path], tmp_path: Path) -> None:
    plain = make("a.tif", metadata=None)
    renamed = plain.rename(tmp_path / "a.ndpi")
    assert not is_ndpi(renamed)
    check_geometry(renamed)
    with open_slide(renamed) as slide:
        assert slide.info.dimensions == (256, 320)
    with pytest.raises(SlideError, match="its tiles have 64 x 1375731840 px"):
        open_slide(alter(make("c.tif"), TILE_LENGTH, 1_375_731_840).rename(renamed))
    own = make("b.tif", metadata=None, extratags=[(65420, 4, 1, 1, True)])
    assert is_ndpi(own)
    # Beyond 4 GiB, where the offset takes eight bytes; the file has a hole.
    far, place = tmp_path / "far.tif", 2**32 + 16
    with far.open("wb") as opened:
        opened.write(b"II*\0" + place.to_bytes(8, "little"))
        opened.seek(place)
        opened.write((1).to_bytes(2, "little") + (65420).to_bytes(2, "little") + bytes(10))
    assert is_ndpi(far)


def test_sides_that_no_slide_has_in_any_format() -> None:
    endless = np.broadcast_to(np.zeros(3, np.uint8), (5, 2**24 + 1, 3))
    with pytest.raises(SlideError, match=r"a\.dcm says that it has 16777217 x 5 px"):
        describe_slide(FakeHandle(endless, {}), Path("a.dcm"), 0.5)


def _too_much(*_: object) -> None:
    raise MemoryError


def test_more_memory_than_there_is_is_an_error_of_the_slide(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tif", np.full((128, 128, 3), 99, np.uint8))
    reader = open_slide(path)
    with pytest.raises(SlideError, match="more memory than there is"):
        reader._call(_too_much)

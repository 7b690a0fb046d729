from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from contracts.reader import Levels, check_reader
from PIL import Image, ImageCms
from slide_helpers import FakeHandle, damage, shrink, write_slide

from rl2qc.errors import SlideError
from rl2qc.slides.readers import openslide as reader
from rl2qc.slides.readers import pyramid
from rl2qc.slides.readers.base import READERS
from rl2qc.slides.readers.openslide import OpenSlideReader
from rl2qc.slides.readers.pyramid import on_background


def test_contract(tmp_path: Path) -> None:
    def make(folder: Path, levels: Levels, mpp: float | None) -> Path:
        return write_slide(folder / "case.tif", levels[0], levels=len(levels), mpp=mpp)

    check_reader(READERS.get("openslide"), tmp_path, make)


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (256, 320, 3), dtype=np.uint8)


def test_pixels_are_those_of_the_file(tmp_path: Path, pixels: np.ndarray) -> None:
    with OpenSlideReader(write_slide(tmp_path / "a.tif", pixels, levels=2)) as slide:
        assert slide.info.dimensions == (320, 256)
        assert slide.info.level_downsamples == (1.0, 2.0)
        region = slide.read_region(70, 30, (100, 90))
        np.testing.assert_array_equal(region.rgb, pixels[30:120, 70:170])
        assert region.valid == 1.0
        region = slide.read_region(64, 32, (50, 40), level=1)
        np.testing.assert_array_equal(region.rgb, shrink(pixels, 2)[16:56, 32:82])


def test_resampling_keeps_positions(tmp_path: Path) -> None:
    # A linear ramp has its own value at every position, whatever the filter.
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3)).copy()
    with OpenSlideReader(write_slide(tmp_path / "a.tif", ramp)) as slide:
        region = slide.read_region(64, 64, (64, 40), scale=1.7)
    expected = 64 + (np.arange(64) + 0.5) * 1.7 - 0.5
    inner = np.s_[4:-4]
    assert np.abs(region.rgb[:, inner, 0] - expected[inner]).max() <= 1


def test_overview_is_the_block_mean(tmp_path: Path, pixels: np.ndarray) -> None:
    with OpenSlideReader(write_slide(tmp_path / "a.tif", pixels)) as slide:
        overview = slide.read_overview(8)
    assert overview.downsample == (8.0, 8.0)
    assert overview.readable.all()
    assert (overview.valid == 1).all()
    difference = overview.rgb.astype(int) - shrink(pixels, 8)
    assert np.abs(difference).max() <= 1


def test_overview_does_not_depend_on_its_blocks(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OpenSlideReader(write_slide(tmp_path / "a.tif", pixels)) as slide:
        whole = slide.read_overview(5)
        monkeypatch.setattr(pyramid, "_BLOCK", 50)
        parts = slide.read_overview(5)
    assert whole.rgb.shape == parts.rgb.shape == (51, 64, 3)
    assert whole.downsample[1] != int(whole.downsample[1])  # blocks begin between pixels
    assert np.abs(whole.rgb.astype(int) - parts.rgb).max() <= 1


def test_what_was_not_scanned_is_background(fake_slide: Callable[..., Path]) -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[:, :16] = (10, 20, 30, 255)
    path = fake_slide(rgba, {"openslide.background-color": "F0E1D2"})
    region = OpenSlideReader(path).read_region(0, 0, (64, 64))
    assert (region.rgb[:, :16] == (10, 20, 30)).all()
    assert (region.rgb[:, 16:] == (0xF0, 0xE1, 0xD2)).all()
    assert region.valid == 0.25
    overview = OpenSlideReader(path).read_overview(16)
    assert (overview.valid == [[1, 0, 0, 0]] * 4).all()
    assert (overview.rgb[:, 1:] == (0xF0, 0xE1, 0xD2)).all()


def test_half_transparent_pixels_are_mixed(rng: np.random.Generator) -> None:
    rgba = rng.integers(0, 256, (20, 20, 4), dtype=np.uint8)
    rgb, alpha = on_background(Image.fromarray(rgba), (200, 100, 0))
    share = rgba[..., 3:] / 255
    expected = rgba[..., :3] * share + np.array([200, 100, 0]) * (1 - share)
    assert np.abs(np.asarray(rgb) - expected).max() <= 1
    np.testing.assert_array_equal(np.asarray(alpha), rgba[..., 3])


def test_icc_profile_is_left_behind() -> None:
    for alpha in (255, 100):
        layer = Image.new("RGBA", (4, 4), (1, 2, 3, alpha))
        layer.info["icc_profile"] = b"profile"
        assert "icc_profile" not in on_background(layer, (255, 255, 255))[0].info


def test_an_odd_background_colour_is_white(fake_slide: Callable[..., Path]) -> None:
    path = fake_slide(np.zeros((64, 64, 3), np.uint8), {"openslide.background-color": "beige?"})
    assert OpenSlideReader(path).info.background == (255, 255, 255)


def test_bounds_limit_the_overview(
    fake_slide: Callable[..., Path], rng: np.random.Generator
) -> None:
    pixels = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    names = ("x", "y", "width", "height")
    bounds = {f"openslide.bounds-{n}": str(v) for n, v in zip(names, (32, 16, 64, 96), strict=True)}
    slide = OpenSlideReader(fake_slide(pixels, bounds))
    assert slide.info.bounds == (32, 16, 64, 96)
    difference = slide.read_overview(4).rgb.astype(int) - shrink(pixels[16:112, 32:96], 4)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("value", ["-5", "nan", "500", "x"])
def test_odd_bounds_do_no_harm(fake_slide: Callable[..., Path], value: str) -> None:
    bounds = {f"openslide.bounds-{n}": value for n in ("x", "y", "width", "height")}
    slide = OpenSlideReader(fake_slide(np.zeros((64, 64, 3), np.uint8), bounds))
    x, y, width, height = slide.info.bounds
    assert 0 <= x < x + width <= 64
    assert 0 <= y < y + height <= 64


# ---------------------------------------------------------------- resolution


@pytest.mark.parametrize("unit", ["CENTIMETER", "INCH"])
def test_mpp_of_the_file(tmp_path: Path, pixels: np.ndarray, unit: str) -> None:
    info = OpenSlideReader(write_slide(tmp_path / "a.tif", pixels, mpp=0.25, unit=unit)).info
    assert info.mpp == pytest.approx(0.25, rel=1e-4)


def test_mpp_override(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_slide(tmp_path / "a.tif", pixels, mpp=0.25)
    info = OpenSlideReader(path, mpp_override=0.4).info
    assert (info.mpp, info.mpp_source) == (0.4, "override")


@pytest.mark.parametrize(
    ("override", "warned"), [(0.25, False), (0.26, False), (0.27, True), (0.5, True)]
)
def test_an_override_that_contradicts_the_slide_is_said(
    tmp_path: Path, pixels: np.ndarray, override: float, warned: bool
) -> None:
    path = write_slide(tmp_path / "a.tif", pixels, mpp=0.25)
    said = f"the slide records 0.25 um/px, and {override:g} is taken in its place"
    warnings = OpenSlideReader(path, mpp_override=override).info.warnings
    assert warnings == ((said,) if warned else ())


@pytest.mark.parametrize("mpp", [None, 25400 / 72])
def test_an_override_of_nothing_needs_no_word(
    tmp_path: Path, pixels: np.ndarray, mpp: float | None
) -> None:
    path = write_slide(tmp_path / "a.tif", pixels, mpp=mpp, unit="INCH")
    assert OpenSlideReader(path, mpp_override=0.5).info.warnings == ()


def test_no_mpp_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_slide(tmp_path / "a.tif", pixels, mpp=None)
    with pytest.raises(SlideError, match=r"a\.tif has no mpp: pass --mpp-override MPP"):
        OpenSlideReader(path)
    assert OpenSlideReader(path, mpp_override=0.5).info.mpp == 0.5


def test_a_printers_resolution_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_slide(tmp_path / "a.tif", pixels, mpp=25400 / 72, unit="INCH")
    with pytest.raises(SlideError, match="cannot be true"):
        OpenSlideReader(path)


def test_the_tags_of_a_tiff_tell_of_pixels_that_are_not_square(tmp_path: Path) -> None:
    pixels = np.full((256, 256, 3), 200, np.uint8)
    for unit, per_unit in (("CENTIMETER", 1e4), ("INCH", 25400.0)):
        tifffile.imwrite(
            tmp_path / "a.tif", pixels, tile=(64, 64), photometric="rgb",
            resolution=(per_unit / 0.5, per_unit / 1.0), resolutionunit=unit,
        )  # fmt: skip
        info = OpenSlideReader(tmp_path / "a.tif").info
        assert (info.mpp, info.stretch) == (pytest.approx(1.0), pytest.approx((2.0, 1.0)))


@pytest.mark.parametrize(("mpp", "refused"), [(0.025, True), (0.05, True), (0.08, False)])
def test_a_resolution_that_is_too_fine(tmp_path: Path, mpp: float, refused: bool) -> None:
    path = write_slide(tmp_path / "a.tif", np.full((256, 256, 3), 200, np.uint8), mpp=mpp)
    if refused:
        with pytest.raises(SlideError, match=f"records {mpp:g} um/px .*cannot be true"):
            OpenSlideReader(path)
    else:
        assert f"records {mpp:g} um/px" in OpenSlideReader(path).info.warnings[0]
    assert OpenSlideReader(path, mpp_override=0.5).info.mpp == 0.5


def write_pages(path: Path, *pages: np.ndarray, **options: object) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for page in pages:
            tiff.write(page, tile=(64, 64), resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
                       metadata=None, **options)  # fmt: skip
    return path


def test_a_second_image_of_full_resolution_is_said(tmp_path: Path) -> None:
    a, b = (np.full((side, 256, 3), 200, np.uint8) for side in (320, 256))
    two = write_pages(tmp_path / "two.tif", a, b, photometric="rgb")
    assert "2 images of full resolution" in OpenSlideReader(two).info.warnings[0]
    # A level that its writer did not mark is none.
    one = write_pages(tmp_path / "one.tif", a, a[::2, ::2].copy(), photometric="rgb")
    assert OpenSlideReader(one).info.warnings == ()


def test_channels_that_are_pages_are_refused(tmp_path: Path) -> None:
    grey = np.full((256, 256), 200, np.uint8)
    path = write_pages(tmp_path / "planes.tif", grey, grey, grey, photometric="minisblack")
    with pytest.raises(SlideError, match=r"planes\.tif holds 3 pages or channels of one colour"):
        OpenSlideReader(path)
    single = write_pages(tmp_path / "grey.tif", grey, photometric="minisblack")
    assert "single channel" in OpenSlideReader(single).info.warnings[0]


# ---------------------------------------------------------------- damage


def test_a_failed_read_does_not_end_the_slide(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_slide(tmp_path / "a.tif", pixels)
    damage(path, 6)  # row 1, column 1 of 5 blocks a row
    slide = OpenSlideReader(path)
    with pytest.raises(SlideError) as caught:
        slide.read_region(64, 64, (64, 64))
    assert "\n" not in str(caught.value)
    assert "x 64, y 64" in str(caught.value)
    assert slide.info.dimensions == (320, 256)
    np.testing.assert_array_equal(slide.read_region(0, 0, (64, 64)).rgb, pixels[:64, :64])


def test_a_failed_read_does_not_slow_the_others(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_slide(tmp_path / "a.tif", pixels)
    damage(path, 6)
    slide = OpenSlideReader(path)
    with pytest.raises(SlideError):
        slide.read_region(64, 64, (64, 64))
    opened, plain = [], reader._open
    monkeypatch.setattr(reader, "_open", lambda file: opened.append(file) or plain(file))
    for _ in range(5):
        slide.read_region(0, 0, (64, 64))
    assert len(opened) == 1


def test_threads_share_a_damaged_slide(tmp_path: Path, pixels: np.ndarray) -> None:
    path = write_slide(tmp_path / "a.tif", pixels)
    bad = {(64, 64), (192, 128)}
    damage(path, 6)
    damage(path, 13)
    slide = OpenSlideReader(path)

    def read(corner: tuple[int, int]) -> np.ndarray | None:
        try:
            return slide.read_region(*corner, (64, 64)).rgb
        except SlideError:
            return None

    corners = [(x, y) for y in range(0, 256, 64) for x in range(0, 320, 64)] * 10
    with ThreadPoolExecutor(4) as pool:
        for (x, y), rgb in zip(corners, pool.map(read, corners), strict=True):
            if (x, y) in bad:
                assert rgb is None
            else:
                np.testing.assert_array_equal(rgb, pixels[y : y + 64, x : x + 64])


def test_overview_marks_what_it_cannot_read(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_slide(tmp_path / "a.tif", pixels)
    damage(path, 6)
    monkeypatch.setattr(pyramid, "_BLOCK", 64)
    overview = OpenSlideReader(path).read_overview(8)
    expected = np.ones((32, 40), bool)
    expected[8:16, 8:16] = False
    np.testing.assert_array_equal(overview.readable, expected)


def test_reader_pickles_as_its_path(tmp_path: Path, pixels: np.ndarray) -> None:
    slide = OpenSlideReader(write_slide(tmp_path / "a.tif", pixels), mpp_override=0.3)
    other = pickle.loads(pickle.dumps(slide))
    assert other.info == slide.info
    np.testing.assert_array_equal(other.read_region(0, 0, (8, 8)).rgb, pixels[:8, :8])


def test_a_closed_reader_opens_again(tmp_path: Path, pixels: np.ndarray) -> None:
    slide = OpenSlideReader(write_slide(tmp_path / "a.tif", pixels))
    slide.close()
    np.testing.assert_array_equal(slide.read_region(0, 0, (8, 8)).rgb, pixels[:8, :8])


@pytest.mark.parametrize("content", [b"", b"no slide", None])
def test_what_is_no_slide(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.svs"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SlideError, match=r"a\.svs cannot be opened as a slide") as caught:
        OpenSlideReader(path)
    assert "\n" not in str(caught.value)


def test_a_tiff_without_tiles(tmp_path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    with pytest.raises(SlideError, match=r"TIFF without tiles: .*vips tiffsave"):
        OpenSlideReader(tmp_path / "a.tif")
    # One with tiles, of which a part is missing, is told apart.
    content = write_slide(tmp_path / "b.tif", pixels).read_bytes()
    (tmp_path / "b.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(SlideError) as caught:
        OpenSlideReader(tmp_path / "b.tif").read_overview(1)
    assert "without tiles" not in str(caught.value)


def test_a_folder_without_dicom(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="without a DICOM slide"):
        OpenSlideReader(tmp_path)


# ---------------------------------------------------------------- real slides


def test_real_slides_open(shared_data: Path) -> None:
    info = OpenSlideReader(shared_data / "slides" / "CMU-1-Small-Region.svs").info
    assert (info.vendor, info.dimensions, info.mpp) == ("aperio", (2220, 2967), 0.499)
    folder = shared_data / "slides" / "CMU-1-dicom"
    by_folder, by_file = (
        OpenSlideReader(folder).info,
        OpenSlideReader(sorted(folder.iterdir())[0]).info,
    )
    assert by_folder == by_file
    assert (by_folder.vendor, by_folder.dimensions) == ("dicom", (2220, 2967))


def test_real_slide_without_mpp(shared_data: Path) -> None:
    path = shared_data / "slides" / "TCGA-CR-7395-01A-01-TS1.svs"
    with pytest.raises(SlideError, match="--mpp-override"):
        OpenSlideReader(path)
    assert OpenSlideReader(path, mpp_override=0.25).info.dimensions == (4443, 3567)


@pytest.mark.parametrize("name", ["truncated.svs", "unopenable.tiff", "unreadable.svs"])
def test_broken_slides_are_refused(shared_data: Path, name: str) -> None:
    with pytest.raises(SlideError) as caught:
        OpenSlideReader(shared_data / "slides" / "broken" / name).read_overview(1)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


# ---------------------------------------------------------------- colour profiles


def swapped_profile() -> ImageCms.ImageCmsProfile:
    """sRGB whose red and blue primaries changed places."""
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swap = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}
    table = bytearray(content)
    for i in range(int.from_bytes(content[128:132], "big")):
        at = 132 + 12 * i
        table[at : at + 4] = swap.get(content[at : at + 4], content[at : at + 4])
    return ImageCms.ImageCmsProfile(io.BytesIO(bytes(table)))


def test_colours_go_through_the_profile_if_asked(
    fake_slide: Callable[..., Path], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = rng.integers(0, 256, (64, 64, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[:8, :, 3] = 0
    path = fake_slide(pixels)
    monkeypatch.setattr(FakeHandle, "color_profile", swapped_profile(), raising=False)
    plain = OpenSlideReader(path).read_region(0, 0, (64, 64)).rgb
    opened = OpenSlideReader(path, icc=True)
    for same in (opened, pickle.loads(pickle.dumps(opened))):
        turned = same.read_region(0, 0, (64, 64)).rgb
        assert np.abs(turned[8:].astype(int) - plain[8:, :, ::-1]).max() <= 2
        # The background is not the scanner's.
        assert (turned[:8] == 255).all()
    assert opened.info.warnings == ()


def test_a_slide_without_a_profile_says_so(
    fake_slide: Callable[..., Path], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = fake_slide(pixels)
    monkeypatch.setattr(FakeHandle, "color_profile", None, raising=False)
    opened = OpenSlideReader(path, icc=True)
    np.testing.assert_array_equal(opened.read_region(0, 0, (64, 64)).rgb, pixels)
    assert "no ICC profile" in opened.info.warnings[0]


def test_a_profile_that_cannot_be_used(
    fake_slide: Callable[..., Path], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake_slide(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    grey = ImageCms.createProfile("LAB")
    monkeypatch.setattr(FakeHandle, "color_profile", grey, raising=False)
    with pytest.raises(SlideError, match="leave out --icc"):
        OpenSlideReader(path, icc=True)
    OpenSlideReader(path)


@pytest.mark.parametrize(
    ("properties", "scanner"),
    [
        ({"tiff.Make": "Leica", "tiff.Model": "Leica GT450"}, "Leica GT450"),
        ({"aperio.ScanScope ID": "SS1234", "openslide.vendor": "aperio"}, "aperio"),
        ({"tiff.Make": "Leica", "tiff.Model": "GT450 SS1234", "aperio.ScanScope ID": "SS1234"},
         "Leica GT450"),
        ({"hamamatsu.Product": "C13220", "hamamatsu.SerialNumber": "000412"}, "C13220"),
        ({"hamamatsu.Product": "C13220-000412", "hamamatsu.S/N Serial": "000412"}, "C13220-"),
        ({"ventana.ScannerModel": "DP 600", "ventana.UnitNumber": "2000515"}, "DP 600"),
        ({"dicom.Manufacturer": "Leica", "dicom.ManufacturerModelName": "Aperio GT450",
          "dicom.DeviceSerialNumber": "SS45"}, "Leica Aperio GT450"),
        ({"philips.DICOM_MANUFACTURER": "PHILIPS", "philips.DICOM_DEVICE_SERIAL_NUMBER": "FMT0227"},
         "PHILIPS"),
        ({"openslide.vendor": "mirax"}, "mirax"),
        ({}, ""),
    ],
)  # fmt: skip
def test_the_scanner(
    fake_slide: Callable[..., Path], properties: dict[str, str], scanner: str
) -> None:
    path = fake_slide(np.zeros((8, 8, 3), np.uint8), properties)
    assert OpenSlideReader(path).info.scanner == scanner

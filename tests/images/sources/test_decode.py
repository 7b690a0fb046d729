"""The one way in which a picture becomes pixels: turns, depths, pages, and files that lie."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from rl2qc.errors import ImageError
from rl2qc.images.sources.base import as_source, open_images, read_named
from rl2qc.images.sources.decode import (
    about_image,
    read_cutout,
    read_image,
    read_mask,
    read_picture,
)
from rl2qc.images.sources.exclusion import Exclusion


@pytest.fixture
def pixels(stained):
    image = stained(1, 96, seed=3)[0][:, :80].copy()
    image[0, 0] = 255
    return image


def save_turned(path: Path, pixels: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    options = {".webp": {"lossless": True}, ".jpg": {"quality": 98, "subsampling": 0}}
    Image.fromarray(pixels).save(path, exif=exif, **options.get(path.suffix, {}))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_read_as_viewers_show_them(tmp_path, pixels, suffix, orientation):
    save_turned(tmp_path / f"a{suffix}", pixels, orientation)
    save_turned(tmp_path / "oracle.png", pixels, orientation)
    with Image.open(tmp_path / "oracle.png") as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"), np.int16)
    found, about = read_picture(tmp_path / f"a{suffix}")
    assert np.abs(found - expected).max() <= (25 if suffix == ".jpg" else 0)
    assert (about.turned, about.height, about.width) == (orientation, *expected.shape[:2])
    assert about_image(tmp_path / f"a{suffix}") == about


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_deep_pictures_are_turned_as_well(tmp_path, pixels, orientation):
    tag = [(274, "H", 1, orientation, True)]
    deep = pixels.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", extratags=tag)
    save_turned(tmp_path / "b.png", pixels, orientation)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), read_image(tmp_path / "b.png"))


def write_deep(path: Path, values: np.ndarray, kind: str) -> Path:
    """Three channels of 16 bits in a file."""
    if kind == "planar.tif":
        planes = np.ascontiguousarray(np.moveaxis(values, -1, 0))
        tifffile.imwrite(path / kind, planes, photometric="rgb", planarconfig="separate")
    elif kind == "tiled.tif":
        tifffile.imwrite(path / kind, values, photometric="rgb", tile=(16, 16), compression="zlib")
    elif kind == "strips.tif":
        tifffile.imwrite(path / kind, values, photometric="rgb")
    else:
        cv2.imwrite(str(path / kind), values[..., ::-1])
    return path / kind


KINDS = ["a.png", "a.ppm", "strips.tif", "tiled.tif", "planar.tif"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deep_pictures_are_scaled_by_what_they_hold(tmp_path, pixels, kind, bits):
    white = 2**bits - 1
    values = np.round(pixels * (white / 255)).astype(np.uint16)
    found, about = read_picture(write_deep(tmp_path, values, kind))
    np.testing.assert_array_equal(found, pixels)
    assert (about.bits, about.white) == (16, white)
    notes = as_source([tmp_path / kind], 64).warnings
    assert [f"{white} is taken for white" in note for note in notes] == ([True] * (bits < 16))


def test_what_a_file_says_of_its_depth_goes_before(tmp_path, pixels):
    """A dark picture that says that it is of 16 bits stays dark."""
    values = pixels.astype(np.uint16) * 10
    tifffile.imwrite(
        tmp_path / "a.tif", values, photometric="rgb", extratags=[(281, "H", 3, (65535,) * 3, True)]
    )
    expected = np.round(values * (255 / 65535)).astype(np.uint8)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), expected)


def test_greys_fractions_and_transparency_of_many_bits(tmp_path, pixels):
    grey = pixels[..., 0]
    grey[0, 0] = 255
    expected = np.repeat(grey[..., None], 3, axis=2)
    tifffile.imwrite(tmp_path / "white0.tif", 65535 - grey.astype(np.uint16) * 257,
                     photometric="miniswhite")  # fmt: skip
    tifffile.imwrite(tmp_path / "float.tif", (grey / 255).astype(np.float32))
    cv2.imwrite(str(tmp_path / "a.pgm"), grey.astype(np.uint16) * 257)
    for name in ("white0.tif", "float.tif", "a.pgm"):
        np.testing.assert_array_equal(read_image(tmp_path / name), expected)
    alpha = np.full((*grey.shape, 1), 65535, np.uint16)
    alpha[:10] = 0
    layer = np.concatenate([pixels[..., ::-1].astype(np.uint16) * 257, alpha], axis=2)
    cv2.imwrite(str(tmp_path / "alpha.png"), layer)
    found = read_image(tmp_path / "alpha.png")
    assert (found[:10] == 255).all()
    np.testing.assert_array_equal(found[10:], pixels[10:])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((80, 80), np.nan, np.float32), "are no numbers"),
        (np.full((80, 80), -1, np.int32), "bring them to 8 or 16"),
        (np.full((80, 80), 70_000, np.uint32), "bring them to 8 or 16"),
        (np.full((80, 80, 3), 0.5, np.float32), "a TIFF of 3 channels of float32"),
        (np.full((3, 80, 80), 100, np.uint8), "3 pages of one channel each"),
    ],
)
def test_what_is_no_picture_of_colours_is_named(tmp_path, values, said):
    photometric = "rgb" if values.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "odd.tif", values, photometric=photometric)
    with pytest.raises(ImageError, match=rf"odd\.tif .*{said}"):
        read_image(tmp_path / "odd.tif")


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize("options", [{}, {"tile": (64, 64)}, {"compression": "zlib"}])
def test_each_page_of_a_stack_is_an_image(tmp_path, stained, options):
    images = stained(4, 80)
    with tifffile.TiffWriter(tmp_path / "stack.tif") as tiff:
        for image in images[:3]:
            tiff.write(image, photometric="rgb", metadata=None, **options)
        tiff.write(images[3][::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
    source = as_source(tmp_path, 64)
    assert [Path(name).name for name in source.names] == [f"stack.tif@page{i}" for i in (1, 2, 3)]
    for row, image in enumerate(images[:3]):
        np.testing.assert_array_equal(source.items[row], image)
        np.testing.assert_array_equal(read_named(source.names[row]), image)
    assert len({source.digest(row) for row in range(3)}) == 3
    assert ["1 smaller copies" in warning for warning in source.warnings] == [True]


def test_a_file_whose_name_looks_like_a_page(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.tif@page2", format="PNG")
    np.testing.assert_array_equal(read_named(tmp_path / "a.tif@page2"), pixels)
    with pytest.raises(ImageError, match="no such image"):
        read_named(tmp_path / "b.tif@page2")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_of_a_film_the_first_frame_is_read_and_that_is_said(tmp_path, pixels, suffix):
    frames = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    source = as_source(tmp_path, 64)
    assert len(source) == 1
    assert "2 frames, of which the first is read" in source.warnings[0]


# ---------------------------------------------------------------- masks and cut-outs


def test_masks_and_cutouts_are_turned_and_keep_their_numbers(tmp_path, pixels):
    labels = (pixels[..., 0] // 64).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(labels).save(tmp_path / "m.png", exif=exif)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), np.rot90(labels, -1))
    cv2.imwrite(str(tmp_path / "deep.png"), labels.astype(np.uint16) * 300)
    np.testing.assert_array_equal(read_mask(tmp_path / "deep.png"), labels.astype(np.uint16) * 300)
    layer = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    Image.fromarray(layer).save(tmp_path / "c.png", exif=exif)
    np.testing.assert_array_equal(read_cutout(tmp_path / "c.png"), np.rot90(layer, -1))
    stack = np.stack([labels] * 4)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    with pytest.raises(ImageError, match="4 pages"):
        read_mask(tmp_path / "stack.tif")


# ---------------------------------------------------------------- files that lie


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_no_other_program_is_started(tmp_path, suffix):
    """Pillow hands what begins as PostScript to ``gs``, whatever its name."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tools / "gs").chmod(0o755)
    bad = tmp_path / f"a{suffix}"
    bad.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n%%EOF\n")
    code = (
        "import sys\nfrom rl2qc.images.sources import decode, files\n"
        "for read in (decode.read_image, decode.read_mask, decode.read_cutout, files.image_size):\n"
        "    try: read(sys.argv[1])\n    except decode.ImageError: pass\n"
    )
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([sys.executable, "-c", code, bad], check=True, env={**os.environ, "PATH": path})
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(("side", "dtype"), [(13_000, np.uint16), (12_000, np.uint8)])
def test_a_picture_that_is_too_large_is_refused_before_it_is_read(tmp_path, side, dtype):
    done, content = cv2.imencode(".png", np.zeros((side, side), dtype))
    assert done
    (tmp_path / "big.png").write_bytes(content.tobytes())
    assert (tmp_path / "big.png").stat().st_size < 10**6
    tracemalloc.start()
    try:
        for read in (read_image, about_image, read_mask):
            with pytest.raises(ImageError, match=rf"big\.png of {side} x {side} px would take"):
                read(tmp_path / "big.png")
        assert tracemalloc.get_traced_memory()[1] < 50 * 10**6
    finally:
        tracemalloc.stop()


def test_pipes_pointers_and_dangling_links_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "lfs.png").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    )
    (tmp_path / "annex.png").write_text("/annex/objects/SHA256E-s100--abc.png\n")
    (tmp_path / "gone.png").symlink_to(".git/annex/objects/a/b/c.png")
    (tmp_path / "empty.png").touch()
    said = {
        "pipe.png": "named pipe",
        "lfs.png": "git lfs pull",
        "annex.png": "git annex get",
        "gone.png": "git annex get",
        "empty.png": "empty",
    }
    for name, words in said.items():
        for read in (read_named, about_image, read_mask):
            with pytest.raises(ImageError, match=rf"{name} .*{words}"):
                read(tmp_path / name)
    assert len(open_images(tmp_path)) == 4  # all but the pipe


def test_a_list_leaves_out_a_page_or_the_whole_stack(tmp_path, stained):
    tifffile.imwrite(tmp_path / "stack.tif", stained(3, 80), photometric="rgb")
    for name, left in (("stack.tif@page2", 2), ("stack.tif", 0)):
        (tmp_path / "list.txt").write_text(name)
        assert (
            len(Exclusion([tmp_path / "list.txt"])(as_source(tmp_path / "stack.tif", 64))) == left
        )

"""Patch sources: every kind of input, and every kind of bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources import files
from rl2qc.images.sources.base import PatchSource, as_source, batches
from rl2qc.images.sources.files import list_images, read_image
from rl2qc.images.sources.tiles import cut_tiles, unused_by_center_crop, whole_image


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (80, 96, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, rng):
    for name in ("b.png", "a.png", "sub/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(path)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    return tmp_path


def test_folders_files_and_globs(folder):
    assert [p.name for p in list_images(folder)] == ["a.png", "b.png", "c.png"]
    assert [p.name for p in list_images(str(folder / "*.png"))] == ["a.png", "b.png"]
    everywhere = list_images(str(folder / "**" / "*.png"))
    assert [p.name for p in everywhere] == ["a.png", "b.png", "c.png"]
    named_twice = [folder / "b.png", folder, folder / "a.png"]
    assert [p.name for p in list_images(named_twice)] == ["b.png", "a.png", "c.png"]


def test_a_link_loop_ends(folder):
    (folder / "loop").symlink_to(folder)
    assert len(list_images(folder)) == 3


def test_png_comes_back_pixel_for_pixel(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert np.array_equal(read_image(tmp_path / "x.png"), pixels)


def test_transparency_is_laid_on_white(tmp_path, pixels):
    alpha = np.zeros(pixels.shape[:2], np.uint8)
    alpha[:40] = 255
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    assert np.array_equal(image[:40], pixels[:40])
    assert (image[40:] == 255).all()


def test_grey_is_repeated(tmp_path, pixels):
    Image.fromarray(pixels[..., 0]).save(tmp_path / "x.png")
    assert np.array_equal(read_image(tmp_path / "x.png"), np.repeat(pixels[..., :1], 3, 2))


def test_16_bits_are_scaled_to_8(tmp_path, pixels):
    deep = pixels[..., 0].astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "x.png")
    assert np.array_equal(read_image(tmp_path / "x.png"), np.repeat(pixels[..., :1], 3, 2))


def test_palette_and_cmyk(tmp_path, pixels):
    for mode, suffix in (("P", "png"), ("CMYK", "jpg")):
        Image.fromarray(pixels).convert(mode).save(tmp_path / f"x.{suffix}")
        assert read_image(tmp_path / f"x.{suffix}").shape == pixels.shape


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_no_image_is_said_so(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"x\.png"):
        read_image(path)


def test_a_truncated_image_is_said_so(tmp_path, pixels):
    path = tmp_path / "x.jpg"
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(path)


def test_the_central_window_is_taken(pixels):
    source = as_source(pixels[None], 64)
    assert np.array_equal(source[0], pixels[8:72, 16:80])


def test_arrays_tensors_datasets_and_paths_agree(folder):
    paths = list_images(folder)
    arrays = np.stack([read_image(p) for p in paths])
    floats = torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255
    labelled = torch.utils.data.TensorDataset(floats, torch.arange(3))
    for patches in (folder, [str(p) for p in paths], arrays, list(arrays), floats, labelled):
        source = as_source(patches)
        assert source.size == 80
        assert np.array_equal(np.concatenate(list(batches(source, 2))), arrays)


def test_the_commonest_size_is_taken_and_smaller_images_are_named(folder):
    Image.new("RGB", (70, 200)).save(folder / "small.png")
    with pytest.raises(ImageError, match=r"1 of 4 images.*small\.png is smaller \(70 px\)"):
        as_source(folder)
    assert as_source(folder, 64).size == 64


def test_bad_files_are_counted_and_three_are_named(folder):
    for i in range(5):
        (folder / f"bad{i}.png").write_bytes(b"x")
    with pytest.raises(ImageError, match=r"5 of 8 images.*bad0.*bad2.* and 2 more"):
        as_source(folder)


@pytest.mark.parametrize(
    ("patches", "message"),
    [
        ("nowhere", "no such file"),
        ([], "no patches|no images"),
        (np.zeros((2, 64, 64)), "must be an array"),
        (np.zeros((2, 64, 64, 3)), "of float64"),
        (np.zeros((0, 64, 64, 3), np.uint8), "no patches"),
        (7, "cannot read patches from int"),
    ],
)
def test_wrong_usage(patches, message):
    with pytest.raises(UsageError, match=message):
        as_source(patches)


def test_an_empty_folder_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="no images in folder"):
        as_source(tmp_path)


def test_tiny_patches_are_refused():
    with pytest.raises(ImageError, match="too small to judge"):
        as_source(np.zeros((3, 32, 32, 3), np.uint8))


def test_take_and_sample(folder):
    source = as_source(folder)
    taken = source.take([2, 0])
    assert [n[-5:] for n in taken.names] == ["c.png", "a.png"]
    assert np.array_equal(taken[0], source[2])
    again = [source.sample(2, seed=4).names for _ in range(2)]
    assert again[0] == again[1]
    assert len(set(again[0])) == 2


@pytest.mark.parametrize(("height", "width"), [(64, 64), (127, 64), (130, 200), (256, 70)])
def test_tiles_cover_the_middle_of_the_image_once(rng, height, width):
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    tiles = cut_tiles(as_source([image], 64))
    rows, columns = height // 64, width // 64
    top, left = height % 64 // 2, width % 64 // 2
    assert len(tiles) == rows * columns
    whole = np.concatenate(list(batches(tiles, 3)))
    whole = whole.reshape(rows, columns, 64, 64, 3).transpose(0, 2, 1, 3, 4)
    expected = image[top : top + 64 * rows, left : left + 64 * columns]
    assert np.array_equal(whole.reshape(expected.shape), expected)
    if len(tiles) == 1:
        assert np.array_equal(tiles[0], as_source([image], 64)[0])


def test_a_tile_says_where_it_lies(tmp_path, rng):
    image = rng.integers(0, 256, (140, 200, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "large.png")
    Image.fromarray(image[:80, :80]).save(tmp_path / "small.png")
    tiles = cut_tiles(as_source(tmp_path, 64))
    assert tiles.names[-1] == str(tmp_path / "small.png")
    assert {whole_image(name) for name in tiles.names[:-1]} == {str(tmp_path / "large.png")}
    for name, tile in zip(tiles.names[:-1], tiles, strict=False):
        x, y = map(int, name.rpartition("@")[2].split(","))
        assert np.array_equal(tile, image[y : y + 64, x : x + 64])


def test_tiles_in_any_order_and_each_image_read_once_in_theirs(tmp_path, rng, monkeypatch):
    for i in range(3):
        pixels = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    tiles = cut_tiles(as_source(tmp_path, 64))
    in_order = np.concatenate(list(batches(tiles, 5)))
    order = rng.permutation(12)
    assert np.array_equal(np.concatenate(list(batches(tiles.take(order), 5))), in_order[order])
    read = []
    monkeypatch.setattr(files, "read_image", lambda p: read.append(p) or read_image(p))
    assert len(np.concatenate(list(batches(cut_tiles(as_source(tmp_path, 64)), 5)))) == 12
    assert [p.name for p in read] == ["0.png", "1.png", "2.png"]


def test_only_wanted_tiles(rng):
    images = rng.integers(0, 100, (2, 64, 192, 3), dtype=np.uint8)
    images[0, :, 64:] = 255
    source = as_source(images, 64)
    wanted = cut_tiles(source, lambda tile: tile.mean() < 200)
    assert wanted.names == ("0@0,0", "1@0,0", "1@64,0", "1@128,0")
    assert np.array_equal(wanted[2], images[1, :, 64:128])
    with pytest.raises(ImageError, match="none of the 6 tiles of 2 images shows tissue"):
        cut_tiles(source, lambda tile: False)


def test_no_room_for_a_tile():
    source = PatchSource([np.zeros((70, 60, 3), np.uint8)], 64, ("small",))
    with pytest.raises(ImageError, match=r"small is smaller \(60 px\) than a tile \(64 px\)"):
        cut_tiles(source)


def test_what_the_centre_leaves_unused(tmp_path):
    for name, side in (("a", (64, 64)), ("b", (100, 100)), ("c", (128, 64)), ("d", (200, 300))):
        Image.new("RGB", side).save(tmp_path / f"{name}.png")
    images, unused = unused_by_center_crop(as_source(tmp_path, 64))
    assert images == 2
    pixels = 64 * 64 + 100 * 100 + 128 * 64 + 200 * 300
    assert unused == pytest.approx(1 - 4 * 64 * 64 / pixels)
    assert unused_by_center_crop(as_source(tmp_path / "a.png")) == (0, 0.0)

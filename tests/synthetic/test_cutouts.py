"""Cut-outs against a composite made pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl2qc.errors import ImageError
from rl2qc.images.sources.decode import read_cutout
from rl2qc.synthetic.cutouts import at_positions, paste


def picture(h, w, seed=0):
    """Colours and opacities without any symmetry, some pixels quite transparent or opaque."""
    cutout = np.random.default_rng(seed).integers(0, 256, (h, w, 4), dtype=np.uint8)
    cutout[0, 0, 3], cutout[-1, -1, 3] = 0, 255
    return cutout


def poses(cutout):
    return [np.rot90(c, k) for c in (cutout, cutout[:, ::-1]) for k in range(4)]


def composite(image, layer, top, left):
    """The formula of opacity for each pixel and channel in turn."""
    out, mask = image.copy(), np.zeros(image.shape[:2], bool)
    for i in range(layer.shape[0]):
        for j in range(layer.shape[1]):
            a = int(layer[i, j, 3]) / 255
            mask[top + i, left + j] = a >= 0.1
            for c in range(3):
                below = int(image[top + i, left + j, c])
                out[top + i, left + j, c] = round(a * int(layer[i, j, c]) + (1 - a) * below)
    return out, mask


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (10, 10, 3), dtype=np.uint8)


def test_every_paste_is_one_of_the_composites(image):
    cutout = picture(7, 9)
    known = {
        composite(image, layer, top, left)[0].tobytes(): (pose, top, left)
        for pose, layer in enumerate(poses(cutout))
        for top in range(10 - layer.shape[0] + 1)
        for left in range(10 - layer.shape[1] + 1)
    }
    before, seen = image.copy(), set()
    for seed in range(200):
        damaged = paste(image, cutout, np.random.default_rng(seed))
        place = known[damaged.image.tobytes()]
        seen.add(place)
        pose, top, left = place
        _, mask = composite(image, poses(cutout)[pose], top, left)
        assert np.array_equal(damaged.mask, mask)
    assert {pose for pose, _, _ in seen} == set(range(8))
    assert {top for _, top, _ in seen} == {0, 1, 2, 3}
    assert np.array_equal(image, before)


def test_opacity_decides(image):
    cutout = picture(4, 4)
    cutout[..., 3] = 0
    assert np.array_equal(paste(image, cutout, np.random.default_rng(0)).image, image)
    cutout[..., 3] = 255
    damaged = paste(image, cutout, np.random.default_rng(0))
    assert damaged.mask.sum() == 16
    assert np.array_equal(damaged.image[~damaged.mask], image[~damaged.mask])
    assert sorted(damaged.image[damaged.mask].tolist()) == sorted(
        cutout[..., :3].reshape(-1, 3).tolist()
    )


def test_a_larger_cutout_is_scaled_down_to_fit():
    patch = np.full((60, 60, 3), 200, np.uint8)
    cutout = np.zeros((100, 300, 4), np.uint8)
    cutout[..., 3], cutout[..., 0] = 255, 90
    for seed in range(8):
        damaged = paste(patch, cutout, np.random.default_rng(seed))
        rows, columns = (np.flatnonzero(damaged.mask.any(axis)) for axis in (1, 0))
        assert sorted((len(rows), len(columns))) == [20, 60]
        assert (damaged.image[damaged.mask] == [90, 0, 0]).all()


def test_scaling_takes_no_colour_from_what_is_transparent():
    patch = np.full((32, 32, 3), 255, np.uint8)
    cutout = np.zeros((128, 128, 4), np.uint8)  # transparent black around opaque white
    cutout[33:97, 33:97] = 255
    assert paste(patch, cutout, np.random.default_rng(0)).image.min() >= 254


def test_equal_generators_paste_alike(image):
    a, b = (paste(image, picture(3, 5), np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(a.image, b.image)
    assert np.array_equal(a.mask, b.mask)


@pytest.mark.parametrize(
    ("image", "cutout"),
    [
        (np.zeros((8, 8, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)),
        (np.zeros((8, 8, 4), np.uint8), np.zeros((2, 2, 4), np.uint8)),
        (np.zeros((8, 8, 3), np.float32), np.zeros((2, 2, 4), np.uint8)),
    ],
)
def test_other_arrays_are_refused(image, cutout, rng):
    with pytest.raises(ValueError, match="must be"):
        paste(image, cutout, rng)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_reading_keeps_colours_and_trims_the_margin(tmp_path, suffix):
    canvas = np.zeros((20, 30, 4), np.uint8)
    cutout = picture(6, 8)
    cutout[..., 3] = np.maximum(cutout[..., 3], 1)
    canvas[5:11, 3:11] = cutout
    Image.fromarray(canvas).save(tmp_path / f"a{suffix}", lossless=True)
    assert np.array_equal(read_cutout(tmp_path / f"a{suffix}"), cutout)


def test_grey_and_palette_cutouts_are_read(tmp_path):
    grey = np.full((4, 5, 2), 128, np.uint8)
    Image.fromarray(grey, "LA").save(tmp_path / "grey.png")
    assert (read_cutout(tmp_path / "grey.png") == 128).all()
    palette = Image.fromarray(np.array([[0, 1], [1, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert read_cutout(tmp_path / "palette.png")[1, 0].tolist() == [0, 0, 255, 255]


def test_what_is_no_cutout(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "opaque.png")
    Image.new("RGBA", (4, 4)).save(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(picture(64, 64)).save(tmp_path / "short.png")
    (tmp_path / "short.png").write_bytes((tmp_path / "short.png").read_bytes()[:3000])
    for name, message in {
        "opaque.png": "has no transparency",
        "nothing.png": "transparent everywhere",
        "text.png": "is not an image",
        "short.png": "cannot be read",
    }.items():
        with pytest.raises(ImageError, match=message) as error:
            read_cutout(tmp_path / name)
        assert name in str(error.value)


def test_even_and_odd_positions_share_out_all():
    paths = [Path(f"{i:02d}.png") for i in (4, 0, 3, 1, 2)]
    even, odd = at_positions(paths, "even"), at_positions(paths, "odd")
    assert [p.stem for p in even] == ["00", "02", "04"]
    assert [p.stem for p in odd] == ["01", "03"]
    assert sorted(even + odd) == at_positions(paths, "all")
    with pytest.raises(ValueError, match="all, even or odd"):
        at_positions(paths, "third")


def test_real_cutouts_can_be_pasted(shared_data, rng):
    files = sorted((shared_data / "artifacts" / "cutouts").rglob("*.*"))
    patch = np.full((224, 224, 3), 220, np.uint8)
    for path in files:
        damaged = paste(patch, read_cutout(path), rng)
        assert damaged.image.shape == patch.shape, path
        assert 0.005 < damaged.mask.mean() < 0.95, path
        assert (damaged.image[damaged.mask] != 220).any(), path

"""How sets are encoded: read off files and pixels, compared, and done again."""

from __future__ import annotations

import io
from itertools import permutations

import cv2
import numpy as np
import pytest
from PIL import Image

from rl2qc.images.encoding import Encoding, encoding_differences
from rl2qc.images.jpeg_quality import jpeg_quality
from rl2qc.images.recipes import Recipe, find_recipe, reencoded
from rl2qc.images.sources.base import as_source
from rl2qc.images.sources.decode import about_image
from rl2qc.images.sources.images import About
from rl2qc.images.sources.notes import abouts_of
from rl2qc.images.traces import TRACES, traces

ENCODINGS = {
    "png": Recipe(),
    "jpeg 95": Recipe("JPEG", 95),
    "jpeg 85": Recipe("JPEG", 85),
    "jpeg 75": Recipe("JPEG", 75),
    "webp 80": Recipe("WEBP", 80),
    "resized": Recipe(factor=0.75),
    "gif": Recipe("GIF"),
}


@pytest.fixture(scope="module")
def tissue(stained):
    """Textures with detail down to the pixel, softened a little as by a lens."""
    images = stained(16, 128, seed=7).astype(np.float32)
    images += np.random.default_rng(0).normal(0, 12, images.shape)
    soft = [cv2.GaussianBlur(image, (0, 0), 0.55) for image in images]
    return np.clip(soft, 0, 255).astype(np.uint8)


def save(images, folder, recipe):
    folder.mkdir()
    for i, image in enumerate(images):
        if recipe.format:
            more = {"subsampling": 2} if recipe.format == "JPEG" else {}
            more |= {"quality": recipe.quality} if recipe.quality else {}
            suffix = {"JPEG": "jpg", "WEBP": "webp", "GIF": "gif"}[recipe.format]
            Image.fromarray(image).save(folder / f"{i}.{suffix}", **more)
        else:
            Image.fromarray(recipe(image)).save(folder / f"{i}.png")
    source = as_source(folder)
    return Encoding(abouts_of(source), np.stack([traces(source[i]) for i in range(len(source))]))


@pytest.fixture(scope="module")
def sets(tissue, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    return {name: save(tissue, folder / name, recipe) for name, recipe in ENCODINGS.items()}


@pytest.mark.parametrize(("a", "b"), [*permutations(ENCODINGS, 2)])
def test_sets_that_differ_in_encoding_are_told_apart(sets, a, b):
    assert encoding_differences(sets[a], sets[b])


@pytest.mark.parametrize("name", ENCODINGS)
def test_sets_that_are_encoded_alike_do_not_differ(sets, stained, name, tmp_path):
    assert encoding_differences(sets[name], sets[name]) == []
    halves = [Encoding(sets[name].abouts[i::2], sets[name].traces[i::2]) for i in (0, 1)]
    assert [d for d in encoding_differences(*halves) if d.kind == "stored"] == []


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 95, 100])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_quality_and_subsampling_are_read(tissue, tmp_path, quality, subsampling):
    Image.fromarray(tissue[0]).save(tmp_path / "a.jpg", quality=quality, subsampling=subsampling)
    about = about_image(tmp_path / "a.jpg")
    assert (about.quality, about.subsampling) == (quality, subsampling)
    Image.fromarray(tissue[0]).save(tmp_path / "a.png")
    assert (about_image(tmp_path / "a.png").quality, jpeg_quality({})) == (0, 0)


def test_a_few_images_stored_otherwise_are_no_difference():
    png, jpeg = About(8, 8, "PNG"), About(8, 8, "JPEG", "JPEG", 75)
    assert encoding_differences(Encoding([png] * 20), Encoding([png] * 19 + [jpeg])) == []
    assert encoding_differences(Encoding([png] * 20), Encoding([png] * 15 + [jpeg] * 5))
    assert encoding_differences(Encoding([None]), Encoding([jpeg])) == []


def test_traces_of_what_was_stored_as_jpeg_and_saved_as_png(sets, tissue):
    again = np.stack([traces(ENCODINGS["jpeg 75"](image)) for image in tissue])
    png = sets["png"]
    found = encoding_differences(png, Encoding(png.abouts, again))
    assert {d.kind for d in found} >= {"blocks", "colour"}
    assert all(d.words.startswith("generated images show") for d in found)
    turned = encoding_differences(Encoding(png.abouts, again), png)
    assert all(d.words.startswith("real images show") for d in turned)


def test_a_frame_is_seen(tissue):
    framed = np.full_like(tissue[0], 255)
    framed[:, 20:108] = tissue[0][:, 20:108]
    frame = TRACES.index("frame")
    assert traces(framed)[frame] == pytest.approx(40 / 256)
    assert traces(tissue[0])[frame] == 0
    assert traces(np.full((64, 64, 3), 230, np.uint8))[frame] == 0


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "constant"])
def test_padding_is_named(tissue, mode):
    inner = tissue[:, 12:-12, 12:-12]
    padded = np.pad(inner, ((0, 0), (12, 12), (12, 12), (0, 0)), mode=mode)
    png = Encoding([None] * 16, np.stack([traces(image) for image in tissue]))
    again = Encoding([None] * 16, np.stack([traces(image) for image in padded]))
    assert png.traces[:, TRACES.index("frame")].max() == 0
    assert np.median(again.traces[:, TRACES.index("frame")]) == pytest.approx(48 / 256)
    assert "frame" in {d.kind for d in encoding_differences(png, again)}


def test_palettes_are_named_by_their_pixels(tissue, sets):
    few = [np.array(Image.fromarray(image).quantize(256).convert("RGB")) for image in tissue]
    again = Encoding(sets["png"].abouts, np.stack([traces(image) for image in few]))
    (found,) = [d for d in encoding_differences(sets["png"], again) if d.kind == "palette"]
    assert found.shown_by == "generated"
    recipe = find_recipe(as_source(tissue), sets["png"], again, [found.kind])
    assert recipe == Recipe("GIF") and recipe.name == "GIF"
    # Grey images have no more shades than that, and blank ones few colours.
    palette = TRACES.index("palette")
    grey = np.repeat(tissue[0][..., :1], 3, axis=2)
    assert traces(few[0])[palette] == 1 and traces(grey)[palette] == 0
    assert traces(np.full((64, 64, 3), (240, 235, 238), np.uint8))[palette] == 0


@pytest.mark.parametrize("name", ["jpeg 95", "jpeg 75", "gif"])
def test_a_recipe_is_that_of_the_files(sets, tissue, name):
    differences = encoding_differences(sets["png"], sets[name])
    kinds = [d.kind for d in differences]
    source = as_source(tissue)
    assert find_recipe(source, sets["png"], sets[name], kinds) == ENCODINGS[name]
    # What was lost is not brought back.
    assert find_recipe(source, sets[name], sets["png"], ["stored"]) == Recipe()


def test_a_recipe_is_found_by_its_traces(sets, tissue):
    source = as_source(tissue)
    found = find_recipe(source, sets["png"], sets["resized"], ["fading"])
    assert found.format == "" and found.factor in (0.625, 0.75, 0.875)
    webp = find_recipe(source, sets["png"], sets["webp 80"], ["stored"])
    assert webp.format == "WEBP" and 60 <= webp.quality <= 95


def test_images_are_encoded_as_pillow_does_it(tissue, tmp_path):
    for i, image in enumerate(tissue[:2]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    source = as_source(tmp_path)
    again = reencoded(source, Recipe("JPEG", 80))
    file = io.BytesIO()
    Image.fromarray(tissue[1]).save(file, "JPEG", quality=80, subsampling=2)
    np.testing.assert_array_equal(again[1], np.array(Image.open(file)))
    assert again.names == source.names
    digests = {s.digest(0) for s in (source, again, reencoded(source, Recipe("JPEG", 81)))}
    assert len(digests) == 3

"""Images as they come in a training loop."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.in_batches import BatchFormat, images_of, in_batches

PLAIN = BatchFormat()


@pytest.fixture
def pixels(stained):
    return stained(4)


def png(image) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def as_floats(pixels, low, high, dtype=np.float32):
    return (pixels.astype(np.float64) / 255 * (high - low) + low).astype(dtype)


@pytest.mark.parametrize(
    ("values", "low", "high"), [("[0, 1]", 0, 1), ("[-1, 1]", -1, 1), ("[0, 255]", 0, 255)]
)
@pytest.mark.parametrize("kind", ["f4", "f8", "f2", "tensor", "bfloat16"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_floats_of_any_kind_give_the_bytes_they_came_of(pixels, values, low, high, kind, layout):
    floats = as_floats(pixels, low, high, kind if kind.startswith("f") else "f4")
    if layout == "NCHW":
        floats = floats.transpose(0, 3, 1, 2)
    given = torch.from_numpy(np.ascontiguousarray(floats)) if "t" in kind or "b" in kind else floats
    given = given.bfloat16() if kind == "bfloat16" else given
    found = np.stack(images_of(given, BatchFormat(values)))
    rough = {"f2": 1, "bfloat16": 2}.get(kind, 0)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - pixels).max() <= rough


def test_all_that_a_batch_may_be(pixels):
    tensor = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    rows = [{"image": Image.fromarray(p), "label": 1} for p in pixels]
    bytes_rows = [{"image": {"bytes": png(p), "path": None}} for p in pixels]
    batches = {
        "array": pixels,
        "tensor": tensor,
        "with gradient": tensor.float().requires_grad_(),
        "labelled": (tensor, torch.zeros(4)),
        "labelled list": [tensor, torch.zeros(4)][:1],
        "pillow": [Image.fromarray(p) for p in pixels],
        "bytes": [png(p) for p in pixels],
        "rows": rows,
        "rows of bytes": bytes_rows,
        "batch of rows": {"pixel_values": tensor, "label": torch.zeros(4)},
        "tuple of images": tuple(pixels),
        "images with labels": [(p, 3) for p in pixels],
    }
    for name, batch in batches.items():
        found = np.stack(images_of(batch, BatchFormat("[0, 255]")))
        np.testing.assert_array_equal(found, pixels, err_msg=name)


def test_grey_becomes_colour_and_transparency_glass():
    grey = images_of(np.full((2, 1, 8, 8), 7, np.uint8), PLAIN)
    assert grey[0].shape == (8, 8, 3) and (grey[0] == 7).all()
    glass = images_of(Image.new("RGBA", (8, 8), (9, 9, 9, 0)), PLAIN)
    assert (glass[0] == 255).all()


@pytest.mark.parametrize(
    ("batch", "form", "message"),
    [
        (np.zeros((2, 3, 8, 8), np.float32), PLAIN, "say values="),
        (np.full((2, 3, 8, 8), -1, np.float32), BatchFormat("[0, 1]"), r"run from -1 .* clamp"),
        (np.full((2, 3, 8, 8), 1.5, np.float32), BatchFormat("[-1, 1]"), "outside"),
        (np.full((2, 3, 8, 8), np.nan, np.float32), BatchFormat("[0, 1]"), "NaN"),
        (np.zeros((2, 3, 8, 3), np.uint8), PLAIN, "say layout="),
        (np.zeros((2, 4, 8, 8), np.uint8), PLAIN, "1 or 3 channels"),
        (np.zeros((2, 3, 8, 8), np.uint8), BatchFormat(layout="NHWC"), "is not NHWC"),
        (np.zeros((2, 3, 8, 8), np.int64), PLAIN, "uint8 or floating-point, got int64"),
        (np.zeros((8, 8), np.uint8), PLAIN, "must have the shape"),
        ({"label": 1}, PLAIN, "under one of image"),
        (object(), PLAIN, "cannot take an image from object"),
    ],
)
def test_what_is_no_batch(batch, form, message):
    with pytest.raises(UsageError, match=message):
        images_of(batch, form)


def test_bad_words_and_bad_bytes():
    with pytest.raises(UsageError, match="values must be"):
        BatchFormat(values="0-1")
    with pytest.raises(UsageError, match="layout must be"):
        BatchFormat(layout="CHW")
    with pytest.raises(ImageError, match="an image given as bytes"):
        images_of(b"nothing", PLAIN)


def counted(given, **changes):
    return sum(len(some) for some in in_batches(given, PLAIN, **changes))


def test_whatever_gives_images(pixels, tmp_path):
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            while True:
                yield pixels[0]

    asked = []

    def generate(n):
        asked.append(n)
        return pixels[:n]

    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    tensors = torch.utils.data.TensorDataset(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    assert counted(torch.utils.data.DataLoader(tensors, batch_size=3)) == 4
    assert counted(tensors, n=3) == 3
    assert counted(Endless(), n=7) == 7
    assert counted(torch.utils.data.DataLoader(Endless(), batch_size=2), n=5) == 5
    assert counted(iter([pixels, pixels])) == 8
    assert counted(str(tmp_path)) == 4
    assert counted([tmp_path / "0.png", str(tmp_path / "1.png")]) == 2
    assert counted(pixels, n=2) == 2
    assert counted(generate, n=10, batch_size=4) == 10
    assert asked == [4, 4, 2]


def test_functions_that_give_too_little(pixels):
    with pytest.raises(UsageError, match="needs n"):
        counted(lambda n: pixels)
    with pytest.raises(UsageError, match="gave no image after 0 of 5"):
        counted(lambda n: [], n=5)
    with pytest.raises(UsageError, match="cannot take images from int"):
        counted(5)

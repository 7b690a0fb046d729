"""Images as they come in a training loop: batches of tensors, rows of datasets, generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import UsageError
from rl2qc.images.sources.base import open_images
from rl2qc.images.sources.decode import read_image, read_picture
from rl2qc.images.sources.images import Image

__all__ = ["BatchFormat", "Layout", "Values", "images_of", "in_batches"]

Values: TypeAlias = Literal["[0, 1]", "[-1, 1]", "[0, 255]"]
"""What the numbers of floating-point images run between."""
Layout: TypeAlias = Literal["NCHW", "NHWC"]
"""Where the channels of arrays stand."""

# What rows of datasets call their image.
_KEYS = ("image", "images", "img", "pixel_values", "png", "jpg", "jpeg", "webp", "tif")
# How far beyond its range a number may lie by rounding: half floats have 11 bits.
_SLACK = 2e-3


@dataclass(frozen=True)
class BatchFormat:
    """What cannot be seen of an array of numbers.

    Attributes
    ----------
    values
        Range of floating-point images; not needed for uint8.
    layout
        Needed only for arrays whose first and last axes could both hold channels.

    Examples
    --------
    >>> tensor = np.full((2, 3, 8, 6), -1, np.float32)
    >>> [image.shape for image in images_of(tensor, BatchFormat("[-1, 1]"))]
    [(8, 6, 3), (8, 6, 3)]
    """

    values: Values | None = None
    layout: Layout | None = None

    def __post_init__(self) -> None:
        for name, kind in (("values", Values), ("layout", Layout)):
            given = getattr(self, name)
            if given is not None and given not in get_args(kind):
                known = " or ".join(repr(word) for word in get_args(kind))
                raise UsageError(f"{name} must be {known}, got {given!r}")


def images_of(batch: Any, form: BatchFormat) -> list[Image]:
    """The images (h, w, 3) uint8 of a batch, a row of a dataset, or a single image.

    Parameters
    ----------
    batch
        An array or tensor (on any device) of one image or of many; encoded bytes; a picture of
        Pillow; a list of such; a mapping that holds them under a usual name; a tuple that begins
        with them, as those of labelled datasets do.
    form
        What the numbers of arrays mean.

    Raises
    ------
    UsageError
        It is none of these, or numbers whose meaning is not said or is not what is said.
    ImageError
        Bytes that are no image.
    """
    if isinstance(batch, Mapping):
        return images_of(_of_mapping(batch), form)
    if isinstance(batch, str | Path):
        images = open_images(batch).items
        return [images[row] for row in range(len(images))]
    if isinstance(batch, bytes | bytearray | memoryview):
        return [_decoded(bytes(batch))]
    if hasattr(batch, "convert") and hasattr(batch, "mode"):
        return [_of_pillow(batch)]
    if isinstance(batch, list | tuple):
        if not batch:
            return []
        if isinstance(batch, tuple) and _holds_labels(batch):
            return images_of(batch[0], form)
        return [image for item in batch for image in images_of(item, form)]
    return _of_array(_as_array(batch), form)


def in_batches(
    images: Any, form: BatchFormat, *, n: int | None = None, batch_size: int = 64
) -> Iterator[list[Image]]:
    """The images of whatever gives them, some at a time.

    Parameters
    ----------
    images
        A function that makes so many images, ``generate(n)``; a DataLoader, an IterableDataset, a
        generator or any other iterable of batches or rows; paths, arrays or a Dataset.
    form
        What the numbers of arrays mean.
    n
        How many to take; all where left out, which a function does not allow.
    batch_size
        How many are asked of a function at a time.

    Raises
    ------
    UsageError
        Nothing of this kind, or a function without ``n`` or that gives nothing.
    """
    left = n
    for some in _parts(images, form, n, batch_size):
        some = some if left is None else some[:left]
        if some:
            yield some
        if left is not None:
            left -= len(some)
            if left <= 0:
                return


def _parts(images: Any, form: BatchFormat, n: int | None, batch_size: int) -> Iterator[list[Image]]:
    if isinstance(images, str | Path):
        items = open_images(images).items
        yield from ([items[row]] for row in range(len(items)))
    elif hasattr(images, "__iter__"):
        yield from (images_of(item, form) for item in images)
    elif callable(images):
        if n is None:
            raise UsageError("a function that generates images needs n: how many to ask it for")
        done = 0
        while done < n:
            some = images_of(images(min(batch_size, n - done)), form)
            if not some:
                raise UsageError(f"the function gave no image after {done} of {n}")
            done += len(some)
            yield some
    elif hasattr(images, "__getitem__") and hasattr(images, "__len__"):
        yield from (images_of(images[row], form) for row in range(len(images)))
    else:
        raise UsageError(
            f"cannot take images from {type(images).__name__}: give a DataLoader, a Dataset, a "
            "generator, a function of n, paths or an array"
        )


def _of_mapping(row: Mapping[Any, Any]) -> Any:
    # Hugging Face keeps an image that is not decoded as its bytes or its path.
    if set(row) <= {"bytes", "path"} and row:
        if row.get("bytes") is not None:
            return row["bytes"]
        return read_image(row["path"])
    names = [name for name in _KEYS if name in row]
    if len(names) != 1:
        known = ", ".join(map(str, row)) or "none"
        raise UsageError(
            f"a row must hold its image under one of {', '.join(_KEYS)}: it has {known}"
        )
    return row[names[0]]


def _holds_labels(batch: tuple[Any, ...]) -> bool:
    """Whether a tuple is images and what belongs to them, and not several images."""
    first, rest = batch[0], batch[1:]
    if isinstance(first, list | tuple) or len(getattr(first, "shape", ())) == 4:
        return True
    return bool(rest) and not all(_may_be_image(item) for item in rest)


def _may_be_image(item: Any) -> bool:
    return (
        isinstance(item, bytes | bytearray | memoryview | Mapping)
        or hasattr(item, "convert")
        or len(getattr(item, "shape", ())) == 3
    )


def _as_array(item: Any) -> NDArray[Any]:
    if hasattr(item, "detach"):  # a tensor, wherever it lies
        item = item.detach()
        if item.is_floating_point():
            item = item.float()  # numpy has no bfloat16
        item = item.cpu()
    elif not hasattr(item, "__array__"):
        raise UsageError(f"cannot take an image from {type(item).__name__}")
    return np.asarray(item)


def _of_array(array: NDArray[Any], form: BatchFormat) -> list[Image]:
    if array.ndim not in (3, 4):
        raise UsageError(
            f"images must have the shape (n, h, w, 3), (n, 3, h, w), (h, w, 3) or (3, h, w), got "
            f"{array.shape}"
        )
    stacked = array if array.ndim == 4 else array[None]
    if _channels_first(stacked, form.layout):
        stacked = stacked.transpose(0, 2, 3, 1)
    pixels = _to_uint8(stacked, form.values)
    if pixels.shape[-1] == 1:
        pixels = np.repeat(pixels, 3, axis=-1)
    return [np.ascontiguousarray(image) for image in pixels]


def _channels_first(stacked: NDArray[Any], layout: Layout | None) -> bool:
    first, last = stacked.shape[1] in (1, 3), stacked.shape[3] in (1, 3)
    if layout is not None:
        said = first if layout == "NCHW" else last
        if not said:
            raise UsageError(f"a batch of shape {stacked.shape} is not {layout} of 1 or 3 channels")
        return layout == "NCHW"
    if first and last:
        raise UsageError(
            f"where are the channels of a batch of shape {stacked.shape}? say layout='NCHW' or "
            "layout='NHWC'"
        )
    if not first and not last:
        raise UsageError(f"a batch of shape {stacked.shape} has not 1 or 3 channels")
    return first


def _to_uint8(array: NDArray[Any], values: Values | None) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise UsageError(f"images must be uint8 or floating-point, got {array.dtype}")
    if values is None:
        raise UsageError(
            "what do floating-point images run between? say values='[0, 1]', '[-1, 1]' or "
            "'[0, 255]'"
        )
    if not array.size:
        return array.astype(np.uint8)
    low, high = (float(end) for end in values[1:-1].split(", "))
    found = float(array.min()), float(array.max())
    # Not a number is neither below nor above.
    if not np.isfinite(found).all():
        raise UsageError("images hold NaN or infinity: the generator has diverged?")
    slack = _SLACK * (high - low)
    if found[0] < low - slack or found[1] > high + slack:
        raise UsageError(
            f"images run from {found[0]:.4g} to {found[1]:.4g}, outside {values}: clamp them, or "
            "say other values"
        )
    scaled = (array.astype(np.float32) - low) * np.float32(255 / (high - low))
    pixels: NDArray[np.uint8] = scaled.round().clip(0, 255).astype(np.uint8)
    return pixels


def _of_pillow(picture: Any) -> Image:
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return np.array(picture)
    # Transparency and depth mean what they mean in a file.
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return _decoded(buffer.getvalue())


def _decoded(content: bytes) -> Image:
    return read_picture("an image given as bytes", content)[0]

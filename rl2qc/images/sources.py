"""Where patches come from: folders, files, globs, arrays and datasets, as uint8 RGB.

Every source ends as a :class:`PatchSource`: a sequence of (size, size, 3) uint8 arrays with a
name each. Pixels keep their scale: larger images are cropped at the centre, never resized, since
resizing changes the physical resolution and with it what "sharp" means.
"""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rl2qc.errors import ImageError, UsageError

__all__ = [
    "IMAGE_SUFFIXES",
    "PatchSource",
    "Patches",
    "as_source",
    "batches",
    "center_crop",
    "common_size",
    "cut_tiles",
    "image_size",
    "list_images",
    "read_image",
    "unused_by_center_crop",
    "whole_image",
]

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".ppm"}
)
# A patch below this side has too few cells, and too few positions in the last feature map.
MIN_SIZE = 64

Patches = Any
"""Paths (one or many; folders, files, globs), an array, or a sequence such as a torch Dataset."""


def list_images(inputs: str | Path | Sequence[str | Path]) -> list[Path]:
    """Image files of folders (searched recursively), files and globs, sorted within each input.

    Raises
    ------
    UsageError
        An input that does not exist, or holds no image.
    """
    inputs = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if not inputs:
        raise UsageError("no images given: name a folder, files or a glob")
    found: dict[Path, None] = {}  # a dict keeps the order and drops files named twice
    for item in inputs:
        if not str(item).strip():  # Path("") is the current folder
            raise UsageError("an input name is empty (an unset variable?): name a folder or files")
        path = Path(item)
        if path.is_dir():
            files = _walk(path)
            if not files:
                raise UsageError(f"no images in folder {path}")
        elif path.exists():
            files = [path]
        else:
            # Path.glob refuses absolute patterns.
            matches = sorted(glob.glob(str(item), recursive=True))  # noqa: PTH207
            if not matches:
                raise UsageError(f"no such file or folder: {item}")
            files = [
                p
                for match in map(Path, matches)
                for p in (_walk(match) if match.is_dir() else [match])
                if p.suffix.lower() in IMAGE_SUFFIXES
            ]
            if not files:
                raise UsageError(f"no images match {item}")
        found.update(dict.fromkeys(files))
    return list(found)


def _walk(folder: Path) -> list[Path]:
    # rglob does not follow links to folders, so a link loop ends here.
    return sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file()
    )


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file as (h, w, 3) uint8 RGB.

    Transparency is laid on white, as glass is; grey is repeated over the channels; 16 bits are
    scaled to 8.

    Raises
    ------
    ImageError
        A file that is no image, or a damaged one.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return _to_rgb(image)
    except FileNotFoundError as error:
        raise ImageError(f"no such image: {path}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not an image") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} cannot be read: {error}") from error


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image, dtype=np.float64)
        # Pillow shows 16-bit greys as "I;16" or "I"; 8-bit values in them stay as they are.
        scale = 257.0 if grey.max(initial=0) > 255 else 1.0
        return np.repeat((grey / scale).clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        glass = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(glass, layer)
    return np.array(image.convert("RGB"))


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width in px, from the header alone.

    Raises
    ------
    ImageError
        A file that is no image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} is not an image") from error


def center_crop(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The central (size, size) window of an image (h, w, 3).

    Raises
    ------
    ImageError
        An image with a side below ``size``.

    Example
    -------
    >>> center_crop(np.zeros((10, 8, 3), np.uint8), 4).shape
    (4, 4, 3)
    """
    height, width = image.shape[:2]
    if min(height, width) < size:
        raise ImageError(f"{width} x {height} px is smaller than the patch, {size} x {size} px")
    top, left = (height - size) // 2, (width - size) // 2
    return image[top : top + size, left : left + size]


@dataclass(frozen=True)
class PatchSource:
    """A sequence of square patches with names.

    Attributes
    ----------
    items
        A list of paths, or anything indexable that yields images.
    size
        Side of every patch in px.
    names
        Path or index of each patch.
    """

    items: Any
    size: int
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Patch ``index`` as (size, size, 3) uint8; ImageError names the image it failed on."""
        try:
            return center_crop(_pixels(self.items[index]), self.size)
        except ImageError as error:
            raise ImageError(f"{self.names[index]}: {error}") from None

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> PatchSource:
        """The patches at ``indices``, in that order."""
        picked = [int(i) for i in indices]
        # Here, since reading images does not need torch.
        from torch.utils.data import Subset

        if isinstance(self.items, list):
            items: Any = [self.items[i] for i in picked]
        else:
            items = Subset(self.items, picked)
        return PatchSource(items, self.size, tuple(self.names[i] for i in picked))

    def sample(self, n: int, seed: int) -> PatchSource:
        """``n`` patches drawn at random without repetition, in their order."""
        chosen = np.random.default_rng(seed).choice(len(self), n, replace=False)
        return self.take(np.sort(chosen))


def as_source(patches: Patches, size: int | None = None) -> PatchSource:
    """Make a :class:`PatchSource` of anything that holds patches.

    Parameters
    ----------
    patches
        Paths (folders, files, globs), an array (n, h, w, 3) uint8, or a sequence (a torch
        Dataset, say) of (h, w, 3) uint8 arrays, (3, h, w) tensors, or tuples that begin so.
    size
        Side of the patches in px; None takes the commonest short side (:func:`common_size`).

    Raises
    ------
    UsageError
        Nothing there, or an array of another shape or type.
    ImageError
        Files that are no images or are smaller than ``size``; all of them are counted and the
        first are named.
    """
    if isinstance(patches, PatchSource):
        return patches if size in (None, patches.size) else _sized(patches, size)
    if isinstance(patches, str | Path) or (
        isinstance(patches, Sequence)
        and len(patches) > 0
        and all(isinstance(p, str | Path) for p in patches)
    ):
        paths = list_images(patches)
        return _sized(PatchSource(paths, 0, tuple(map(str, paths))), size)
    if isinstance(patches, np.ndarray):
        if patches.ndim != 4 or patches.shape[-1] != 3 or patches.dtype != np.uint8:
            raise UsageError(
                f"patches must be an array (n, h, w, 3) of uint8, got {patches.shape} "
                f"of {patches.dtype}"
            )
    elif not hasattr(patches, "__getitem__") or not hasattr(patches, "__len__"):
        raise UsageError(
            f"cannot read patches from {type(patches).__name__}: give paths, an array or a Dataset"
        )
    if len(patches) == 0:
        raise UsageError("no patches given")
    return _sized(PatchSource(patches, 0, tuple(str(i) for i in range(len(patches)))), size)


def _sized(source: PatchSource, size: int | None) -> PatchSource:
    """Settle the size and check every file's header, so that long work does not fail late."""
    failures: list[str] = []
    if isinstance(source.items, list) and isinstance(source.items[0], Path):
        sides = []
        for path in source.items:
            try:
                sides.append(min(image_size(path)))
            except ImageError as error:
                failures.append(str(error))
                sides.append(0)
        size = size or common_size([s for s in sides if s])
        failures += [
            f"{path} is smaller ({side} px) than the patch ({size} px)"
            for path, side in zip(source.items, sides, strict=True)
            if 0 < side < size
        ]
    elif size is None:
        size = min(_as_image(source.items[0]).shape[:2])
    if failures:
        more = f" and {len(failures) - 3} more" if len(failures) > 3 else ""
        raise ImageError(
            f"{len(failures)} of {len(source)} images cannot be used: "
            f"{'; '.join(failures[:3])}{more}"
        )
    if size < MIN_SIZE:
        raise ImageError(f"patches of {size} px are too small to judge: at least {MIN_SIZE} px")
    return PatchSource(source.items, size, source.names)


def common_size(sides: Sequence[int]) -> int:
    """The commonest short side, at most 256 px: the patch size that a set of images suggests.

    Example
    -------
    >>> common_size([224, 224, 1000])
    224
    """
    if not sides:
        raise ImageError("none of the files is an image")
    return min(256, Counter(sides).most_common(1)[0][0])


def cut_tiles(
    source: PatchSource, keep: Callable[[NDArray[np.uint8]], bool] | None = None
) -> PatchSource:
    """All whole patches of every image, side by side, in place of the central one alone.

    The grid is centred, so that what is left over is shared by opposite edges and an image with
    room for one patch gives the same one. Tiles are named ``image@x,y`` by their upper left corner
    in px; the single tile of an image keeps the image's name (:func:`whole_image`).

    Parameters
    ----------
    source
        Images; ``source.size`` is the side of a tile.
    keep
        Says of a tile (size, size, 3) uint8 whether it is wanted: those of glass, say, are not.

    Raises
    ------
    ImageError
        An image without room for a patch, or no tile that is wanted.

    Example
    -------
    >>> image = np.zeros((1, 130, 200, 3), np.uint8)
    >>> cut_tiles(as_source(image, 64)).names
    ('0@4,1', '0@68,1', '0@132,1', '0@4,65', '0@68,65', '0@132,65')
    """
    size = source.size
    corners: list[tuple[int, int, int]] = []
    names: list[str] = []
    for row, (name, (height, width)) in enumerate(zip(source.names, _shapes(source), strict=True)):
        if min(height, width) < size:
            raise ImageError(f"{name} is smaller ({min(height, width)} px) than a tile ({size} px)")
        own = [
            (row, top, left)
            for top in range(height % size // 2, height - size + 1, size)
            for left in range(width % size // 2, width - size + 1, size)
        ]
        corners += own
        names += [name] if len(own) == 1 else [f"{name}@{left},{top}" for _, top, left in own]
    tiles = PatchSource(_Tiles(source.items, size, corners), size, tuple(names))
    if keep is None:
        return tiles
    wanted = [i for i in range(len(tiles)) if keep(tiles[i])]
    if not wanted:
        raise ImageError(f"none of the {len(tiles)} tiles of {len(source)} images shows tissue")
    return tiles.take(wanted)


class _Tiles:
    """Windows of images; neighbours come from one image, which is read once for them."""

    def __init__(self, images: Any, size: int, corners: Sequence[tuple[int, int, int]]) -> None:
        self._images, self._size, self._corners = images, size, corners
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def __len__(self) -> int:
        return len(self._corners)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        row, top, left = self._corners[index]
        # One look at the attribute: another thread may replace it meanwhile.
        last = self._last
        if last is None or last[0] != row:
            last = self._last = (row, _pixels(self._images[row]))
        return last[1][top : top + self._size, left : left + self._size]


def whole_image(name: str) -> str:
    """The image that a patch of this name was cut from.

    Example
    -------
    >>> whole_image("case/a.png@0,224"), whole_image("case/a.png")
    ('case/a.png', 'case/a.png')
    """
    return re.sub(r"@\d+,\d+$", "", name)


def unused_by_center_crop(source: PatchSource) -> tuple[int, float]:
    """How many images have room for more patches than the central one, and the share of all pixels
    that lies outside the central patches.

    Example
    -------
    >>> unused_by_center_crop(as_source(np.zeros((3, 64, 128, 3), np.uint8), 64))
    (3, 0.5)
    """
    shapes = np.array(list(_shapes(source)))
    roomy = (shapes // source.size).prod(axis=1) > 1
    return int(roomy.sum()), float(1 - len(shapes) * source.size**2 / shapes.prod(axis=1).sum())


def _shapes(source: PatchSource) -> Iterator[tuple[int, int]]:
    """Height and width of each image; of a file, from its header."""
    for i in range(len(source)):
        item = source.items[i]
        yield image_size(item) if isinstance(item, str | Path) else _as_image(item).shape[:2]


def _pixels(item: Any) -> NDArray[np.uint8]:
    return read_image(item) if isinstance(item, str | Path) else _as_image(item)


def _as_image(item: Any) -> NDArray[np.uint8]:
    item = item[0] if isinstance(item, tuple | list) else item
    array = np.asarray(item)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(f"a patch must be (h, w, 3), got {array.shape}")
    if np.issubdtype(array.dtype, np.floating):
        # torchvision's ToTensor convention.
        if array.min() < 0 or array.max() > 1:
            raise ImageError("floating-point patches must lie in [0, 1]")
        array = (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise ImageError(f"a patch must be uint8 or float in [0, 1], got {array.dtype}")
    return array


def batches(source: PatchSource, batch_size: int) -> Iterator[NDArray[np.uint8]]:
    """The patches in order, (b, size, size, 3) at a time."""
    for start in range(0, len(source), batch_size):
        stop = min(start + batch_size, len(source))
        yield np.stack([source[i] for i in range(start, stop)])

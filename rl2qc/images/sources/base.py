"""Where patches come from: folders, files, globs, arrays and datasets, as uint8 RGB.

Every source ends as a :class:`PatchSource`: a sequence of (size, size, 3) uint8 arrays with a
name each. Pixels keep their scale: larger images are cropped at the centre, never resized, since
resizing changes the physical resolution and with it what "sharp" means.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.files import image_size, list_images, read_image

__all__ = ["PatchSource", "Patches", "as_source", "batches", "center_crop", "common_size"]

# A patch below this side has too few cells, and too few positions in the last feature map.
MIN_SIZE = 64

Patches = Any
"""Paths (one or many; folders, files, globs), an array, or a sequence such as a torch Dataset."""


def center_crop(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The central (size, size) window of an image (h, w, 3).

    Raises
    ------
    ImageError
        An image with a side below ``size``.

    Examples
    --------
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

    Examples
    --------
    >>> common_size([224, 224, 1000])
    224
    """
    if not sides:
        raise ImageError("none of the files is an image")
    return min(256, Counter(sides).most_common(1)[0][0])


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

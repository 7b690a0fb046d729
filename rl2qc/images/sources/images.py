"""Images of any size in a fixed order, and the patches that are cut out of their centres."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.arguments import COUNT, Interval, check
from rl2qc.errors import ImageError

__all__ = [
    "About",
    "Image",
    "Images",
    "InMemory",
    "Joined",
    "PatchSource",
    "Taken",
    "as_image",
    "batches",
    "center_crop",
]

Image: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class About:
    """What a picture says of itself, and what is done for it to be seen as it is meant.

    Attributes
    ----------
    height, width
        In px, as it is shown.
    format
        What it is stored as, such as "PNG".
    lossy
        The compression that lost some of it, "" where nothing was lost for sure.
    quality, subsampling
        Of JPEG, by its tables (1 to 100), and how its colours are stored ("4:2:0"); 0 and "" where
        that is not known.
    turned
        EXIF's number for the side that is up: 1 is as stored.
    bits
        Per channel, as stored.
    white
        The value that is taken for white; None of 8 bits.
    grey
        Whether it has one channel.
    pages
        How many images the file holds.
    mpp
        Microns per pixel that it records, None without.
    other_colours
        Whether it carries a colour profile that is not sRGB's; its numbers are taken as stored.
    """

    height: int
    width: int
    format: str = ""
    lossy: str = ""
    quality: int = 0
    subsampling: str = ""
    turned: int = 1
    bits: int = 8
    white: float | None = None
    grey: bool = False
    pages: int = 1
    mpp: float | None = None
    other_colours: bool = False


class Images(ABC):
    """Images of any size in a fixed order, read one by one."""

    @abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abstractmethod
    def __getitem__(self, index: int) -> Image:
        """Image ``index`` as (h, w, 3) uint8 RGB; ImageError where it cannot be read."""

    def header(self, index: int) -> tuple[int, int] | None:
        """Height and width in px where they are known without the pixels, else None.

        Raises
        ------
        ImageError
            What is there is no image.
        """
        return None

    def about(self, index: int) -> About | None:
        """What image ``index`` says of itself; None where there is nothing but pixels.

        Raises
        ------
        ImageError
            What is there is no image.
        """
        return None

    def read(self, index: int) -> tuple[Image, About | None]:
        """Image ``index`` and what it says of itself, in one look."""
        return self[index], self.about(index)

    def digest(self, index: int) -> bytes | None:
        """SHA-256 of what is stored of the image, or None where only the pixels tell."""
        return None

    def measured(self, identity: str, size: int) -> NDArray[np.float32] | None:
        """Features (n, d) of all of them at a patch size, where they are at hand; see
        :class:`~rl2qc.features.base.Extractor` for identities."""
        return None

    def take(self, rows: Sequence[int]) -> Images:
        """The images at ``rows``, in that order."""
        return Taken(self, rows)


class InMemory(Images):
    """Arrays, tensors, or what a dataset yields: anything that can be indexed."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Image:
        return as_image(self._items[index])

    @property
    def one_size(self) -> tuple[int, int] | None:
        """Height and width in px of the images of one array; None of what would have to be read."""
        items = self._items
        if not isinstance(items, np.ndarray) or items.ndim != 4 or items.shape[3] != 3:
            return None
        return items.shape[1], items.shape[2]


class Taken(Images):
    """Some of other images, in an order of their own."""

    def __init__(self, images: Images, rows: Sequence[int]) -> None:
        self._images, self._rows = images, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Image:
        return self._images[self._rows[index]]

    def header(self, index: int) -> tuple[int, int] | None:
        return self._images.header(self._rows[index])

    def about(self, index: int) -> About | None:
        return self._images.about(self._rows[index])

    def read(self, index: int) -> tuple[Image, About | None]:
        return self._images.read(self._rows[index])

    def digest(self, index: int) -> bytes | None:
        return self._images.digest(self._rows[index])

    def take(self, rows: Sequence[int]) -> Images:
        return Taken(self._images, [self._rows[row] for row in rows])


class Joined(Images):
    """The images of several, one after another."""

    def __init__(self, parts: Sequence[Images]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Image:
        part, row = self._find(index)
        return part[row]

    def header(self, index: int) -> tuple[int, int] | None:
        part, row = self._find(index)
        return part.header(row)

    def about(self, index: int) -> About | None:
        part, row = self._find(index)
        return part.about(row)

    def read(self, index: int) -> tuple[Image, About | None]:
        part, row = self._find(index)
        return part.read(row)

    def digest(self, index: int) -> bytes | None:
        part, row = self._find(index)
        return part.digest(row)

    def _find(self, index: int) -> tuple[Images, int]:
        which = bisect_right(self._ends, index)
        return self._parts[which], index - (self._ends[which - 1] if which else 0)


def as_image(item: Any) -> Image:
    """What a dataset yields as an image (h, w, 3) uint8.

    Parameters
    ----------
    item
        An array (h, w, 3) uint8, a tensor (3, h, w) in [0, 1], or a tuple that begins so.

    Raises
    ------
    ImageError
        It is none of these.

    Examples
    --------
    >>> as_image((np.ones((3, 8, 6), np.float32), "a label")).shape
    (8, 6, 3)
    """
    item = item[0] if isinstance(item, tuple | list) else item
    try:
        array = np.asarray(item)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ImageError(f"a patch must be an array or a tensor: {error}") from None
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(f"a patch must be (h, w, 3), got {array.shape}")
    if np.issubdtype(array.dtype, np.floating):
        # torchvision's ToTensor convention.
        if not (array.min(initial=0) >= 0 and array.max(initial=0) <= 1):  # nor NaN
            raise ImageError("floating-point patches must lie in [0, 1], every number of them")
        array = (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise ImageError(f"a patch must be uint8 or float in [0, 1], got {array.dtype}")
    return array


def center_crop(image: Image, size: int) -> Image:
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
    items : Images
        The images that the patches are the centres of. Given as :class:`Images`, or as anything
        indexable that yields images: arrays (h, w, 3) uint8, tensors (3, h, w), tuples that begin
        so.
    size
        Side of every patch in px; 0 where it is not settled yet (:func:`as_source` does).
    names
        Path or index of each patch.
    warnings
        What was left out on the way, and what was done to the images.

    Examples
    --------
    >>> source = PatchSource(np.zeros((2, 80, 96, 3), np.uint8), 64, ("a", "b"))
    >>> len(source), source[0].shape, source.shape(0), source.take([1]).names
    (2, (64, 64, 3), (80, 96), ('b',))
    """

    items: Any
    size: int
    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check("size", self.size, int, within=Interval(0, unit="px"))
        if not isinstance(self.items, Images):
            object.__setattr__(self, "items", InMemory(self.items))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Image:
        """Patch ``index`` as (size, size, 3) uint8; ImageError names the image it failed on."""
        try:
            return center_crop(self.items[index], self.size)
        except ImageError as error:
            name = self.names[index]
            said = str(error)
            raise ImageError(said if said.startswith(name) else f"{name}: {said}") from None

    def shape(self, index: int) -> tuple[int, int]:
        """Height and width of the whole image, in px; read only where there is no other way."""
        known: tuple[int, int] | None = self.items.header(index)
        if known is None:
            height, width = self.items[index].shape[:2]
            return height, width
        return known

    def digest(self, index: int) -> bytes | None:
        """SHA-256 of what is stored of the image, or None where only the pixels tell.

        By it features are known again, whatever the image is called.
        """
        found: bytes | None = self.items.digest(index)
        return found

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> PatchSource:
        """The patches at ``indices``, in that order."""
        rows = np.asarray(indices, np.intp).tolist()  # sets are taken apart thousands of times
        names = tuple(map(self.names.__getitem__, rows))
        return PatchSource(self.items.take(rows), self.size, names, self.warnings)

    def sample(self, n: int, seed: int) -> PatchSource:
        """``n`` patches drawn at random without repetition, in their order."""
        chosen = np.random.default_rng(seed).choice(len(self), n, replace=False)
        return self.take(np.sort(chosen))


def batches(source: PatchSource, batch_size: int) -> Iterator[Image]:
    """The patches in order, (b, size, size, 3) at a time; UsageError for a ``batch_size`` that is
    none."""
    check("batch_size", batch_size, int, within=COUNT)
    for start in range(0, len(source), batch_size):
        stop = min(start + batch_size, len(source))
        yield np.stack([source[i] for i in range(start, stop)])

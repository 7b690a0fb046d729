"""Where patches come from: folders, files, globs, arrays, datasets, and what others register.

Everything ends as a :class:`PatchSource`: a sequence of (size, size, 3) uint8 arrays with a name
each. Pixels keep their scale: larger images are cropped at the centre, never resized, since
resizing changes the physical resolution and with it what "sharp" means.

What a path means is asked of the registered sources (:data:`SOURCES`): the first that accepts it
opens it, image files last. One more source is one call of :func:`register_source`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from rl2qc.core.arguments import check_paths
from rl2qc.core.registry import Extra, Registry
from rl2qc.errors import ImageError, UsageError
from rl2qc.images.sources.images import (
    About,
    Image,
    Images,
    Joined,
    PatchSource,
    batches,
    center_crop,
)
from rl2qc.images.sources.notes import abouts_of, image_notes

__all__ = [
    "SOURCES",
    "ImageSource",
    "PatchSource",
    "Patches",
    "as_source",
    "batches",
    "center_crop",
    "common_size",
    "from_anywhere",
    "image_identity",
    "open_images",
    "read_named",
    "read_with_about",
    "register_source",
    "source_of",
]

# A patch below this side has too few cells, and too few positions in the last feature map.
MIN_SIZE = 64

Item: TypeAlias = str | Path
"""What a source may accept: a path, or whatever stands in place of one."""

Patches = Any
"""Paths (one or many; folders, files, globs), an array, or a sequence such as a torch Dataset."""


@dataclass(frozen=True)
class ImageSource:
    """One kind of places that images come from, wherever a path is taken.

    Attributes
    ----------
    name
        What it is called.
    open
        Makes a :class:`PatchSource` of an item, its size 0. Names are unique, each begins with the
        item or is one of its own, each survives :class:`~pathlib.Path`, and each is an item that
        opens the same image alone: so results can show the image again. The order is always the
        same, and what is damaged raises :class:`~rl2qc.errors.ImageError` when it is read, not
        before.
    prefix, suffixes
        What its items begin with ("memory:"), or what files end with (".zip"), in lower case.
    accepts
        Says of an item whether it is one of these; by prefix and suffixes where left out.
    identity
        What tells whether an image, given by its name, has changed, cheaply; by its content where
        left out.
    extra
        What must be installed for it.
    on_disk
        Its names are files of their own, which programs that are no part of rl2qc can read.
    order
        Sources with a lower one are asked first.

    Examples
    --------
    >>> def noise(item):
    ...     seed = int(str(item).partition(":")[2])
    ...     pixels = np.random.default_rng(seed).integers(0, 256, (1, 64, 64, 3), np.uint8)
    ...     return PatchSource(pixels, 0, (str(item),))
    >>> source = ImageSource("noise", noise, prefix="noise:")
    >>> source.takes("noise:1"), source.takes("a.png")
    (True, False)
    """

    name: str
    open: Callable[[Item], PatchSource]
    prefix: str = ""
    suffixes: tuple[str, ...] = ()
    accepts: Callable[[Item], bool] | None = None
    identity: Callable[[str], str] | None = None
    extra: Extra | None = None
    on_disk: bool = False
    order: int = 0

    def takes(self, item: Item) -> bool:
        """Whether an item is one of these."""
        if self.accepts is not None:
            return self.accepts(item)
        if self.prefix and str(item).startswith(self.prefix):
            return True
        # A file of many, or one of the images in it.
        path = Path(item)
        return bool(self.suffixes) and any(
            place.name.lower().endswith(self.suffixes) and place.is_file()
            for place in (path, *path.parents)
        )


SOURCES: Registry[ImageSource] = Registry(
    "image source", room="rl2qc.images.sources", group="rl2qc.sources"
)


def register_source(source: ImageSource, *, replace: bool = False) -> ImageSource:
    """Add a source: its items are then understood wherever paths to images are.

    Parameters
    ----------
    source
    replace
        Whether one of that name may give way.

    Raises
    ------
    UsageError
        There is one of that name.

    Examples
    --------
    >>> def noise(item):
    ...     seed = int(str(item).partition(":")[2])
    ...     pixels = np.random.default_rng(seed).integers(0, 256, (1, 64, 64, 3), np.uint8)
    ...     return PatchSource(pixels, 0, (str(item),))
    >>> _ = register_source(ImageSource("noise", noise, prefix="noise:"))
    >>> as_source(["noise:1", "noise:2"]).names
    ('noise:1', 'noise:2')
    >>> SOURCES.unregister("noise")
    """
    return SOURCES.register(source, replace=replace)


def source_of(item: Item) -> ImageSource:
    """The source that opens an item: the first that accepts it."""
    return next(source for source in SOURCES if source.takes(item))


def open_images(items: Item | Sequence[Item]) -> PatchSource:
    """The images of paths and of whatever the registered sources know, each once, at size 0.

    Raises
    ------
    UsageError
        None are given, something is not there or holds no image, or a source lacks what it needs.
    """
    items = check_paths("images", items)
    if not items:
        raise UsageError("no images given: name a folder, files or a glob")
    parts = []
    seen: set[str] = set()
    again: list[str] = []
    for item in items:
        source = source_of(item)
        if source.extra is not None:
            source.extra.require(f"{item}: {source.name}")
        opened = source.open(item)
        # What is named twice is taken once.
        fresh = [row for row, name in enumerate(opened.names) if name not in seen]
        again += [name for name in opened.names if name in seen]
        seen.update(opened.names)
        parts.append(opened if len(fresh) == len(opened) else opened.take(fresh))
    warnings = [warning for part in parts for warning in part.warnings]
    if again:
        which = "1 image is" if len(again) == 1 else f"{len(again)} images are"
        warnings.append(f"{which} named again and taken once, such as {again[0]}")
    if len(parts) == 1:
        return parts[0]
    return PatchSource(
        Joined([part.items for part in parts if len(part)]),
        0,
        sum((part.names for part in parts), ()),
        tuple(dict.fromkeys(warnings)),
    )


def read_named(name: Item) -> Image:
    """An image by its name, as a :class:`PatchSource` or a result has it: (h, w, 3) uint8.

    Raises
    ------
    ImageError
        It is not there, or cannot be read.
    """
    return read_with_about(name)[0]


def read_with_about(name: Item) -> tuple[Image, About | None]:
    """:func:`read_named`, and what the image says of itself.

    Raises
    ------
    ImageError
        It is not there, or cannot be read.
    """
    try:
        items: Images = open_images(name).items
    except UsageError as error:
        raise ImageError(str(error)) from error
    return items.read(0)


def from_anywhere(item: Path) -> Path:
    """The same item when the current folder is another one.

    Examples
    --------
    >>> from_anywhere(Path("a.png")) == Path.cwd() / "a.png"
    True
    """
    prefix = source_of(item).prefix
    return item if prefix and str(item).startswith(prefix) else item.absolute()


def image_identity(name: Item) -> str:
    """What changes when an image does; of files, their size and the time of the last change.

    Raises
    ------
    OSError
        A file that is not there.
    ImageError
        It cannot be read.
    """
    source = source_of(name)
    if source.identity is not None:
        return source.identity(str(name))
    images = open_images(name).items
    return (images.digest(0) or hashlib.sha256(images[0].tobytes()).digest()).hex()


def as_source(patches: Patches, size: int | None = None) -> PatchSource:
    """Make a :class:`PatchSource` of anything that holds patches.

    Parameters
    ----------
    patches
        Paths (folders, files, globs, items of registered sources), an array (n, h, w, 3) uint8, or
        a sequence (a torch Dataset, say) of (h, w, 3) uint8 arrays, (3, h, w) tensors, or tuples
        that begin so.
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
        settled = patches.size > 0 and size in (None, patches.size)
        return patches if settled else _sized(patches, size)
    if isinstance(patches, str | Path) or (
        isinstance(patches, Sequence)
        and len(patches) > 0
        and all(isinstance(p, str | Path) for p in patches)
    ):
        return _sized(open_images(patches), size)
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
    """Settle the size and check every header there is, so that long work does not fail late."""
    failures: list[str] = []
    sides: dict[str, int] = {}
    for row, name in enumerate(source.names):
        try:
            header = source.items.header(row)
        except ImageError as error:
            failures.append(str(error))
            continue
        if header is not None:
            sides[name] = min(header)
    if size is None:
        # Where headers are damaged, the failures below are what counts.
        known = bool(sides) or bool(failures)
        size = common_size(list(sides.values())) if known else min(source.shape(0))
    failures += [
        f"{name} is smaller ({side} px) than the patch ({size} px)"
        for name, side in sides.items()
        if side < size
    ]
    if failures:
        more = f" and {len(failures) - 3} more" if len(failures) > 3 else ""
        raise ImageError(
            f"{len(failures)} of {len(source)} images cannot be used: "
            f"{'; '.join(failures[:3])}{more}"
        )
    if size < MIN_SIZE:
        raise ImageError(f"patches of {size} px are too small to judge: at least {MIN_SIZE} px")
    notes = image_notes(source.names, abouts_of(source))
    warnings = tuple(dict.fromkeys((*source.warnings, *notes)))
    return PatchSource(source.items, size, source.names, warnings)


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

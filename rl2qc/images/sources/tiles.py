"""Images cut into tiles."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from rl2qc.errors import ImageError
from rl2qc.images.sources.base import PatchSource
from rl2qc.images.sources.images import Image, Images

__all__ = ["cut_tiles", "unused_by_center_crop", "whole_image"]


def cut_tiles(source: PatchSource, keep: Callable[[Image], bool] | None = None) -> PatchSource:
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

    Examples
    --------
    >>> image = np.zeros((1, 130, 200, 3), np.uint8)
    >>> from rl2qc.images.sources.base import as_source
    >>> cut_tiles(as_source(image, 64)).names
    ('0@4,1', '0@68,1', '0@132,1', '0@4,65', '0@68,65', '0@132,65')
    """
    size = source.size
    corners: list[tuple[int, int, int]] = []
    names: list[str] = []
    for row, (name, (height, width)) in enumerate(
        zip(source.names, map(source.shape, range(len(source))), strict=True)
    ):
        if min(height, width) < size:
            raise ImageError(f"{name} is smaller ({min(height, width)} px) than a tile ({size} px)")
        own = [
            (row, top, left)
            for top in range(height % size // 2, height - size + 1, size)
            for left in range(width % size // 2, width - size + 1, size)
        ]
        corners += own
        names += [name] if len(own) == 1 else [f"{name}@{left},{top}" for _, top, left in own]
    tiles = PatchSource(_Tiles(source.items, size, corners), size, tuple(names), source.warnings)
    if keep is None:
        return tiles
    wanted = [i for i in range(len(tiles)) if keep(tiles[i])]
    if not wanted:
        raise ImageError(f"none of the {len(tiles)} tiles of {len(source)} images shows tissue")
    return tiles.take(wanted)


class _Tiles(Images):
    """Windows of images; neighbours come from one image, which is read once for them."""

    def __init__(self, images: Images, size: int, corners: Sequence[tuple[int, int, int]]) -> None:
        self._images, self._size, self._corners = images, size, corners
        self._last: tuple[int, Image] | None = None

    def __len__(self) -> int:
        return len(self._corners)

    def __getitem__(self, index: int) -> Image:
        row, top, left = self._corners[index]
        # One look at the attribute: another thread may replace it meanwhile.
        last = self._last
        if last is None or last[0] != row:
            last = self._last = (row, self._images[row])
        return last[1][top : top + self._size, left : left + self._size]

    def header(self, index: int) -> tuple[int, int]:
        return self._size, self._size


def whole_image(name: str) -> str:
    """The image that a patch of this name was cut from.

    Examples
    --------
    >>> whole_image("case/a.png@0,224"), whole_image("case/a.png")
    ('case/a.png', 'case/a.png')
    """
    return re.sub(r"@\d+,\d+$", "", name)


def unused_by_center_crop(source: PatchSource) -> tuple[int, float]:
    """How many images have room for more patches than the central one, and the share of all pixels
    that lies outside the central patches.

    Examples
    --------
    >>> from rl2qc.images.sources.base import as_source
    >>> unused_by_center_crop(as_source(np.zeros((3, 64, 128, 3), np.uint8), 64))
    (3, 0.5)
    """
    shapes = np.array([source.shape(i) for i in range(len(source))])
    roomy = (shapes // source.size).prod(axis=1) > 1
    return int(roomy.sum()), float(1 - len(shapes) * source.size**2 / shapes.prod(axis=1).sum())

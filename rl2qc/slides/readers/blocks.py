"""Pyramids that are stored in blocks, each decoded once while it is needed."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.slides.readers.base import SharedCache
from rl2qc.slides.readers.pyramid import PyramidReader

__all__ = ["BlockCache", "BlockReader"]

Pixels = NDArray[np.uint8]

# As OpenSlide's: a row of blocks of a wide slide fits.
_CACHE_BYTES = 128 * 2**20


class BlockCache:
    """Decoded blocks, the latest used up to a number of bytes.

    Examples
    --------
    >>> cache = BlockCache(100)
    >>> cache.get("a", lambda: np.zeros((6, 10), np.uint8)).shape
    (6, 10)
    >>> _ = cache.get("b", lambda: np.zeros((6, 10), np.uint8))
    >>> cache.names()
    ['b']
    """

    def __init__(self, size: int = _CACHE_BYTES) -> None:
        self._size, self._held_bytes = size, 0
        self._lock, self._held = threading.Lock(), OrderedDict[Hashable, Pixels]()

    def get(self, name: Hashable, make: Callable[[], Pixels]) -> Pixels:
        """The block of that name, made if it is not held."""
        with self._lock:
            if name in self._held:
                self._held.move_to_end(name)
                return self._held[name]
        # Two threads may make one at the same time, which is better than to wait for each other.
        made = make()
        with self._lock:
            if name not in self._held:
                self._held[name] = made
                self._held_bytes += made.nbytes
            while self._held_bytes > self._size and len(self._held) > 1:
                self._held_bytes -= self._held.popitem(last=False)[1].nbytes
        return made

    def names(self) -> list[Hashable]:
        """What is held."""
        with self._lock:
            return list(self._held)


class BlockReader(PyramidReader):
    """A pyramid that lacks but its blocks.

    A subclass sets ``info``, and ``block_sizes``: width and height in px of each level's blocks.
    """

    block_sizes: tuple[tuple[int, int], ...]

    def __init__(self, cache: SharedCache | None) -> None:
        self._blocks: BlockCache = (cache or SharedCache()).get(__name__, BlockCache)
        # Blocks of several slides lie in one cache.
        self._own = object()

    @abstractmethod
    def read_block(self, level: int, column: int, row: int) -> Pixels:
        """The block (h, w, 3) in that column and row of a level; those at the edges may be smaller
        or larger than what of the level is left.

        Raises
        ------
        SlideError
            It cannot be read.
        """

    def read_layer(self, x: int, y: int, level: int, size: tuple[int, int]) -> Image.Image:
        """See :meth:`PyramidReader.read_layer`."""
        downsample = self.info.level_downsamples[level]
        left, top = round(x / downsample), round(y / downsample)
        width, height = self.info.level_dimensions[level]
        block_width, block_height = self.block_sizes[level]
        whole = left >= 0 and left + size[0] <= width and top >= 0 and top + size[1] <= height
        pixels = np.zeros((size[1], size[0], 3 if whole else 4), np.uint8)
        x0, x1 = max(0, left), min(width, left + size[0])
        y0, y1 = max(0, top), min(height, top + size[1])
        if x0 < x1 and y0 < y1:
            for row in range(y0 // block_height, -(-y1 // block_height)):
                for column in range(x0 // block_width, -(-x1 // block_width)):
                    self._put(pixels, (left, top), (x0, y0, x1, y1), level, column, row)
        return Image.fromarray(pixels)

    def _put(
        self,
        pixels: Pixels,
        origin: tuple[int, int],
        box: tuple[int, int, int, int],
        level: int,
        column: int,
        row: int,
    ) -> None:
        """Copy what a block holds of ``box``, in px of the level, which begins at ``origin``."""
        block = self._blocks.get(
            (self._own, level, column, row), lambda: self.read_block(level, column, row)
        )
        width, height = self.block_sizes[level]
        bx, by = column * width, row * height
        x0, x1 = max(box[0], bx), min(box[2], bx + block.shape[1])
        y0, y1 = max(box[1], by), min(box[3], by + block.shape[0])
        rows = slice(y0 - origin[1], y1 - origin[1])
        columns = slice(x0 - origin[0], x1 - origin[0])
        pixels[rows, columns, :3] = block[y0 - by : y1 - by, x0 - bx : x1 - bx]
        pixels[rows, columns, 3:] = 255

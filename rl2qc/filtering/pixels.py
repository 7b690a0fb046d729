"""The pixels of tiles as the model saw them: the one place that knows.

Tiles need not be as large as what a model looks at: imported ones have a size of their own. The
model sees a square of its own size in the middle of each, with what is around a smaller tile, or
all of a larger one in parts (:mod:`rl2qc.filtering.looks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.core.closing import Closing
from rl2qc.errors import WorkError
from rl2qc.filtering.table import TileTable
from rl2qc.images.sources.base import center_crop, read_named
from rl2qc.slides.readers.base import ReadsAhead, SlideReader, open_slide
from rl2qc.slides.stretch import mpp_again, square_tile
from rl2qc.slides.tiling import ReadPlan, plan_reading

__all__ = ["TilePixels", "TileWindow"]


@dataclass(frozen=True)
class TileWindow:
    """What of a slide's tiles a model sees, and how it is read.

    Attributes
    ----------
    size
        Side in px, the model's.
    level, scale
        The level that is read, and its pixels per pixel of the result.
    downsample
        Level-0 px per pixel of the result.

    Examples
    --------
    >>> window = TileWindow(size=64, level=0, scale=2.0, downsample=2.0)
    >>> window.side, window.inset(256), window.inset(128)
    (128, 64, 0)
    """

    size: int
    level: int
    scale: float
    downsample: float

    @classmethod
    def of_plan(cls, plan: ReadPlan, size: int) -> TileWindow:
        """How tiles are read by a plan, ``size`` px at a time."""
        return cls(size, plan.level, plan.scale, plan.downsample)

    @classmethod
    def of_record(
        cls,
        size: int,
        level: int | None,
        scale: float | None,
        mpps: tuple[float | None, float | None],
        level_downsamples: Sequence[float],
    ) -> TileWindow:
        """How tiles were read, from what a table or a record says.

        Parameters
        ----------
        size, level, scale
            As in the attributes.
        mpps
            Microns per pixel of the tiles and of level 0.
        level_downsamples
            Of the slide, which is open.
        """
        level, scale = level or 0, scale or 1.0
        mpp, slide_mpp = mpps
        if scale == 1.0 or mpp is None or slide_mpp is None:
            return cls(size, level, scale, level_downsamples[level])
        return cls(size, level, scale, mpp / slide_mpp)

    @property
    def side(self) -> int:
        """Its side in level-0 px: whole ones, so that neighbouring tiles share their edges."""
        return max(1, round(self.size * self.downsample))

    def inset(self, side: int) -> int:
        """From the corner of a tile of ``side`` level-0 px to that of what is seen of it."""
        return (side - self.side) // 2

    def expect(
        self,
        slide: SlideReader,
        corners: NDArray[np.int64],
        side: int,
        *,
        workers: int,
        window: int,
    ) -> None:
        """Tell a slide that tiles will be read in this order, by threads, so far ahead.

        Parameters
        ----------
        slide
            What likes to know is told: a reader in a process of its own.
        corners
            (n, 2) int64, in level-0 px.
        side
            Of each tile in level-0 px.
        workers
            Threads that read.
        window
            How many are read ahead.
        """
        if isinstance(slide, ReadsAhead):
            slide.expect(
                corners + self.inset(side),
                (self.size, self.size),
                level=self.level,
                scale=self.scale,
                workers=workers,
                window=window,
            )

    def read(self, slide: SlideReader, x: int, y: int, side: int) -> NDArray[np.uint8]:
        """What is seen of the tile with the corner (x, y) and that side, all in level-0 px.

        Returns
        -------
        (size, size, 3) uint8 RGB.

        Raises
        ------
        SlideError
            The slide is damaged there.
        """
        inset = self.inset(side)
        shape = (self.size, self.size)
        return slide.read_region(
            x + inset, y + inset, shape, level=self.level, scale=self.scale
        ).rgb


class TilePixels(Closing):
    """The tiles of a table, read again, each as the model saw it.

    Threads may share one. Slides are held open until it is closed.

    Parameters
    ----------
    table
        Of a slide or of patches.

    Raises
    ------
    SlideError
        The slide is gone, or cannot be read any more.
    WorkError
        The table comes from an old result that does not say what the model saw.
    """

    def __init__(self, table: TileTable) -> None:
        # Of tiles that were looked at in parts, all was seen.
        size = table.tile_size if table.covered else table.patch_size
        if size is None:
            raise WorkError(f"{table.name} does not say what of its tiles the model saw")
        self._table, self._size = table, size
        self._slide: SlideReader | None = None
        if table.kind == "slide":
            self._slide = open_slide(
                table.path,
                mpp_override=mpp_again(table.slide_mpp, table.stretch),
                icc=table.icc,
                reader=table.reader,
            )
            self._window = TileWindow.of_record(
                self._size,
                table.level,
                table.scale,
                (table.mpp, table.slide_mpp),
                self._slide.info.level_downsamples,
            )

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Tile ``index`` (size, size, 3) uint8, of the model's size or, if it was looked at in
        parts, of its own; SlideError or ImageError where it cannot be read."""
        table = self._table
        if self._slide is None:
            return center_crop(read_named(table.image_paths[index]), self._size)
        return self._window.read(self._slide, *self._place(index))

    def around(self, index: int, times: float, size: int) -> NDArray[np.uint8]:
        """Tile ``index`` in the middle of what is around it: a square of ``times`` its side, as
        (size, size, 3) uint8; of a patch, itself."""
        if self._slide is None:
            image = self[index]
            return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
        left, top, width = self._place(index)
        side = width * times
        x, y = int(left + width / 2 - side / 2), int(top + width / 2 - side / 2)
        info = self._slide.info
        finest = max(1.0, side / size)
        plan = plan_reading(info.mpp, info.level_downsamples, info.mpp * finest)
        shape = (max(1, round(side / plan.downsample)),) * 2
        found = self._slide.read_region(x, y, shape, level=plan.level, scale=plan.scale).rgb
        return np.asarray(Image.fromarray(found).resize((size, size), Image.Resampling.LANCZOS))

    def _place(self, index: int) -> tuple[int, int, int]:
        """Corner and side of a tile in square pixels, as the slide is read."""
        table = self._table
        place = int(table.x[index]), int(table.y[index]), int(table.width[index])
        return square_tile(place, table.stretch)

    def close(self) -> None:
        """Release the slide."""
        if self._slide is not None:
            self._slide.close()

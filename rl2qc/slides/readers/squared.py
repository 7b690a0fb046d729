"""A slide reader around another one, whose pixels are not square: it gives square ones.

Whoever reads through it sees a slide of square pixels, levels, bounds and coordinates included;
:mod:`rl2qc.slides.stretch` leads from its coordinates to those of the file and back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from rl2qc.core.arguments import Interval, check
from rl2qc.core.closing import Closing
from rl2qc.slides.info import SlideInfo
from rl2qc.slides.readers.contract import OpensSlides, Overview, Region, SharedCache, SlideReader
from rl2qc.slides.readers.pixel_shape import SQUARE
from rl2qc.slides.stretch import square_bounds

__all__ = ["OpensSquared", "SquaredReader"]

# What averages differ by is rounding.
_WHOLE = 1 - 1e-3
_SMALL = 2**23


@dataclass(frozen=True)
class OpensSquared:
    """Opens slides as ``open`` does, in square pixels whatever theirs are."""

    open: OpensSlides

    def __call__(
        self, path: Path, *, mpp_override: float | None, icc: bool, cache: SharedCache | None
    ) -> SlideReader:
        """The slide, or SlideError with the reason in one line."""
        slide = self.open(path, mpp_override=mpp_override, icc=icc, cache=cache)
        return slide if slide.info.stretch == SQUARE else SquaredReader(slide)


class SquaredReader(Closing):
    """An open slide in square pixels; see :class:`~rl2qc.slides.readers.contract.SlideReader`.

    Parameters
    ----------
    slide
        One whose ``info.stretch`` says how many of its pixels a square one has.
    """

    def __init__(self, slide: SlideReader) -> None:
        self._slide = slide
        self.info: SlideInfo = _squared(slide.info)

    def __reduce__(self) -> tuple[object, ...]:
        return SquaredReader, (self._slide,)

    def close(self) -> None:
        """Release the file; a later read opens it again."""
        self._slide.close()

    def read_region(
        self, x: int, y: int, size: tuple[int, int], *, level: int = 0, scale: float = 1.0
    ) -> Region:
        """See :meth:`~rl2qc.slides.readers.contract.SlideReader.read_region`."""
        check("level", level, int, within=Interval(0, len(self.info.level_dimensions) - 1))
        downsample = self.info.level_downsamples[level]
        starts, skips, extents = list[int](), list[float](), list[float]()
        for place, side, stretch in zip((x, y), size, self.info.stretch, strict=True):
            # Whole px of the level; the fraction left over is cut off when it is resampled.
            exact = place * stretch / downsample
            starts.append(round(math.floor(exact) * downsample))
            skips.append(exact - math.floor(exact))
            extents.append(skips[-1] + side * scale * stretch)
        needed = math.ceil(extents[0]), math.ceil(extents[1])
        read = self._slide.read_region(starts[0], starts[1], needed, level=level)
        rgb = Image.fromarray(read.rgb).resize(
            (size[0], size[1]),
            Image.Resampling.BICUBIC,
            box=(skips[0], skips[1], extents[0], extents[1]),
        )
        return Region(np.asarray(rgb), read.valid)

    def read_overview(self, downsample: float) -> Overview:
        """See :meth:`~rl2qc.slides.readers.contract.SlideReader.read_overview`."""
        check("downsample", downsample, float, within=Interval(0, closed="neither"))
        downsample = max(1.0, downsample)
        scanned = self._slide.info.bounds[2:]
        # Finer by a half where that is little: means of means are blurred.
        finer = 2 if math.prod(scanned) / downsample**2 <= _SMALL else 1
        read = self._slide.read_overview(downsample / finer)
        sides = [side / s for side, s in zip(scanned, self.info.stretch, strict=True)]
        columns, rows = (max(1, round(side / downsample)) for side in sides)
        rgb, valid, readable = (
            np.asarray(Image.fromarray(part).resize((columns, rows), Image.Resampling.BOX))
            for part in (read.rgb, read.valid, read.readable.astype(np.float32))
        )
        steps = sides[0] / columns, sides[1] / rows
        return Overview(rgb, np.asarray(valid, np.float32), readable >= _WHOLE, steps)


def _squared(stored: SlideInfo) -> SlideInfo:
    """What the slide says about itself, in square pixels."""

    def squared(size: tuple[int, int]) -> tuple[int, int]:
        across, down = (max(1, int(d / s)) for d, s in zip(size, stored.stretch, strict=True))
        return across, down

    return replace(
        stored,
        dimensions=squared(stored.dimensions),
        level_dimensions=tuple(map(squared, stored.level_dimensions)),
        bounds=square_bounds(stored.bounds, stored.stretch),
        stored=stored,
    )

"""What readers of pyramids have in common: regions and overviews, made of pixels of a level."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from rl2qc.core.arguments import Interval, check
from rl2qc.core.closing import Closing
from rl2qc.core.read_ahead import read_ahead
from rl2qc.errors import SlideError, UsageError
from rl2qc.slides.info import SlideInfo
from rl2qc.slides.readers.base import Overview, Region

__all__ = ["PyramidReader", "on_background", "to_srgb"]

# Side of the blocks in which an overview is read, in px of the level. It is also what one damaged
# byte costs the overview, and small slides should not lose all of it.
_BLOCK = 256
_OVERVIEW_THREADS = 2
# What a region may be: no library is asked for places that its numbers do not hold.
_PLACES, _SIDES = Interval(-(2.0**31), 2.0**31), Interval(1, 2**15, unit="px")
_SCALES = Interval(0, 2**15, closed="right")


class PyramidReader(Closing, ABC):
    """A :class:`~rl2qc.slides.readers.base.SlideReader` that lacks but pixels of a level.

    A subclass sets ``info`` and reads them by :meth:`read_layer`.

    Attributes
    ----------
    info
        What the slide says about itself.
    to_srgb
        Takes its colours to sRGB (:func:`to_srgb`); None leaves them as they are.
    """

    info: SlideInfo
    to_srgb: ImageCms.ImageCmsTransform | None = None

    @abstractmethod
    def read_layer(self, x: int, y: int, level: int, size: tuple[int, int]) -> Image.Image:
        """Pixels of a level, in RGB, or in RGBA if some of them were not scanned.

        Parameters
        ----------
        x, y
            The top left corner in level-0 px; pixels outside the slide count as not scanned.
        level
            The level.
        size
            Width and height in px of the level.

        Raises
        ------
        SlideError
            The file is damaged there.
        """

    def read_region(
        self, x: int, y: int, size: tuple[int, int], *, level: int = 0, scale: float = 1.0
    ) -> Region:
        """See :meth:`rl2qc.slides.readers.base.SlideReader.read_region`."""
        self._check(x, y, size, level, scale)
        if scale == 1.0:
            rgb, alpha = self._flatten(self.read_layer(x, y, level, size))
        else:
            extent = (size[0] * scale, size[1] * scale)
            layer = self.read_layer(x, y, level, (math.ceil(extent[0]), math.ceil(extent[1])))
            rgb, alpha = self._flatten(layer)
            rgb = rgb.resize(size, Image.Resampling.BICUBIC, box=(0, 0, *extent))
        valid = 1.0 if alpha is None else float(np.asarray(alpha).mean() / 255)
        return Region(np.asarray(rgb), valid)

    def read_overview(self, downsample: float) -> Overview:
        """Read the scanned part at about ``downsample`` level-0 px per pixel.

        It is read block by block from the best level, so that memory stays bounded for slides
        without a pyramid, too, and a damaged block costs no more than itself.

        Raises
        ------
        SlideError
            No block can be read.
        """
        check("downsample", downsample, float, within=Interval(0, closed="neither"))
        left, top, width, height = self.info.bounds
        downsample = max(1.0, downsample)
        columns, rows = max(1, round(width / downsample)), max(1, round(height / downsample))
        step_x, step_y = width / columns, height / rows
        level = _best_level(self.info.level_downsamples, downsample)
        level_downsample = self.info.level_downsamples[level]
        scale_x, scale_y = step_x / level_downsample, step_y / level_downsample
        side_x, side_y = max(1, int(_BLOCK / scale_x)), max(1, int(_BLOCK / scale_y))

        rgb = np.empty((rows, columns, 3), np.uint8)
        rgb[:] = self.info.background
        valid = np.zeros((rows, columns), np.float32)
        readable = np.ones((rows, columns), np.bool_)

        def fill(corner: tuple[int, int]) -> SlideError | None:
            x0, y0 = corner
            size = (min(side_x, columns - x0), min(side_y, rows - y0))
            block = np.s_[y0 : y0 + size[1], x0 : x0 + size[0]]
            # Blocks begin at whole level-0 px; the fraction left over is cut off when the block
            # is reduced.
            x, y = x0 * step_x, y0 * step_y
            skip_x, skip_y = (x % 1) / level_downsample, (y % 1) / level_downsample
            right, bottom = skip_x + size[0] * scale_x, skip_y + size[1] * scale_y
            box = (skip_x, skip_y, right, bottom)
            try:
                layer = self.read_layer(
                    left + int(x), top + int(y), level, (math.ceil(right), math.ceil(bottom))
                )
            except SlideError as error:
                readable[block] = False
                return error
            image, alpha = self._flatten(layer)
            rgb[block] = np.asarray(image.resize(size, Image.Resampling.BOX, box=box))
            valid[block] = (
                1.0
                if alpha is None
                else np.asarray(alpha.resize(size, Image.Resampling.BOX, box=box)) / 255
            )
            return None

        corners = ((x, y) for y in range(0, rows, side_y) for x in range(0, columns, side_x))
        errors = read_ahead(fill, corners, workers=_OVERVIEW_THREADS, window=4 * _OVERVIEW_THREADS)
        failures = [error for error in errors if error is not None]
        if failures and not readable.any():
            raise failures[-1]
        return Overview(rgb, valid, readable, (step_x, step_y))

    def _check(self, x: int, y: int, size: tuple[int, int], level: int, scale: float) -> None:
        for name, value in (("x", x), ("y", y)):
            check(name, value, int, within=_PLACES)
        if not isinstance(size, tuple | list) or len(size) != 2:
            raise UsageError(f"size must be width and height, got {size!r}")
        for name, value in zip(("width", "height"), size, strict=True):
            check(name, value, int, within=_SIDES)
        check("scale", scale, float, within=_SCALES)
        check("level", level, int, within=Interval(0, len(self.info.level_dimensions) - 1))
        if max(size) * scale > _SIDES.high:
            raise UsageError(f"{size[0]} x {size[1]} px at scale {scale:g} are too many at once")

    def _flatten(self, layer: Image.Image) -> tuple[Image.Image, Image.Image | None]:
        """RGB on the background, in sRGB if that was asked for, and the alpha if there is any."""
        rgb, alpha = on_background(layer, self.info.background)
        if self.to_srgb is not None:
            ImageCms.applyTransform(rgb, self.to_srgb, inPlace=True)
            if alpha is not None:
                # The background is no colour of the scanner's.
                rgb.paste(self.info.background, mask=alpha.point(lambda a: 255 - a))
        return rgb, alpha


def to_srgb(
    read_profile: Callable[[], ImageCms.ImageCmsProfile | None], file: Path
) -> ImageCms.ImageCmsTransform | None:
    """From a slide's colours to sRGB: one transform for all of its regions, None without a profile.

    Raises
    ------
    SlideError
        A profile that cannot be used; ``file`` is named.
    """
    try:
        profile = read_profile()
        if profile is None:
            return None
        return ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            "RGB",
            "RGB",
            ImageCms.Intent.PERCEPTUAL,
            # Without the cache of the last pixel, threads may share it.
            ImageCms.Flags.NOCACHE,
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise SlideError(
            f"{file} has an ICC profile that cannot be used ({' '.join(str(error).split())}): "
            "leave out --icc"
        ) from error


def on_background(
    layer: Image.Image, background: tuple[int, int, int]
) -> tuple[Image.Image, Image.Image | None]:
    """RGB on the background colour, and alpha where any of it is transparent.

    ``convert("RGB")`` would turn what was not scanned black. The result is a new image, which
    leaves the ICC profile behind.
    """
    if layer.mode == "RGB":
        rgb = layer.copy()
        rgb.info.clear()
        return rgb, None
    alpha = layer.getchannel("A")
    if alpha.getextrema() == (255, 255):
        rgb = layer.convert("RGB")
        rgb.info.clear()
        return rgb, None
    rgb = Image.new("RGB", layer.size, background)
    rgb.paste(layer, mask=alpha)
    return rgb, alpha


def _best_level(downsamples: tuple[float, ...], downsample: float) -> int:
    """The coarsest level that is not coarser than asked for, 1 % aside."""
    return max(
        (i for i, d in enumerate(downsamples) if d <= downsample * 1.01),
        key=lambda i: downsamples[i],
        default=0,
    )

"""The slide with its map: what is damaged as outlines in the colour of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rl2qc.filtering.slide_mask import TISSUE, Mapped, SlideMask, slide_mask
from rl2qc.images.reasons import DAMAGE_REASONS, FOREIGN, REASON_COLORS

__all__ = ["MappedPicture", "draw_around", "draw_map", "key_of", "with_key"]

Colour = tuple[int, int, int]

_REJECTED, _INK, _PAPER = (200, 0, 0), (30, 30, 30), (255, 255, 255)
# The tissue shows through.
_FILL = 0.15
# A picture is often shown 390 px wide, where letters of 11 px can be read.
_SHOWN, _LETTER = 390, 11


class MappedPicture(Mapped, Protocol):
    """What of a :class:`~rl2qc.filtering.table.TileTable` a picture with its map takes."""

    @property
    def bounds(self) -> tuple[int, int, int, int] | None: ...
    @property
    def keep(self) -> NDArray[np.bool_]: ...
    @property
    def areas(self) -> Mapping[str, float]: ...


def draw_map(table: MappedPicture, picture: Image.Image) -> Image.Image:
    """The picture of a slide's scanned part with outlines of what is damaged, the tissue visible
    within, and frames around rejected tiles."""
    assert table.bounds is not None
    pixels = np.array(picture.convert("RGB"))
    mask = slide_mask(table)
    labels = _at_pixels(mask, table.bounds, pixels.shape[:2])
    _frame(pixels, table, table.bounds)
    thick = max(2, round(max(pixels.shape) / 500))
    for label, name in enumerate(mask.classes, TISSUE + 1):
        _outline(pixels, labels == label, _colour(name), thick)
    return Image.fromarray(pixels)


def with_key(
    picture: Image.Image, lines: Sequence[str], swatches: Sequence[tuple[Colour, str]]
) -> Image.Image:
    """The picture with a key below it, in letters that can be read where it is shown small."""
    size = max(14, round(_LETTER * picture.width / _SHOWN))
    font, row, margin = ImageFont.load_default(size), round(1.6 * size), round(0.6 * size)
    height = picture.height + row * (len(lines) + len(swatches)) + 2 * margin
    canvas = Image.new("RGB", (max(picture.width, 420), height), _PAPER)
    canvas.paste(picture, (0, 0))
    draw, y = ImageDraw.Draw(canvas), picture.height + margin
    for line in lines:
        draw.text((margin, y), line.encode("ascii", "replace").decode(), _INK, font)
        y += row
    for colour, text in swatches:
        box = (margin, y + size // 8, margin + size, y + size // 8 + size)
        draw.rectangle(box, None, colour, max(2, size // 6))
        draw.text((margin + round(1.6 * size), y), text, _INK, font)
        y += row
    return canvas


def key_of(table: MappedPicture) -> list[tuple[Colour, str]]:
    """The kinds of damage that the slide has, the most first, with their share of the tissue."""
    rejected = int((~table.keep).sum())
    found = sorted(((share, name) for name, share in table.areas.items() if share), reverse=True)
    shown = [
        (REASON_COLORS.get(name, REASON_COLORS[FOREIGN]), f"{name} {share:.1%}")
        for share, name in found
    ]
    return [*shown, (_REJECTED, f"{rejected} tiles rejected")] if rejected else shown


def draw_around(
    around: NDArray[np.uint8],
    times: float,
    mask: NDArray[np.uint8] | None,
    classes: Sequence[str],
) -> NDArray[np.uint8]:
    """A tile in the middle of what is around it, framed, with outlines of what is damaged in it.

    Parameters
    ----------
    around : (s, s, 3) uint8
    times
        Its side, in sides of the tile.
    mask : (h, w) uint8
        The class of each of the tile's cells, from 1; None for a model without a map.
    classes
        Their names.
    """
    pixels = np.array(around)
    size = len(pixels)
    first, side = round(size * (1 - 1 / times) / 2), max(1, round(size / times))
    tile = pixels[first : first + side, first : first + side]
    if mask is not None and mask.size:
        at = np.arange(side)
        labels = mask[np.ix_(at * mask.shape[0] // side, at * mask.shape[1] // side)]
        for label, name in enumerate(classes, 1):
            _outline(tile, labels == label, _colour(name), 1)
    if times > 1:
        tile[[0, -1]] = tile[:, [0, -1]] = _INK
    return pixels


def _at_pixels(
    mask: SlideMask, bounds: tuple[int, int, int, int], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """The label of the cell that lies under the middle of each pixel."""
    left, top, width, height = bounds
    x = ((np.arange(shape[1]) + 0.5) * width / shape[1] + left) / mask.step[0]
    y = ((np.arange(shape[0]) + 0.5) * height / shape[0] + top) / mask.step[1]
    rows, columns = mask.labels.shape
    within = np.ix_(y.astype(np.int64).clip(0, rows - 1), x.astype(np.int64).clip(0, columns - 1))
    return np.asarray(mask.labels[within])


def _outline(
    pixels: NDArray[np.uint8], region: NDArray[np.bool_], colour: Colour, thick: int
) -> None:
    if not region.any():
        return
    # Here, since pictures are not always asked for.
    import cv2

    kernel = np.ones((2 * thick + 1, 2 * thick + 1), np.uint8)
    inner = cv2.erode(region.astype(np.uint8), kernel, borderValue=0) > 0
    pixels[inner] = (pixels[inner] * (1 - _FILL) + np.array(colour) * _FILL).astype(np.uint8)
    pixels[region & ~inner] = colour


def _frame(
    pixels: NDArray[np.uint8], table: MappedPicture, bounds: tuple[int, int, int, int]
) -> None:
    """A thin line around each rejected tile."""
    left, top, width, height = bounds
    rows, columns = pixels.shape[:2]
    gone = ~table.keep
    x0 = np.rint((table.x[gone] - left) * columns / width).astype(np.int64).clip(0, columns - 1)
    y0 = np.rint((table.y[gone] - top) * rows / height).astype(np.int64).clip(0, rows - 1)
    x1 = np.rint((table.x + table.width - left)[gone] * columns / width).astype(np.int64) - 1
    y1 = np.rint((table.y + table.height - top)[gone] * rows / height).astype(np.int64) - 1
    x1, y1 = x1.clip(x0, columns - 1), y1.clip(y0, rows - 1)
    for a, b, c, d in zip(x0.tolist(), y0.tolist(), x1.tolist(), y1.tolist(), strict=True):
        pixels[b, a : c + 1] = pixels[d, a : c + 1] = _REJECTED
        pixels[b : d + 1, a] = pixels[b : d + 1, c] = _REJECTED


def _colour(name: str) -> Colour:
    return REASON_COLORS.get(DAMAGE_REASONS.get(name, name), REASON_COLORS[FOREIGN])

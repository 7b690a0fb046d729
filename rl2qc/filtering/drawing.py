"""The slide small, and the slide with its tiles, as pictures to look at."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rl2qc.filtering.drawing_map import MappedPicture, draw_map, key_of, with_key

__all__ = ["Drawable", "overlay", "thumbnail"]

_PICTURE_SIDES = (800, 1600)
_KEPT, _REJECTED, _INK, _PAPER = (0, 150, 60), (200, 0, 0), (30, 30, 30), (255, 255, 255)
_TINT = (30, 130)


class Drawable(MappedPicture, Protocol):
    """As much of a :class:`~rl2qc.filtering.table.TileTable` as a picture of it takes."""

    @property
    def name(self) -> str:
        """Of the slide."""

    @property
    def thumbnail(self) -> NDArray[np.uint8] | None:
        """(h, w, 3) uint8 of the scanned part."""

    @property
    def bounds(self) -> tuple[int, int, int, int] | None:
        """x, y, width, height of the scanned part in level-0 px."""

    @property
    def stretch(self) -> tuple[float, float]:
        """Pixels of the slide that a square one has across and down."""

    @property
    def slide_mpp(self) -> float | None:
        """Microns per pixel of level 0."""

    @property
    def x(self) -> NDArray[np.int64]:
        """(n,) left edges of the tiles in level-0 px."""

    @property
    def y(self) -> NDArray[np.int64]:
        """(n,) their upper edges."""

    @property
    def width(self) -> NDArray[np.int64]:
        """(n,) their widths."""

    @property
    def height(self) -> NDArray[np.int64]:
        """(n,) their heights."""

    @property
    def keep(self) -> NDArray[np.bool_]:
        """(n,) the decision."""

    @property
    def measurements(self) -> dict[str, NDArray[np.float64]]:
        """Columns by name, "p_value" among them."""

    @property
    def alpha(self) -> float:
        """The level of the decision."""

    @property
    def method(self) -> str:
        """How it was made."""


def overlay(table: Drawable) -> Image.Image:
    """The slide's thumbnail with its tiles: kept ones outlined in green, rejected ones tinted red,
    the more strongly the smaller their p-value; where there is a map, with that
    (:mod:`rl2qc.filtering.drawing_map`), and frames around rejected tiles.

    Raises
    ------
    ValueError
        A table without a thumbnail, such as one of patches.
    """
    if table.thumbnail is None or table.bounds is None:
        raise ValueError(f"{table.name} has no thumbnail to draw on")
    small = _resized(table.thumbnail, *_PICTURE_SIDES)
    if table.evidence is not None:
        kept = f"{table.keep.sum()} of {len(table.keep)} tiles kept"
        return with_key(draw_map(table, small), [table.name, kept], key_of(table))
    picture = small.convert("RGBA")
    size = picture.size
    left, top, width, height = table.bounds
    scale_x, scale_y = size[0] / width, size[1] / height

    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    # Rounded alike, neighbours share their edge: neither gap nor overlap.
    x0, y0 = np.rint((table.x - left) * scale_x), np.rint((table.y - top) * scale_y)
    x1 = np.rint((table.x + table.width - left) * scale_x) - 1
    y1 = np.rint((table.y + table.height - top) * scale_y) - 1
    boxes = np.stack([x0, y0, np.maximum(x0, x1), np.maximum(y0, y1)], axis=1)
    strengths = _strengths(table.measurements["p_value"], table.alpha)
    # Kept tiles first, so that no outline of theirs lies over a rejected one.
    for i in np.argsort(~table.keep, kind="stable"):
        box = tuple(boxes[i].tolist())
        thin = box[2] - box[0] < 8
        if table.keep[i]:
            draw.rectangle(box, (*_KEPT, 40 if thin else 0), None if thin else (*_KEPT, 150))
        else:
            fill = (*_REJECTED, int(strengths[i]))
            draw.rectangle(box, fill, None if thin else (*_REJECTED, 255))
    return _with_legend(
        Image.alpha_composite(picture, layer).convert("RGB"), table, scale_x * table.stretch[0]
    )


def _resized(thumbnail: NDArray[np.uint8], shortest: int, longest: int) -> Image.Image:
    """The picture with its longer side within the bounds."""
    picture = Image.fromarray(thumbnail)
    side = max(picture.size)
    zoom = float(np.clip(side, shortest, longest)) / side
    size = (max(1, round(picture.width * zoom)), max(1, round(picture.height * zoom)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _strengths(p_values: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Opacity (of 255) of the tint: faint at alpha, strong at p = 0."""
    faint, strong = _TINT
    depth = 1 - np.clip(p_values / alpha, 0, 1) if alpha else np.ones_like(p_values)
    strengths: NDArray[np.float64] = faint + (strong - faint) * depth
    return strengths


def _with_legend(picture: Image.Image, table: Drawable, scale: float) -> Image.Image:
    """The picture with a strip below it that explains it."""
    font = ImageFont.load_default(18)
    kept, alpha = int(table.keep.sum()), table.alpha
    # Benjamini-Hochberg compares p-values that are adjusted to the number of tiles, known as q.
    symbol = "q" if table.method == "bh" else "p"
    row, margin, swatch = 30, 12, 18
    ramp = swatch * 4
    height = picture.height + 4 * row + 2 * margin
    canvas = Image.new("RGB", (max(picture.width, 420), height), _PAPER)
    canvas.paste(picture, (0, 0))
    draw = ImageDraw.Draw(canvas)

    y = picture.height + margin
    draw.text((margin, y), table.name.encode("ascii", "replace").decode(), _INK, font)
    y += row
    draw.rectangle((margin + ramp - swatch, y, margin + ramp, y + swatch), _PAPER, _KEPT, 2)
    draw.text((margin + ramp + 10, y), f"{kept} tiles kept ({symbol} > {alpha:g})", _INK, font)
    y += row
    for i, opacity in enumerate(_strengths(np.linspace(alpha, 0, ramp), alpha)):
        mixed = tuple(round((c * opacity + 255 * (255 - opacity)) / 255) for c in _REJECTED)
        draw.line((margin + i, y, margin + i, y + swatch), mixed)
    draw.rectangle((margin, y, margin + ramp, y + swatch), None, _REJECTED, 2)
    text = f"{len(table.keep) - kept} tiles rejected ({symbol} from {alpha:g} down to 0)"
    draw.text((margin + ramp + 10, y), text, _INK, font)
    if table.slide_mpp is not None:
        y += row
        microns, length = _scale_bar(table.slide_mpp / scale, canvas.width / 4)
        draw.rectangle((margin, y + 6, margin + length, y + 11), _INK)
        label = f"{microns:g} um" if microns < 1000 else f"{microns / 1000:g} mm"
        draw.text((margin + length + 10, y), label, _INK, font)
    return canvas


def _scale_bar(mpp: float, longest: float) -> tuple[float, float]:
    """The longest round length that fits: in microns and in px."""
    rounds = np.array([m * 10.0**e for e in range(0, 6) for m in (1, 2, 5)])
    microns = float(rounds[rounds <= max(mpp * longest, 1.0)].max())
    return microns, microns / mpp


def thumbnail(table: Drawable) -> Image.Image:
    """The slide alone, as large as :func:`overlay` shows it at most, and without loss: drawn on
    it again, the overlay is the same to the last bit.

    Raises
    ------
    ValueError
        A table without a thumbnail, such as one of patches.
    """
    if table.thumbnail is None:
        raise ValueError(f"{table.name} has no thumbnail")
    return _resized(table.thumbnail, 1, _PICTURE_SIDES[1])

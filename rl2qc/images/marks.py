"""What absorbs light on a slide and is no tissue: pens, lines, shadows, dust.

Marks that lie on tissue stay: what they do to it is for the model to judge.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.images.components import (
    Components,
    closed,
    dilated,
    distances,
    highest,
    local_mean,
    lowest,
    opened,
)
from rl2qc.images.glass import Glass

__all__ = ["Absorption", "without_marks"]

Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Neutral: optical densities of the channels differ by less than the first, or than the second's
# share of the highest. Stains absorb one colour more than twice as much as another.
_NEUTRAL, _NEUTRAL_SHARE = 0.008, 0.22
# Grey levels between channels of a picture without colour, whose noise is grey, too: neutral says
# nothing there.
_COLOURLESS = 1
# Smooth: texture below this share of the light absorbed, as in shadows, and in stains of glue,
# which are yellow or brown: they absorb blue more than green by this factor.
_SMOOTH, _BROWN_SMOOTH, _BROWN = 0.10, 0.16, 1.12
# A stain rather than glue, where there is no other tissue: so many of the smallest pieces, with
# details of so many times those of glass; what is left beside it are crumbs.
_ALONE, _DETAILS, _CRUMB = 40, 1.25, 8
# An area of grain rather than tissue: share of the box around it, how much its grey varies over
# squares of so many px, and share of the picture.
_BOX, _ONE_GREY, _GRAIN, _END = 0.85, 0.3, 31, 0.4
# Blood: green light absorbed.
_BLOOD = 0.2
# Something next to tissue along this share of its outline, or more, belongs to it.
_ATTACHED, _FREE = 0.4, 0.1
# Lines: radius in px of the largest disc within; for wider ones, its area as a share of the whole.
_LINE_RADIUS, _BAND_RADIUS, _LINE_SHARE, _STROKE_SHARE = 4, 10, 0.12, 0.3
# Even: standard deviation of the density within a stroke of a pen, as a share of its mean.
_PEN_EVEN, _STROKE_EVEN, _MAJORITY_EVEN = 0.45, 0.15, 0.2
# Density of strokes of a colour that tissue may have.
_STROKE = 0.6
# Scribbles across tissue: so many of the smallest pieces, next to tissue along this share at most.
_SCRIBBLE, _CROSSING = 16, 0.85
# What is wider than this in px is not bridged.
_WIDEST = 51
# Width in px of a stroke's soft edge, both sides together.
_SOFT = 7
# Tissue beside a mark, or between two, is at least so wide in px.
_BESIDE = 7


@dataclass(frozen=True, eq=False)
class Absorption:
    """How much light is absorbed where, compared with the glass around.

    Attributes
    ----------
    density : (h, w, 3) float32
        Optical density (base e) of each channel, slightly blurred.
    strongest : (h, w) float32
        That of the channel that absorbs most, 0 at least.
    sharp : (h, w) float32
        The same without blur.
    texture : (h, w) float32
        Contrast of details of a few pixels, in grey levels.
    plain
        Texture of empty glass.
    brightness : (h, w) float32
        Of the glass, in grey levels.
    colourless
        Whether the picture has no colours.
    """

    density: Floats
    strongest: Floats
    sharp: Floats
    texture: Floats
    plain: float
    brightness: Floats
    colourless: bool

    @classmethod
    def of(cls, rgb: NDArray[np.uint8], glass: Glass, counted: Mask) -> Absorption:
        """Measure a picture against its glass."""
        light = np.maximum(glass.light, 1)
        seen = np.where(counted[..., None], rgb, light).astype(np.float32)
        smooth = cv2.GaussianBlur(seen, (0, 0), 0.8)
        density = np.log(light / np.maximum(smooth, 1))
        sharp = -np.log(lowest(np.asarray(np.maximum(seen, 1) / light, np.float32)))
        detail = cv2.transform(np.abs(seen - cv2.GaussianBlur(seen, (0, 0), 2)), _MEAN)
        texture = np.asarray(cv2.blur(detail, (5, 5)), np.float32)
        # At least the rounding of grey levels.
        plain = (
            max(0.25, float(np.median(texture[glass.clear][::3]))) if glass.clear.any() else 0.25
        )
        chroma = (highest(seen) - lowest(seen))[counted]
        return cls(
            density,
            np.maximum(highest(density), 0),
            np.maximum(sharp, 0),
            texture,
            plain,
            np.asarray(cv2.transform(light, _MEAN), np.float32),
            bool(np.quantile(chroma[::7], 0.99) <= _COLOURLESS),
        )

    def is_neutral(self, parts: Components) -> Mask:
        """(n,) parts that absorb all colours alike; none in a picture without colours."""
        means = np.stack([parts.means(self.density[..., c]) for c in range(3)], axis=1)
        return ~np.bool_(self.colourless) & _neutral(means.max(axis=1), means.min(axis=1))


_MEAN = np.full((1, 3), 1 / 3)


def without_marks(mask: Mask, seen: Absorption, smallest: float) -> Mask:
    """``mask`` without what no tissue is, where that lies on glass.

    Parameters
    ----------
    mask
        (h, w) bool, all that absorbs.
    seen
        How much it absorbs.
    smallest
        Area in px of the smallest piece of tissue.
    """
    pens = _pens(mask, seen, smallest)
    left = mask & ~pens
    left &= ~_strokes(left, seen, smallest)
    if not seen.colourless:
        gone = _shadows(left, seen, smallest)
        rest = Components.of(left & ~gone)
        if not ((rest.area >= _CRUMB * smallest) & (np.arange(rest.count) > 0)).any():
            # There is nothing but what may be glue: a faint brown stain is more likely.
            gone &= ~_coloured(gone, seen, _ALONE * smallest)
        left &= ~gone
    return _bridged(mask, left, pens)


def _pens(mask: Mask, seen: Absorption, smallest: float) -> Mask:
    """Strokes of a colour that no common stain has."""
    red, green, blue = (seen.density[..., c] for c in range(3))
    most, least = seen.strongest, lowest(seen.density)
    # Haematoxylin, eosin and blood absorb green most, diaminobenzidine blue.
    odd = (most > 0.5) & (red > 1.2 * green)
    odd |= (most > 0.8) & (red > 1.02 * green) & (blue < 0.42 * red)
    odd |= (green > 0.35) & (red < 0.12 * green) & (blue > 0.6 * green)
    black = (least > 1.2) & (least > 0.72 * most)
    odd |= black
    core = cv2.morphologyEx((odd & mask).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))) > 0
    if not core.any():
        return np.zeros_like(mask)
    # The soft edge of a stroke has another colour.
    wide = dilated(core, _SOFT)
    parts = Components.of(core, wide)
    area, even = parts.area, parts.variation(most)
    contact = Components(Components.of(wide).labels, parts.count).contact(mask & ~wide)
    thin = np.pi * parts.radii() ** 2 < _STROKE_SHARE * area
    chosen = (area >= smallest / 4) & (contact < _FREE) & (even < _PEN_EVEN)
    chosen |= (area >= 4 * smallest) & (contact < _ATTACHED)
    # Black scribbles that cross a section and end beside it; what lies on it is put back.
    scribble = thin & (even < _PEN_EVEN / 2) & (parts.means(black) > 0.5)
    chosen |= scribble & (area >= _SCRIBBLE * smallest) & (contact < _CROSSING)
    chosen[0] = False
    if area[chosen].sum() > mask.sum() / 2:
        # A stain of that colour, unless it is drawn: thin, and even but for its edge.
        chosen &= thin & (_inner(parts).variation(most) < _MAJORITY_EVEN)
    return Components.of(wide).pick(chosen)


def _strokes(mask: Mask, seen: Absorption, smallest: float) -> Mask:
    """Strokes of any colour: long, dense and even."""
    parts = Components.of(mask)
    radii, cores = parts.radii(), _inner(parts)
    chosen = (parts.area >= smallest) & (np.pi * radii**2 < _STROKE_SHARE * parts.area)
    chosen &= cores.variation(seen.strongest) < _STROKE_EVEN
    chosen &= cores.means(seen.strongest) > _STROKE
    return parts.pick(chosen)


def _inner(parts: Components) -> Components:
    """The parts without their soft edges."""
    away = distances(parts.labels > 0)
    inner = away > np.minimum(3, 0.6 * parts.radii())[parts.labels]
    return Components(parts.labels * inner, parts.count)


def _shadows(mask: Mask, seen: Absorption, smallest: float) -> Mask:
    """Shadows, edges of glass, dust and dried glue: neutral, or brown without texture."""
    around = local_mean(seen.density, mask, 9)
    most = highest(around)
    texture = local_mean(seen.texture, mask, 9) / np.maximum(most * seen.brightness, 1e-6)
    red, green, blue = (around[..., c] for c in range(3))
    # Green stains absorb red most; blood, dense and all but clear to red, is no glue.
    brown = (blue > _BROWN * green) & (blue > red) & ~((green > _BLOOD) & (red < green / 4))
    smooth = texture < np.where(brown, _BROWN_SMOOTH, _SMOOTH)
    doubtful = _neutral(most, lowest(around)) | (smooth & brown)
    doubtful &= mask
    parts = Components.of(doubtful)
    radii, area = parts.radii(), parts.area
    chosen = (parts.means(smooth) > 0.5) | (radii <= _LINE_RADIUS)
    chosen |= (np.pi * radii**2 < _LINE_SHARE * area) & (radii <= _BAND_RADIUS)
    chosen |= area < 8 * smallest
    # The frosted end of a glass: as large as the box around it, and of one grey but for its grain
    # and what is written on it.
    broad = local_mean(seen.strongest, parts.labels > 0, _GRAIN)
    usual = parts.means(broad)[parts.labels]
    one_grey = parts.means(np.abs(broad - usual) < _ONE_GREY * usual) > _BOX
    chosen |= (parts.box_shares() > _BOX) & one_grey & (area < _END * mask.size)
    chosen &= parts.contact(mask & ~doubtful) < _ATTACHED
    return parts.pick(chosen)


def _coloured(mask: Mask, seen: Absorption, smallest: float) -> Mask:
    """Wide parts that absorb some colours more than others, and have details."""
    parts = Components.of(mask, closed(mask, 7))
    chosen = ~seen.is_neutral(parts) & (parts.area >= smallest)
    chosen &= (parts.radii() > _BAND_RADIUS) & (parts.means(seen.texture) > _DETAILS * seen.plain)
    return parts.pick(chosen)


def _bridged(before: Mask, left: Mask, pens: Mask) -> Mask:
    """``left`` and what was taken away between two pieces of it: marks that cross tissue."""
    gone = (before & ~left) | pens
    if not gone.any():
        return left
    width = int(np.clip(2 * distances(gone).max() + 7, 9, _WIDEST))
    tissue = opened(before & ~gone, _BESIDE)
    bridged = left | (gone & closed(tissue, width))
    # Where strokes cross, no disc is wide enough.
    holes = Components.of(~bridged)
    edge = np.concatenate([holes.labels[[0, -1]].ravel(), holes.labels[:, [0, -1]].ravel()])
    inside = holes.means(gone) > 0.5
    inside[edge] = False
    return bridged | holes.pick(inside)


def _neutral(most: NDArray[np.floating], least: NDArray[np.floating]) -> Mask:
    return np.asarray(most - least <= np.maximum(_NEUTRAL, _NEUTRAL_SHARE * most))

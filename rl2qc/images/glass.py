"""Empty glass, and whatever else on an overview cannot be tissue because it is even.

Glass may have any tint and brightness, and several of them on one slide: below a coverslip and
beside it, under a lamp that does not light the corners, in strips. What glass, frames, holders and
filled areas have in common is that nothing is in them: over a few pixels, colours differ by no
more than noise. Tissue has structure at every scale that an overview shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.images.components import dilated, highest, local_mean
from rl2qc.images.glass_regions import CLEAR, FILLED, Regions

__all__ = ["Glass", "find_glass"]

Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Evenness is measured over squares of this side in px, after a blur that takes most of the noise.
_WINDOW, _BLUR = 7, 1.0
# Even: the spread is at most so many times that of the evenest twentieth, plus so many grey
# levels, and never more than the last number.
_EVENEST, _TIMES, _PLUS, _EVEN = 0.05, 2.2, 0.6, 3.5
# Of noise the blur leaves this share. Of a pattern as fine as the pixels it may leave nothing: what
# is rougher before the blur than noise could be is not even, however smooth it looks after it.
_LEFT = 0.28
# Grey levels by which tissue is brighter than a dark background.
_BRIGHTER = 20


@dataclass(frozen=True, eq=False)
class Glass:
    """Where a picture is empty, and the light that tissue is compared with.

    Attributes
    ----------
    light : (h, w, 3) float32
        Colour that the picture would have without tissue, 0 to 255.
    clear : (h, w) bool
        Empty glass.
    empty : (h, w) bool
        Empty glass, frames and filled areas.
    colour
        Of the glass; where the background is dark, of that.
    dark
        Whether the background is darker than what lies on it, so that no glass is seen.
    """

    light: Floats
    clear: Mask
    empty: Mask
    colour: tuple[float, float, float]
    dark: bool


def find_glass(rgb: NDArray[np.uint8], counted: Mask) -> Glass | None:
    """Find what is even, and which of it is glass; None where there is no even background.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8, about 1,000 px a side at most.
    counted
        (h, w) bool, pixels that were scanned.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> picture = np.full((60, 80, 3), (242, 236, 218)) + rng.normal(0, 2, (60, 80, 3))
    >>> picture[:20] -= rng.uniform(60, 160, (20, 80, 1))
    >>> glass = find_glass(picture.astype(np.uint8), np.ones((60, 80), bool))
    >>> np.round(np.array(glass.colour) / 10).tolist(), bool(glass.empty[30:].mean() > 0.9)
    ([24.0, 24.0, 22.0], True)
    """
    if not counted.any():
        return None
    # A blur would draw what does not count into its neighbours.
    inner = counted & ~dilated(~counted, 7)
    smooth = cv2.GaussianBlur(rgb, (0, 0), _BLUR).astype(np.float32)
    mean = local_mean(smooth, inner, _WINDOW)
    fine = _spread(rgb.astype(np.float32), inner) <= _EVEN / _LEFT
    # Details alone are looked at where light falls off too steeply for any glass to be even.
    for seen, drift in ((smooth, False), (smooth - mean + 128, False), (smooth, True)):
        spread = _spread(seen, inner)
        noise = _noise(spread, inner)
        even = inner & fine & (spread <= min(_TIMES * noise + _PLUS, _EVEN))
        regions = Regions(mean, spread, even, counted, drift=drift)
        main = regions.main(spread[inner & ~even])
        if main is not None:
            break
    else:
        return None
    rest = mean[inner & ~even]
    colour = regions.colour[main]
    dark = bool(len(rest) and np.median(rest.mean(axis=1)) > colour.mean() + _BRIGHTER)
    kinds = regions.kinds(main)
    expected = regions.picture(regions.block_colour.astype(np.float32))
    near = even & (highest(np.abs(smooth - expected)) <= 3 * noise + 6)
    kind = regions.picture(kinds.astype(np.float32))
    empty, clear = near & (kind > 0), near & (kind == CLEAR)
    red, green, blue = (float(c) for c in colour)
    if dark:
        light = np.broadcast_to(colour, mean.shape)
    else:
        lamp = regions.lamp(kinds == CLEAR)[..., None]
        light = lamp * _spread_out(mean / lamp, clear, colour)
    return Glass(np.asarray(light, np.float32), clear, empty, (red, green, blue), dark)


def _spread(values: Floats, where: Mask) -> Floats:
    """Standard deviation around each pixel, of all channels together."""
    # Near zero, squares keep their digits.
    centred = values - 128
    mean = local_mean(centred, where, _WINDOW)
    square = local_mean(centred * centred, where, _WINDOW)
    variance = np.maximum(square - mean * mean, 0)
    return np.sqrt(cv2.transform(variance, np.full((1, 3), 1 / 3)))


def _noise(spread: Floats, where: Mask) -> float:
    """Spread of what is evenest, filled areas aside."""
    measured = spread[where & (spread > FILLED)]
    return float(np.quantile(measured, _EVENEST)) if len(measured) else 0.0


def _spread_out(mean: Floats, clear: Mask, colour: Numbers) -> Floats:
    """The colours of clear glass, carried on over what lies between: nearest counts most.

    Pyramids of weighted means, coarse ones where fine ones are empty.
    """
    weight = clear.astype(np.float32)
    levels = [(mean * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 4:
        size = tuple(-(-n // 2) for n in levels[-1][1].shape[::-1])
        levels.append(
            tuple(cv2.resize(v, size, interpolation=cv2.INTER_AREA) for v in levels[-1])  # type: ignore[arg-type]
        )
    values, weight = levels.pop()
    known = np.maximum(weight, 1e-3)[..., None]
    light = np.where(weight[..., None] > 1e-3, values / known, np.float32(colour))
    for values, weight in reversed(levels):
        light = cv2.resize(light.astype(np.float32), weight.shape[::-1])
        light = light * (1 - weight[..., None]) + values
    return np.asarray(light, np.float32)

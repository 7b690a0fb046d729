"""Whether the colours of a slide can be those of stained tissue in transmitted light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["odd_colours"]

# Glass is grey and bright: every channel above the first number, and within the second of each
# other. Wrong colours change the glass first, so where this share of a slide is glass, all is well.
_GLASS_BRIGHTNESS, _GLASS_CHROMA, _GLASS_SHARE = 180, 40, 0.05
# What was not scanned may be filled with black.
_BLACK = 5
# Dark: no channel above this. Transmitted light leaves no such background.
_DARK, _DARK_SHARE = 60, 0.3
# The lightest share of the picture, and how coloured it may be: glass in a wrong colour space
# differs by 100 grey levels between channels. Eosin that fills a picture may, too, but then the
# second channel lies well between the others, not within these shares of the difference to one.
_LIGHTEST, _TINT, _BETWEEN = 0.05, 90, (0.15, 0.93)
# Share of the pixels that may absorb green least, which no usual stain does.
_GREEN_SHARE = 0.6


def odd_colours(rgb: NDArray[np.uint8], scanned: NDArray[np.bool_] | None = None) -> str:
    """What is wrong with the colours of a slide; "" if nothing is.

    Found are fluorescence and inverted pictures (a dark background, or green tissue) and pictures
    whose colour space was mistaken (a coloured background): YCbCr shown as RGB turns glass pink,
    RGB shown as YCbCr magenta. A stain that the model does not know is another matter; H&E,
    immunohistochemistry and other stains in transmitted light pass.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8, the slide at a few microns per pixel or coarser.
    scanned
        (h, w) bool; the other pixels do not count.

    Examples
    --------
    >>> picture = np.full((8, 8, 3), 240, np.uint8)
    >>> picture[:4] = (180, 90, 150)
    >>> odd_colours(picture), odd_colours(255 - picture)
    ('', 'the background is dark, as in fluorescence or inverted pictures')
    """
    pixels = rgb.reshape(-1, 3) if scanned is None else rgb[scanned]
    lit = pixels[pixels.max(axis=1) > _BLACK]
    if not len(lit):
        return ""
    chroma = lit.max(axis=1).astype(np.int64) - lit.min(axis=1)
    glass = (lit.min(axis=1) > _GLASS_BRIGHTNESS) & (chroma < _GLASS_CHROMA)
    if glass.mean() >= _GLASS_SHARE:
        return ""
    if (pixels.max(axis=1) < _DARK).mean() > _DARK_SHARE:
        return "the background is dark, as in fluorescence or inverted pictures"
    light = lit.mean(axis=1)
    background = np.median(lit[light >= np.quantile(light, 1 - _LIGHTEST)], axis=0)
    red, green, blue = (float(value) for value in background)
    tint = max(red, green, blue) - min(red, green, blue)
    stained = _BETWEEN[0] * tint < min(red, blue) - green < _BETWEEN[1] * tint
    if tint > _TINT and not stained:
        return (
            f"the background is coloured (RGB {red:.0f}, {green:.0f}, {blue:.0f}), as when YCbCr "
            "is shown as RGB"
        )
    if (lit.argmax(axis=1) == 1).mean() > _GREEN_SHARE:
        return "the tissue is green, as in inverted pictures"
    return ""

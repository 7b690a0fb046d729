"""What can be measured of a patch without a model: focus, noise, blocks, hue, density, glass.

A score says that a patch is unlike the reference; these say in which way. Each is one number with
a meaning, and cheap: together they cost a small part of a forward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.images.quantity_names import QUANTITIES

__all__ = ["MIN_SIDE", "image_quantities", "measure_quantities", "odd_hue_cells"]

MIN_SIDE = 16
"""Sides of a patch from which on it can be measured, in px."""

Floats = NDArray[np.float32]

# Optical density (base e) of each grey level; one level is added so that black is finite.
_DENSITY = (-np.log((np.arange(256) + 1) / 256)).astype(np.float32)
# Standard deviations of the Gaussians between which detail is fine, and not so fine, in px.
_FINE, _MID = 1.0, 2.0
# Focus and noise are taken block by block, so that part of a patch can tell: sides in px, and the
# share of the blocks that may be worse (focus) or better (noise) than the number that is returned.
_FOCUS_BLOCK, _NOISE_BLOCK = 32, 8
_FOCUS_SHARE, _NOISE_SHARE = 0.3, 0.1
# Blocks with less energy (grey levels squared) than this hold nothing that could be in focus.
_TEXTURE = 4.0
# Differences of less than this energy are rounding.
_ROUNDING = 0.25
# Side of JPEG's blocks in px.
_JPEG_BLOCK = 8
# Colours are averaged over squares of this side in px: coarser than noise, finer than ink.
_COLOUR_BLOCK, _DENSITY_BLOCK = 4, 8
# A pixel has a hue that can be told from this density on; and another channel must absorb more
# than green by this share of the density.
_HUE_DENSITY, _HUE_MARGIN = 0.2, 0.05
# Black ink is at least this dense in every channel, and within this share of the densest alike in
# all; what is denser than the last number is black altogether: nothing, and no ink.
_GREY_DENSITY, _GREY_MARGIN, _BLACK_DENSITY = 1.2, 0.25, 4.0
# The darkest share of a patch that darkness is the density of.
_DARKEST = 0.02
# Glass: every channel brighter than this, of 255.
_GLASS = 215


def image_quantities(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Measure one patch.

    ``focus``
        log2 of the ratio of detail finer than about 1 px to detail of 1 to 2 px, rms, of the less
        sharp part of the patch (the lower 30 % of its textured blocks of 32 px). As both bands
        fall alike with the content's contrast, blur alone lowers it: about -1 per 0.8 px.
    ``noise``
        Standard deviation of what no smooth or straight-edged picture has, in grey levels [1]_, in
        the quieter part of the patch (the lower 10 % of its blocks of 8 px), so that texture
        counts little.
    ``blockiness``
        log2 of the ratio of steps across the borders of 8 x 8 blocks, wherever their grid begins,
        to steps elsewhere; the smaller one of rows and columns.
    ``odd_hue``
        Share of the area whose colour is none that haematoxylin, eosin or blood can mix: all of
        them absorb green most [2]_; inks absorb red or blue more, or all colours alike.
    ``density``
        Mean optical density over all channels, base e: 0 is white.
    ``darkness``
        The same for the darkest 2 % of the area, in squares of 8 px.
    ``white``
        Share of the area that is glass or nothing.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
        Of at least :data:`MIN_SIDE` px.

    Returns
    -------
    (7,) float64, in the order of :data:`~rl2qc.images.quantity_names.QUANTITIES`; always finite.

    Raises
    ------
    ValueError
        An image of another shape or type, or a smaller one.

    References
    ----------
    .. [1] Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64
       (1996) 300-302, here by blocks.
    .. [2] Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution",
       Anal. Quant. Cytol. Histol. 23 (2001) 291-299.

    Examples
    --------
    >>> grey = np.full((64, 64, 3), 127, np.uint8)
    >>> dict(zip(QUANTITIES, image_quantities(grey).round(3).tolist()))
    {'focus': 0.0, 'noise': 0.0, 'blockiness': 0.0, 'odd_hue': 0.0, 'density': 0.693,
     'darkness': 0.693, 'white': 0.0}
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected (h, w, 3) uint8, got {image.shape} {image.dtype}")
    if min(image.shape[:2]) < MIN_SIDE:
        raise ValueError(f"a patch must measure {MIN_SIDE} px at least, got {image.shape[:2]}")
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    light = grey.astype(np.float32)
    noise = _noise(light)
    return np.array([_focus_in_place(light), noise, _blockiness(grey), *_colours(image)])


def measure_quantities(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """:func:`image_quantities` of several patches, (n, 7) float64.

    Examples
    --------
    >>> measure_quantities(np.zeros((2, 64, 64, 3), np.uint8)).shape
    (2, 7)
    """
    rows = [image_quantities(image) for image in images]
    return np.stack(rows) if rows else np.empty((0, len(QUANTITIES)))


def _focus_in_place(light: Floats) -> float:
    """Focus; ``light`` becomes scratch, as new memory costs more than the filters."""
    sharp = light
    soft = cv2.GaussianBlur(sharp, (0, 0), _FINE)
    fine = _energy_in_place(sharp, soft)
    softer = cv2.GaussianBlur(soft, (0, 0), math.sqrt(_MID**2 - _FINE**2), dst=sharp)
    mid = _energy_in_place(soft, softer)
    ratios = np.log2((fine + _ROUNDING) / (mid + _ROUNDING)) / 2
    textured = ratios[mid > _TEXTURE]
    return _quantile(textured if len(textured) else ratios, _FOCUS_SHARE)


def _energy_in_place(sharp: Any, soft: Any) -> Floats:
    """Mean squared difference in each block that focus is taken of; ``sharp`` becomes scratch."""
    difference = cv2.subtract(sharp, soft, dst=sharp)
    return _blocks(np.square(difference, out=difference), _FOCUS_BLOCK)


def _noise(light: Floats) -> float:
    second = np.array([1.0, -2.0, 1.0])
    residual: Any = cv2.sepFilter2D(light, -1, second, second)
    np.abs(residual, out=residual)
    # Of white noise the filter makes 6 sigma, and the mean absolute value is sqrt(2 / pi) of that.
    return math.sqrt(math.pi / 2) / 6 * _quantile(_blocks(residual, _NOISE_BLOCK), _NOISE_SHARE)


def _blockiness(grey: NDArray[np.uint8]) -> float:
    across = cv2.absdiff(grey[:, 1:], grey[:, :-1])
    down = cv2.absdiff(grey[1:], grey[:-1])
    return min(_border_step(across, 0), _border_step(down, 1))


def _border_step(differences: Any, axis: int) -> float:
    """How much larger the steps are in the phase of the block borders than in the others.

    The median over all borders of a phase: a single edge of the tissue is none.
    """
    steps = cv2.reduce(differences, axis, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
    whole = len(steps) // _JPEG_BLOCK * _JPEG_BLOCK
    phases = np.sort(np.median(steps[:whole].reshape(-1, _JPEG_BLOCK), axis=0))
    middle = (phases[_JPEG_BLOCK // 2 - 1] + phases[_JPEG_BLOCK // 2]) / 2
    return float(np.log2((phases[-1] + 0.1) / (middle + 0.1)))


def _colours(image: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    red, green, blue = _squares(image)
    # The brighter a channel, the less dense.
    brightest, darkest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    least, most = _DENSITY[brightest], _DENSITY[darkest]
    densities = [_DENSITY[channel] for channel in (red, green, blue)]
    coloured = _coloured(most, densities[1])
    grey = (least > _GREY_DENSITY) & (least > (1 - _GREY_MARGIN) * most) & (most < _BLACK_DENSITY)
    squares = _blocks(sum(densities) / np.float32(3), _DENSITY_BLOCK // _COLOUR_BLOCK)
    return (
        float((coloured | grey).mean()),
        float(squares.mean()),
        _quantile(squares, 1 - _DARKEST),
        float((darkest > _GLASS).mean()),
    )


def _squares(image: NDArray[np.uint8]) -> tuple[Any, ...]:
    """Red, green and blue of squares of 4 px; apart, as a reduction over three is slow."""
    height, width = image.shape[:2]
    size = (width // _COLOUR_BLOCK, height // _COLOUR_BLOCK)
    return tuple(cv2.split(cv2.resize(image, size, interpolation=cv2.INTER_AREA)))


def _coloured(most: Any, green: Any) -> NDArray[np.bool_]:
    """Where another channel absorbs more than green, of the densest channel and green."""
    return np.asarray((most > _HUE_DENSITY) & (most - green > _HUE_MARGIN * most))


def odd_hue_cells(images: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.int8]:
    """How much of each cell of patches has a hue that no stain has, grey ones left aside.

    Parameters
    ----------
    images : (n, h, w, 3) uint8 RGB
    shape
        Cells down and across a patch.

    Returns
    -------
    (n, *shape) int8, quarters of a cell, 0 to 4.

    Examples
    --------
    >>> images = np.full((1, 16, 16, 3), 220, np.uint8)
    >>> images[0, :8, :8], images[0, 8:, 8:12] = (40, 120, 60), (40, 120, 60)
    >>> odd_hue_cells(images, (2, 2)).tolist()
    [[[4, 0], [0, 2]]]
    """
    found = np.empty((len(images), *shape), np.int8)
    for row, image in zip(found, images, strict=True):
        red, green, blue = _squares(image)
        odd = _coloured(_DENSITY[cv2.min(cv2.min(red, green), blue)], _DENSITY[green])
        share: Any = cv2.resize(odd.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
        row[:] = np.rint(4 * share)
    return found


def _blocks(values: Floats, side: int) -> Floats:
    """Means over blocks of about ``side`` px, flat."""
    height, width = values.shape
    size = (max(1, width // side), max(1, height // side))
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32).ravel()


def _quantile(values: NDArray[np.floating], share: float) -> float:
    """The value that ``share`` of the others lie below; without interpolation, which costs."""
    index = round(share * (len(values) - 1))
    return float(np.partition(values, index)[index])

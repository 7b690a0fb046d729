"""Long straight lines: what folds, threads, hairs, scratches and strokes have, and tissue rarely.

Of each of 48 directions the slope and the curvature across it, of optical density and of its
colour, are summed along a line of 128 px. Each pixel counts no more than a limit: one dark nucleus
is no line. The sums double in six steps, each of which adds a copy that is shifted by as much as is
summed so far (the fast discrete Radon transform), on whole numbers; short sums serve all directions
that are close to theirs. A dark line is strong where the curvature is. A band has two edges, 8 to
36 px apart, of opposite slope: it is as strong as the weaker one, and so the wall of a crypt, which
has one, is none. What counts is how far the strongest stands out of the image's own: muscle has
many.

References
----------
Brady, "A fast discrete approximation algorithm for the Radon transform", SIAM Journal on Computing
27:107, 1998. Götz and Druckmüller, "A fast digital Radon transform: an efficient means for
evaluating the Hough transform", Pattern Recognition 29:711, 1996.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.stats.prior import LINES

__all__ = ["line_responses", "line_strengths"]

_Whole: TypeAlias = NDArray[np.int16]
_Floats: TypeAlias = NDArray[np.float32]
# The picture is halved, so that 64 px of it are 128.
_DOUBLINGS = 6
# Directions in half a turn, and the doublings before which each parts in two.
_DIRECTIONS, _PARTING = 24, (5,)
# A slope of this much (density, base e, a px) counts in full, in whole numbers.
_ONE = 64
_COLOUR = 4.0
_FULL = _ONE << _DOUBLINGS
# Of an image's places, as many lie on its usual lines; log-odds are bounded.
_USUAL, _LEAST = 0.9, 1e-3
# Pictures taken at a time: more do not stay in a processor's cache.
_AT_ONCE = 2
# Lines whose middle lies at the border are half outside, px of the halved picture.
_BORDER = 4
# Bands are looked for at every other place. Their second edge lies so far across, in places of the
# halved picture: the nearest, and the steps that cover all up to the farthest.
_EVERY, _NEAREST, _STEPS = 2, 3, (2, 4, 8)
_MARGIN = 9
# Nothing lies around a picture: the first pixel of half a line lies so far outside at the most.
_PADDING = 36
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def line_responses(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far the strongest line of each kind stands out in each image.

    Parameters
    ----------
    images : (n, h, w, 3) uint8 RGB

    Returns
    -------
    (n, 4) float32
        By the names of :data:`rl2qc.stats.prior.LINES`: with s the mean over the strongest line of
        what each pixel counts, and u what a tenth of all places has, the share s / (1 - s) has of
        s / (1 - s) + u / (1 - u); .5 where no line stands out.

    Examples
    --------
    >>> plain = np.full((1, 224, 224, 3), 200, np.uint8)
    >>> lined = plain.copy(); lined[:, :, 100:106] = 80
    >>> float(line_responses(plain).max()), bool(line_responses(lined)[0, 2] > 0.9)
    (0.5, True)
    """
    found = np.full((len(images), len(LINES)), 0.5, np.float32)
    for start in range(0, len(images), _AT_ONCE):
        strongest = zip(*_strongest(images[start : start + _AT_ONCE]), strict=True)
        for row, parts in enumerate(strongest, start):
            kinds = [kind.ravel() for part in parts for kind in part]
            if kinds[0].size:
                found[row] = _standing_out(kinds)
    return found


def line_strengths(image: NDArray[np.uint8]) -> tuple[_Floats, _Floats]:
    """How strong the strongest band and dark line through each place are, 0 to 1.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB

    Returns
    -------
    bands : (2, a, b) float32
        Of density and of colour, by the middle of one edge; places lie 4 px apart.
    dark : (2, c, d) float32
        By the middle of the line; 2 px apart. No place lies at the border.
    """
    (bands,), (dark,) = _strongest(image[None])
    return np.asarray(bands / _FULL, np.float32), np.asarray(dark / _FULL, np.float32)


def _standing_out(kinds: list[_Whole]) -> _Floats:
    """How far the strongest of each kind stands out of the usual ones."""
    ranks = [(k.max(), _in_order(k, int(_USUAL * (k.size - 1)))) for k in kinds]
    shares = np.array(ranks, np.float32) / _FULL
    most, usually = (p / (1 - p) for p in np.clip(shares.T, _LEAST, 1 - _LEAST))
    return np.asarray(most / (most + usually), np.float32)


def _in_order(sums: _Whole, rank: int) -> int:
    """The sum of this rank from below, of sums from 0 on."""
    return int(np.searchsorted(np.cumsum(np.bincount(sums)), rank, side="right"))


def _strongest(images: NDArray[np.uint8]) -> tuple[_Whole, _Whole]:
    """Sums of the strongest band (n, 2, a, b) and dark line (n, 2, c, d) through each place."""
    slopes, curvatures = _derivatives([plane for image in images for plane in _planes(image)])
    planes, height, width = slopes.shape[1:]
    rows, columns = height - 2 * _BORDER, width - 2 * _BORDER
    if min(rows, columns) <= 0:
        return (np.zeros((len(images), 2, 0, 0), np.int16),) * 2
    # Lines of the first half of the directions go down, those of the other half up.
    above, below = (
        np.zeros((2 * planes, height + _PADDING, width + _PADDING), np.int16) for _ in range(2)
    )
    bands, dark = _Bands(planes, rows, columns), np.zeros_like(above)
    half, across_all = above[planes:].size, above.shape[2]
    count = above[1:].size + (rows - 1) * across_all + columns
    flat_dark = dark.reshape(-1)[half:count]
    step = np.pi / _DIRECTIONS
    for angle in np.arange(_DIRECTIONS) * step:
        padded, top = (above, _PADDING) if angle <= np.pi / 2 else (below, 0)
        parts = padded[:, top : top + height, :width]
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        across = np.tensordot(np.array([cos, sin]), slopes, 1)
        parts[:planes] = np.clip(across, -_ONE, _ONE, out=across)
        # Of a dark line the density has its top in the middle: it bends downwards.
        bend = np.tensordot(-np.array([cos * cos, 2 * cos * sin, sin * sin]), curvatures, 1)
        parts[planes:] = np.clip(bend, -_ONE, _ONE, out=bend)
        first = (top + _BORDER) * across_all + _BORDER
        for line in _fan(_Sums(padded.reshape(-1), across_all), angle, step, (first, count)):
            np.maximum(flat_dark, line[half:], out=flat_dark)
            edges = line[:half].reshape(planes, *above.shape[1:])[:, :rows, :columns]
            bands.add(edges, angle)
    of_bands, of_dark = bands.strongest, dark[planes:, :rows, :columns]
    of_images = (len(images), 2)
    return (
        of_bands.reshape(*of_images, *of_bands.shape[1:]),
        of_dark.reshape(*of_images, *of_dark.shape[1:]),
    )


def _planes(image: NDArray[np.uint8]) -> list[_Floats]:
    """Density and colour of the halved picture, slightly smoothed."""
    size = ((image.shape[1] + 1) // 2, (image.shape[0] + 1) // 2)
    density = _DENSITY[cv2.resize(image, size, interpolation=cv2.INTER_AREA)]
    planes = density.sum(2), _COLOUR * (density[..., 0] - density[..., 1])
    return [np.asarray(cv2.GaussianBlur(plane, (0, 0), 0.8), np.float32) for plane in planes]


def _derivatives(planes: list[_Floats]) -> tuple[_Floats, _Floats]:
    """Slopes (2, planes, h, w) along x and y; curvatures (3, planes, h, w) xx, xy and yy."""
    first = [(1, 0), (0, 1)]
    second = [(2, 0), (1, 1), (0, 2)]
    slopes = [[cv2.Sobel(p, cv2.CV_32F, *d, scale=_ONE / 4) for p in planes] for d in first]
    curvatures = [
        [cv2.Sobel(p, cv2.CV_32F, *d, ksize=5, scale=_ONE / 16) for p in planes] for d in second
    ]
    return np.array(slopes, np.float32), np.array(curvatures, np.float32)


class _Bands:
    """The strongest band (planes, a, b) through every other place, of all directions so far."""

    def __init__(self, planes: int, rows: int, columns: int) -> None:
        # Nothing lies around, so that a shift is one of places here, too.
        below, beside = -(-rows // _EVERY), -(-columns // _EVERY)
        self.inside = slice(None), slice(_MARGIN, _MARGIN + below), slice(beside)
        self.edges = np.zeros((planes, below + 2 * _MARGIN, beside + _MARGIN), np.int16)
        self.most = np.zeros_like(self.edges)

    @property
    def strongest(self) -> _Whole:
        """As strong as the weaker of its edges."""
        return self.most[self.inside]

    def add(self, edges: _Whole, angle: float) -> None:
        """Take the edges (planes, rows, columns) of one direction."""
        self.edges[self.inside] = edges[:, ::_EVERY, ::_EVERY]
        flat, most = self.edges.reshape(-1), self.most.reshape(-1)
        # The steepest slopes, up and down, of the places from here on; the first of them moves.
        rise, fall, moved = flat, flat, 0
        for step in _STEPS:
            far = _far(step, angle, self.edges.shape[2])
            here, there = _shifted(far)
            rise = np.maximum(rise[here], rise[there])
            fall = np.minimum(fall[here], fall[there])
            moved += max(-far, 0)
        # The other edge of the place p is at p + far.
        start = moved - _far(_NEAREST, angle, self.edges.shape[2])
        skip = max(-start, 0)
        rise, fall, start = rise[skip:], fall[skip:], start + skip
        stop = min(start + len(rise), len(flat))
        own, best = flat[start:stop], most[start:stop]
        rise, fall = rise[: len(own)], fall[: len(own)]
        np.maximum(best, np.minimum(own, -fall), out=best)
        np.maximum(best, np.minimum(-own, rise), out=best)


@lru_cache(1024)
def _far(step: int, angle: float, width: int) -> int:
    """How many of the places of a band's edges, so many in a row, lie between two that are a step
    apart across the lines."""
    down, across = step * float(np.sin(angle)), step * float(np.cos(angle))
    return round(down / _EVERY) * width + round(across / _EVERY)


def _shifted(far: int) -> tuple[slice, slice]:
    """The places that have another so far on, and these."""
    if far == 0:
        return slice(None), slice(None)
    here, there = slice(None, -abs(far)), slice(abs(far), None)
    return (here, there) if far > 0 else (there, here)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums (n,) along lines by their first pixel, of padded pictures row after row.

    So a shift of rows and columns is one of places, and a sum one pass without gaps; what runs over
    the end of a row meets the padding. ``reach`` is how far the line goes from its first pixel,
    each down and across.
    """

    sums: _Whole
    width: int
    reach: tuple[int, int] = (0, 0)

    def doubled(self, length: int, angle: float) -> _Sums:
        """Lines of twice their length, that go on in the direction across ``angle``."""
        y, x = _shift(length, angle)
        far = y * self.width + x
        here, there = _shifted(far)
        found = np.empty_like(self.sums)
        np.add(self.sums[here], self.sums[there], out=found[here])
        # Beyond lies nothing.
        end = slice(len(found) - far, None) if far > 0 else slice(-far)
        found[end] = self.sums[end]
        return _Sums(found, self.width, (self.reach[0] + y, self.reach[1] + x))

    def doubled_at_middle(self, length: int, angle: float, places: tuple[int, int]) -> _Whole:
        """The sums of lines of twice their length, whose middles lie at the places (first, count)
        on."""
        y, x = _shift(length, angle)
        first, count = places
        start = first - round((self.reach[0] + y) / 2) * self.width
        start -= round((self.reach[1] + x) / 2)
        end = start + y * self.width + x
        return self.sums[start : start + count] + self.sums[end : end + count]


@cache
def _shift(length: int, angle: float) -> tuple[int, int]:
    """Down and across, of a line of this length in the direction across ``angle``."""
    return round(length * float(np.cos(angle))), round(-length * float(np.sin(angle)))


def _fan(
    sums: _Sums, angle: float, step: float, places: tuple[int, int], done: int = 0
) -> Iterator[_Whole]:
    """The longest sums in the directions around one, ``step`` from its neighbours."""
    near, spread = [angle], step
    if done in _PARTING:
        near, spread = [angle - step / 4, angle + step / 4], step / 2
    for own in near:
        if done == _DOUBLINGS - 1:
            yield sums.doubled_at_middle(1 << done, own, places)
        else:
            yield from _fan(sums.doubled(1 << done, own), own, spread, places, done + 1)

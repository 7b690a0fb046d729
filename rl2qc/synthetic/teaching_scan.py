"""What scanners and files do: local defocus, seams, stripes, JPEG 2000, colour shift, blackouts."""

from __future__ import annotations

import cv2
import numpy as np

from rl2qc.synthetic.teaching_tools import (
    Canvas,
    Damaged,
    Floats,
    Image,
    canvas_of,
    cover,
    grid,
    lay,
    line,
    only_inside,
    smoothstep,
)

__all__ = [
    "blackout",
    "chromatic_shift",
    "defocus_patch",
    "jpeg_2000",
    "jpeg_again",
    "seam",
    "stripes",
]


def defocus_patch(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A region out of focus, round, banded or one-sided; the blur may grow inwards.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB
    area
        Share of the pixels that is covered, 0 to 1.
    rng
        Source of randomness.

    Returns
    -------
    Damaged
        A new image and the mask (h, w) bool of what was covered.

    Raises
    ------
    ValueError
        If ``image`` is no (h, w, 3) uint8 array or ``area`` lies outside 0 to 1.

    Examples
    --------
    >>> image = np.zeros((64, 64, 3), np.uint8); image[::4] = 255
    >>> damaged = defocus_patch(image, 0.5, np.random.default_rng(0))
    >>> bool(damaged.image[damaged.mask].std() < image.std())
    True
    """
    canvas, side = canvas_of(image, area, rng)
    field = _region(canvas, side)
    radius = np.exp(rng.uniform(np.log(1.5), np.log(7)))
    if rng.random() < 0.5:
        soft = canvas.blur(image, 0.6 * radius)
    else:
        reach = int(np.ceil(radius))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
        soft = np.asarray(cv2.filter2D(image, -1, disc / disc.sum()), np.float32)
    fade = rng.uniform(1, 0.12 * side)
    mask, edge = cover(field, area)
    return only_inside(image, lay(image, soft, smoothstep(edge, 0, fade)), mask)


def seam(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """A seam between fields of the scanner: beyond a straight line all is shifted, paler or darker.

    Parameters, return value and errors are those of :func:`defocus_patch`.

    Examples
    --------
    >>> ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[:, None, None], (1, 64, 3))
    >>> damaged = seam(ramp, 0.5, np.random.default_rng(0))
    >>> float(damaged.mask.mean())
    0.5
    """
    canvas, _ = canvas_of(image, area, rng)
    y, x = grid(canvas)
    field = [x, y, -x, -y][int(rng.integers(4))]
    shift = rng.integers(3, 17, 2) * rng.choice([-1, 1], 2)
    other = np.roll(image, shift.tolist(), (0, 1)).astype(np.float32)
    gain = 1 + rng.uniform(0.03, 0.3) * rng.choice([-1, 1]) + rng.normal(0, 0.02, 3)
    if rng.random() < 0.3:
        other = canvas.blur(other, rng.uniform(0.8, 3))
    mask, _ = cover(field, area)
    return only_inside(image, lay(image, other * gain, np.ones(canvas.shape)), mask)


def stripes(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Rows or columns of a line scanner that are brighter, darker, coloured or displaced.

    Parameters, return value and errors are those of :func:`defocus_patch`.

    Examples
    --------
    >>> damaged = stripes(np.full((64, 64, 3), 120, np.uint8), 0.25, np.random.default_rng(0))
    >>> float(damaged.mask.mean())
    0.25
    """
    canvas, _ = canvas_of(image, area, rng)
    y, x = grid(canvas)
    place = (y if rng.random() < 0.5 else x).astype(int)
    coarse = np.repeat(rng.standard_normal(-(-(place.max() + 1) // 3)), int(rng.integers(3, 9)))
    profile = coarse[: place.max() + 1] if rng.random() < 0.6 else rng.random(place.max() + 1)
    offset = rng.choice([-1, 1]) * rng.uniform(15, 70) + rng.normal(0, 8, 3)
    mask, _ = cover(profile[place].astype(np.float32), area)
    return only_inside(image, lay(image, image + offset, np.ones(canvas.shape)), mask)


def jpeg_2000(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """JPEG 2000 at a few percent of the bytes: smeared texture without blocks.

    Parameters, return value and errors are those of :func:`defocus_patch`.

    Examples
    --------
    >>> noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    >>> damaged = jpeg_2000(noise, 1.0, np.random.default_rng(0))
    >>> bool((damaged.image != noise).mean() > 0.5)
    True
    """
    rate = round(np.exp(rng.uniform(np.log(6), np.log(60))))
    return _encoded(image, area, rng, ".jp2", [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, rate])


def jpeg_again(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """JPEG or WebP of low quality, its blocks at any offset.

    Parameters, return value and errors are those of :func:`defocus_patch`.

    Examples
    --------
    >>> noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    >>> damaged = jpeg_again(noise, 1.0, np.random.default_rng(0))
    >>> bool((damaged.image != noise).mean() > 0.5)
    True
    """
    if rng.random() < 0.3:
        return _encoded(
            image, area, rng, ".webp", [cv2.IMWRITE_WEBP_QUALITY, int(rng.integers(1, 25))]
        )
    quality = int(np.exp(rng.uniform(np.log(4), np.log(45))))
    return _encoded(image, area, rng, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def chromatic_shift(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Red and blue displaced against green by some pixels: coloured fringes.

    Parameters, return value and errors are those of :func:`defocus_patch`.

    Examples
    --------
    >>> image = np.zeros((64, 64, 3), np.uint8); image[:, 32:] = 255
    >>> damaged = chromatic_shift(image, 1.0, np.random.default_rng(0))
    >>> bool((damaged.image[..., 0] != damaged.image[..., 2]).any())
    True
    """
    canvas, side = canvas_of(image, area, rng)
    field = _region(canvas, side)
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(1.5, 6)
    shifted = image.copy()
    for channel, sign in ((0, 1.0), (2, -rng.uniform(0, 1))):
        move = np.array(
            [[1, 0, sign * length * np.cos(angle)], [0, 1, sign * length * np.sin(angle)]]
        )
        plane = np.ascontiguousarray(image[..., channel])
        shifted[..., channel] = cv2.warpAffine(
            plane, move, canvas.shape[::-1], borderMode=cv2.BORDER_REFLECT_101
        )
    mask, _ = cover(field, area)
    return only_inside(image, shifted, mask)


def blackout(image: Image, area: float, rng: np.random.Generator) -> Damaged:
    """Squares without data: black, white, grey or of one colour.

    Parameters, return value and errors are those of :func:`defocus_patch`.

    Examples
    --------
    >>> damaged = blackout(np.full((64, 64, 3), 120, np.uint8), 0.1, np.random.default_rng(0))
    >>> float(np.round(damaged.mask.mean(), 1))
    0.1
    """
    canvas, side = canvas_of(image, area, rng)
    y, x = grid(canvas)
    field = np.full(canvas.shape, -np.inf, np.float32)
    for _ in range(int(rng.integers(1, 6))):
        cy, cx = rng.uniform(0, 1, 2) * canvas.shape
        stretch = np.exp(rng.normal(0, 0.3))
        near = np.maximum(np.abs(x - cx) * stretch, np.abs(y - cy)).astype(np.float32)
        field = np.maximum(field, rng.uniform(0, 0.1) * side - near)
    colour = np.zeros(3) if rng.random() < 0.5 else rng.integers(0, 256, 3).astype(float)
    mask, _ = cover(field, area)
    return only_inside(image, lay(image, colour, np.ones(canvas.shape)), mask)


def _region(canvas: Canvas, side: float) -> Floats:
    """A field whose highest part is a blob, a band, one side, or anything smooth."""
    rng = canvas.rng
    form = rng.integers(4)
    if form == 0:
        return canvas.noise(rng.uniform(0.4, 1.0) * side)
    if form == 1:
        y, x = grid(canvas)
        cy, cx = rng.uniform(0, 1, 2) * canvas.shape
        return np.asarray(-np.hypot((x - cx) * rng.uniform(0.6, 1.6), y - cy), np.float32)
    across = line(canvas, rng.uniform(0, 0.2)).across
    return across if form == 2 else -np.abs(across)


def _encoded(
    image: Image, area: float, rng: np.random.Generator, kind: str, options: list[int]
) -> Damaged:
    """Encode and decode; show it in a part of the picture that is one side of a straight line."""
    canvas, _ = canvas_of(image, area, rng)
    field = line(canvas, 0.0).across
    top, left = rng.integers(0, 8, 2).tolist()
    h, w = canvas.shape
    # JPEG 2000 halves the picture several times: it must not be too small.
    below, right = max(8, 64 - h), max(8, 64 - w)
    padded = cv2.copyMakeBorder(image, top, below, left, right, cv2.BORDER_REFLECT_101)
    done, code = cv2.imencode(kind, padded, options)
    if not done:
        raise ValueError(f"OpenCV cannot encode {kind}")
    decoded = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    mask, _ = cover(field, area)
    return only_inside(image, decoded[top : top + h, left : left + w], mask)

"""Drawing in micrometres: smooth noise, jittered lattices, Voronoi cells, strokes and ellipses.

The tools of the procedural pictures of this package. Points are (n, 2) arrays of x, y in pixels;
lengths are in micrometres unless said otherwise.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "smoothstep"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Points = NDArray[np.float32]

# OpenCV draws anti-aliased on 8-bit pictures only, and takes coordinates in 1/16 pixel.
_LEVELS = 60.0
_SHIFT = 4
_FINE = 1 << _SHIFT


class Canvas:
    """A field of pixels, its scale and its source of randomness.

    Parameters
    ----------
    height, width
        Size in pixels.
    rng
        Source of every random choice.
    mpp
        Micrometres per pixel; 1 makes every length a number of pixels.

    Examples
    --------
    >>> canvas = Canvas(64, 48, np.random.default_rng(0), mpp=0.5)
    >>> canvas.noise(5.0).shape
    (64, 48)
    """

    def __init__(self, height: int, width: int, rng: np.random.Generator, mpp: float = 1.0) -> None:
        self.shape = (height, width)
        self.rng = rng
        self.mpp = mpp

    # -- fields: (height, width) arrays -----------------------------------------------------

    def noise(self, scale: float) -> Floats:
        """Smooth noise of about unit variance whose blobs measure about ``scale``.

        Blobs smaller than a pixel average out within it, as they do under a scanner.
        """
        h, w = self.shape
        pixels = scale / self.mpp
        if pixels <= 1:
            return np.float32(pixels) * self.rng.standard_normal(self.shape, np.float32)
        # Cubic interpolation between unit normals loses a third of their variance.
        grid = (int(np.ceil(h / pixels)) + 1, int(np.ceil(w / pixels)) + 1)
        coarse = np.float32(1.25) * self.rng.standard_normal(grid, np.float32)
        fine = cv2.resize(coarse, None, fx=pixels, fy=pixels, interpolation=cv2.INTER_CUBIC)
        return np.asarray(fine[:h, :w], np.float32)

    def blur(self, values: NDArray[Any], sigma: float) -> Floats:
        """Gaussian blur, also of the channels of a picture."""
        sigma = max(sigma / self.mpp, 0.1)
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)

    def distance(self, mask: Mask) -> Floats:
        """Distance of each True pixel to the nearest False one; the diagonal's length at most."""
        pixels = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        farthest = np.float32(np.hypot(*self.shape))
        return np.minimum(np.asarray(pixels, np.float32), farthest) * np.float32(self.mpp)

    def voronoi(self, strokes: Points) -> tuple[NDArray[np.int32], Floats, Floats]:
        """Give each pixel to the nearest of the strokes (n, 2, 2), each from point to point.

        Returns the index of the stroke, the distance to the border of its cell and the distance
        to the stroke itself. A single point is a stroke that ends where it starts.
        """
        owner = np.full(self.shape, -1, np.int32)
        for index, (start, end) in enumerate(np.rint(strokes).astype(int).tolist()):
            cv2.line(owner, start, end, index)
        blank = owner < 0
        to_stroke, nearest = cv2.distanceTransformWithLabels(
            blank.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        index_of = np.zeros(int(nearest.max()) + 1, np.int32)
        index_of[nearest[~blank]] = owner[~blank]
        cell = index_of[nearest]
        interior = np.ones(self.shape, bool)
        interior[:, :-1] &= cell[:, :-1] == cell[:, 1:]
        interior[:-1] &= cell[:-1] == cell[1:]
        return cell, self.distance(interior), to_stroke * np.float32(self.mpp)

    # -- points -----------------------------------------------------------------------------

    def at(self, values: NDArray[Any], points: Points) -> NDArray[Any]:
        """Values of a field at points; points outside take the nearest pixel's."""
        x, y = points.astype(int).T
        row, column = np.clip(y, 0, self.shape[0] - 1), np.clip(x, 0, self.shape[1] - 1)
        picked: NDArray[Any] = values[row, column]
        return picked

    def lattice(
        self, spacing: tuple[float, float], angle: float = 0.0, jitter: float = 0.5
    ) -> Points:
        """Points over the whole field on a turned, staggered grid, moved by up to ``jitter`` steps.

        Thinning it at random gives points that keep a distance, at a linear cost.
        """
        h, w = self.shape
        step = np.array(spacing) / self.mpp
        reach = np.hypot(h, w) / 2 + step.max()
        grid = np.stack(np.meshgrid(*(np.arange(-reach, reach, s) for s in step)), -1)
        grid[1::2, :, 0] += step[0] / 2
        points = grid.reshape(-1, 2)
        points = points + step * self.rng.uniform(-jitter, jitter, points.shape)
        cos, sin = np.cos(angle), np.sin(angle)
        points = points @ np.array([[cos, sin], [-sin, cos]]) + (w / 2, h / 2)
        inside = ((points >= 0) & (points < (w, h))).all(1)
        kept: Points = points[inside].astype(np.float32)
        return kept

    def contour(self, mask: Mask, spacing: float, field: Floats) -> tuple[Points, Points]:
        """Points every ``spacing`` along the outlines of ``mask``; the unit gradient of ``field``.

        Returns two (n, 2) arrays; the gradient is taken after a light blur.
        """
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        stride = max(spacing / self.mpp, 1.0)
        picked = [o[np.arange(0, len(o) - stride / 2, stride).astype(int), 0] for o in outlines]
        points = np.concatenate([np.zeros((0, 2)), *picked]).astype(np.float32)
        smooth = self.blur(field, 3.0)
        slope = [self.at(cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx), points) for dx in (1, 0)]
        direction = np.stack(slope, 1)
        length = np.linalg.norm(direction, axis=1, keepdims=True)
        return points, direction / np.maximum(length, 1e-6)

    # -- marks: what is drawn, as a field of its own -------------------------------------------

    def ellipses(
        self,
        centers: Points,
        axes: NDArray[Any],
        angle: NDArray[Any],
        value: NDArray[Any],
        rim: float = 1.0,
    ) -> Floats:
        """Filled ellipses, later ones on top, with an outline ``rim`` times as strong.

        ``axes`` are semi-axes (n, 2), ``angle`` is in radians, ``value`` lies in 0 to 4.
        """
        marks = np.zeros(self.shape, np.uint8)
        center = _fixed(centers)
        half = _fixed(np.maximum(axes, 0.3) / self.mpp)
        degrees = np.rad2deg(angle).tolist()
        shade = (np.clip(value, 0, 4) * _LEVELS).tolist()
        for c, a, d, v in zip(center.tolist(), half.tolist(), degrees, shade, strict=True):
            cv2.ellipse(marks, c, a, d, 0, 360, v, cv2.FILLED, cv2.LINE_AA, _SHIFT)
            if rim != 1:
                cv2.ellipse(marks, c, a, d, 0, 360, v * rim, 1, cv2.LINE_AA, _SHIFT)
        return marks.astype(np.float32) / np.float32(_LEVELS)

    def strands(
        self, direction: Floats, density: NDArray[Any], spacing: float, value: float, thick: float
    ) -> Floats:
        """Short wavy tapered strokes of many shades around ``value``.

        ``direction`` is a field of angles in radians, ``density`` the chance of a stroke at each
        point of a lattice of ``spacing``.
        """
        rng = self.rng
        start = self.lattice((spacing, spacing), angle=0.4)
        start = start[rng.random(len(start)) < self.at(density, start)]
        column = (len(start), 1)
        phase = rng.uniform(0, 6, column) + rng.uniform(0.4, 1.2, column) * np.arange(8)
        turn = self.at(direction, start)[:, None] + rng.normal(0, 0.3, column)
        turn = turn + rng.normal(0, 0.5, column) * np.sin(phase)
        stride = rng.uniform(1.2, 4.5, column) / self.mpp
        step = np.stack([np.cos(turn), np.sin(turn)], 2) * stride[..., None]
        paths = _fixed(start[:, None] + step.cumsum(1))
        marks = np.zeros(self.shape, np.uint8)
        width = max(1, round(thick / self.mpp))
        for shade, band in zip((0.5, 0.7, 0.9, 1.1, 1.3), np.array_split(paths, 5), strict=True):
            for part, w in ((band, max(1, width // 2)), (band[:, 2:-2], width)):
                level = value * shade * _LEVELS
                cv2.polylines(marks, list(part), False, level, w, cv2.LINE_AA, _SHIFT)
        return self.blur(marks.astype(np.float32) / np.float32(_LEVELS), 0.25)


def smoothstep(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """0 below ``low``, 1 above ``high``, a cubic between.

    Examples
    --------
    >>> smoothstep(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]), 0, 1).tolist()
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    t = np.clip((values - low) / (high - low), 0, 1)
    eased: NDArray[Any] = t * t * (3 - 2 * t)
    return eased


def _fixed(points: NDArray[Any]) -> NDArray[np.int32]:
    fixed: NDArray[np.int32] = np.rint(points * _FINE).astype(np.int32)
    return fixed

"""Overviews of slides with the truth about their tissue: sections on glass of any kind.

A scene is drawn as light: the glass, what lies on it as optical density, then what a scanner, a
pen or a broken file adds. It has the scale of an overview, a few micrometres per pixel, where
cells are a texture; its sections are for finding tissue, not for judging it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.synthetic.drawing import Canvas, Floats, Mask, smoothstep
from rl2qc.synthetic.stain import EOSIN, HEMATOXYLIN

__all__ = ["DAB", "DrawnOverview", "Scene"]

DAB = (0.27, 0.57, 0.78)
"""Optical density (base e) of a unit of diaminobenzidine, the brown of immunohistochemistry."""

Colour = Sequence[float]


@dataclass(frozen=True, eq=False)
class DrawnOverview:
    """A drawn overview of a slide.

    Attributes
    ----------
    rgb : (h, w, 3) uint8
    truth : (h, w) bool
        Where tissue is, lumens and fat within it included, also where a pen crosses it.
    """

    rgb: NDArray[np.uint8]
    truth: Mask


class Scene(Canvas):
    """An overview to be drawn step by step; every step returns the scene.

    Parameters
    ----------
    height, width
        Size in pixels.
    rng
        Source of every random choice.
    mpp
        Micrometres per pixel.
    glass
        Red, green and blue of empty glass, 0 to 255.

    Examples
    --------
    >>> scene = Scene(96, 128, np.random.default_rng(0), glass=(242, 236, 218))
    >>> drawn = scene.section((0.5, 0.5), 0.3).shoot()
    >>> drawn.rgb.shape, 0.1 < drawn.truth.mean() < 0.4
    ((96, 128, 3), np.True_)
    """

    def __init__(
        self,
        height: int,
        width: int,
        rng: np.random.Generator,
        mpp: float = 7.0,
        glass: Colour = (243, 242, 244),
    ) -> None:
        super().__init__(height, width, rng, mpp)
        self.light: Floats = np.empty((height, width, 3), np.float32)
        self.light[:] = glass
        self.truth: Mask = np.zeros((height, width), np.bool_)
        self.side = float(min(height, width))
        y, x = np.mgrid[:height, :width].astype(np.float32)
        self.y, self.x = y / height, x / width

    # -- tissue ---------------------------------------------------------------------------------

    def blob(self, centre: tuple[float, float], radius: float, ragged: float = 1.0) -> Floats:
        """Distance in pixels inside an irregular outline, negative outside.

        ``centre`` is x and y as shares of the width and height, ``radius`` a share of the shorter
        side.
        """
        h, w = self.shape
        away = np.hypot((self.x - centre[0]) * w, (self.y - centre[1]) * h)
        size = radius * self.side
        rough = 0.16 * self.noise(0.9 * size * self.mpp) + 0.04 * self.noise(0.2 * size * self.mpp)
        inside: Floats = (size * (1 + ragged * rough) - away).astype(np.float32)
        return inside

    def section(
        self,
        centre: tuple[float, float],
        radius: float,
        strength: float = 1.0,
        *,
        stain: str = "he",
        softness: float = 0.0,
        ragged: float = 1.0,
    ) -> Self:
        """Lay a section on the glass.

        Parameters
        ----------
        centre, radius, ragged
            As for :meth:`blob`.
        strength
            Share of the usual stain.
        stain
            "he", "ihc" (brown on blue), "blue" (a counterstain alone), "eosin" or "fat" (adipose
            tissue with walls of 7 um).
        softness
            Blur in um of what lies outside the focal plane.
        """
        inside = self.blob(centre, radius, ragged)
        return self.lay(inside, strength * _density(self, stain), softness)

    def lay(self, inside: Floats, density: Floats, softness: float = 0.0) -> Self:
        """Lay tissue of any optical density (h, w, 3) where ``inside`` (h, w) is above 0."""
        density = density * smoothstep(inside, 0, 2)[..., None]
        if softness:
            density = self.blur(density, softness)
        self.light *= np.exp(-density)
        self.truth |= inside > 0
        return self

    # -- glass, light and dirt ------------------------------------------------------------------

    def shade(self, depth: float) -> Self:
        """A vignette: towards the corners light falls off by ``depth``."""
        far = (2 * self.x - 1) ** 2 + (2 * self.y - 1) ** 2
        self.light *= (1 - depth * far / 2)[..., None]
        return self

    def stripes(self, depth: float, width: float) -> Self:
        """Strips of ``width`` um, as a line scanner stitches them, darker towards their edges."""
        phase = (self.x * self.shape[1] * self.mpp / width) % 1
        self.light *= (1 - depth * (2 * phase - 1) ** 2)[..., None]
        return self

    def tint(self, where: Mask, colour: Colour) -> Self:
        """Multiply the light by ``colour``, one number a channel, at ``where``."""
        self.light[where] *= np.asarray(colour, np.float32)
        return self

    def coverslip(self, at: float = 0.2, *, outside: float = 0.9, line: float = 1.2) -> Self:
        """The edge of a coverslip at the height ``at``: a dark line, and dimmer glass above it."""
        edge = (self.y - at) * self.shape[0] + 2 * self.noise(0.5 * self.side * self.mpp)
        dim = np.where(edge < 0, outside, 1.0)
        dark = line * np.exp(-((edge / 1.6) ** 2)) + 0.4 * line * np.exp(-(((edge + 7) / 1.2) ** 2))
        self.light *= (dim * np.exp(-dark))[..., None].astype(np.float32)
        return self

    def dust(self, count: int, radius: float = 2.0) -> Self:
        """Dark grey specks of about ``radius`` px."""
        h, w = self.shape
        marks = np.zeros(self.shape, np.uint8)
        for _ in range(count):
            at = (int(self.rng.uniform(0, w)), int(self.rng.uniform(0, h)))
            axes = np.maximum(1, self.rng.normal(radius, radius / 3, 2)).astype(int).tolist()
            cv2.ellipse(marks, at, axes, self.rng.uniform(0, 180), 0, 360, 255, cv2.FILLED)
        dark = cv2.GaussianBlur(marks, (0, 0), 0.7).astype(np.float32) / 255
        self.light *= np.exp(-dark * self.rng.uniform(0.8, 1.6))[..., None]
        return self

    # -- pens, frames, files -----------------------------------------------------------------

    def pen(
        self, strokes: Sequence[Sequence[tuple[float, float]]], width: int, colour: Colour
    ) -> Self:
        """Marker strokes through points (x, y as shares), ``width`` px wide, over everything."""
        h, w = self.shape
        marks = np.zeros(self.shape, np.uint8)
        for stroke in strokes:
            points = np.rint(np.asarray(stroke) * (w, h)).astype(np.int32)
            cv2.polylines(marks, [points], False, 255, width, cv2.LINE_AA)
        cover = cv2.GaussianBlur(marks, (0, 0), 0.8).astype(np.float32)[..., None] / 255
        cover = cover * (0.93 + 0.03 * self.noise(40 * self.mpp))[..., None]
        ink = np.asarray(colour, np.float32) / 255
        self.light *= 1 - cover * (1 - ink)
        return self

    def ring(self, centre: tuple[float, float], radius: float, width: int, colour: Colour) -> Self:
        """A pen's ring around ``centre``."""
        h, w = self.shape
        angle = np.linspace(0, 2 * np.pi, 90)
        wobble = 1 + 0.03 * np.sin(3 * angle)
        x = centre[0] + radius * self.side / w * wobble * np.cos(angle)
        y = centre[1] + radius * self.side / h * wobble * np.sin(angle)
        return self.pen([list(zip(x, y, strict=True))], width, colour)

    def text(self, words: str, at: tuple[float, float], size: float, colour: Colour) -> Self:
        """Letters whose lower left corner lies at ``at``, ``size`` times 22 px high."""
        marks = np.zeros(self.shape, np.uint8)
        place = (int(at[0] * self.shape[1]), int(at[1] * self.shape[0]))
        cv2.putText(marks, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, 255, max(2, int(3 * size)))
        cover = cv2.GaussianBlur(marks, (0, 0), 0.7).astype(np.float32)[..., None] / 255
        self.light *= 1 - cover * (1 - np.asarray(colour, np.float32) / 255)
        return self

    def replace(self, where: Mask, colour: Colour) -> Self:
        """Cover ``where`` by something opaque: a frame, a holder, a label; noise is added later."""
        self.light[where] = colour
        self.truth &= ~where
        return self

    def frame(self, share: float) -> Mask:
        """Where a border of ``share`` of the shorter side lies."""
        h, w = self.shape
        mask = np.ones(self.shape, np.bool_)
        b = round(share * self.side)
        mask[b : h - b, b : w - b] = False
        return mask

    def shoot(
        self,
        noise: float = 1.5,
        jpeg: int | None = 90,
        fill: tuple[Mask, Colour] | None = None,
    ) -> DrawnOverview:
        """What the scanner makes of it.

        Parameters
        ----------
        noise
            Standard deviation in grey levels.
        jpeg
            Quality; None does not compress.
        fill
            Where nothing was scanned or the file broke off, and the exact colour put there.
        """
        grey = self.rng.normal(0, 0.7 * noise, (*self.shape, 1))
        colour = self.rng.normal(0, 0.7 * noise, self.light.shape)
        rgb = np.clip(np.rint(self.light + grey + colour), 0, 255).astype(np.uint8)
        if jpeg is not None:
            _, stored = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, jpeg])
            rgb = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()
        truth = self.truth
        if fill is not None:
            rgb[fill[0]] = fill[1]
            truth = truth & ~fill[0]
        return DrawnOverview(rgb, truth)


def _density(canvas: Canvas, stain: str) -> Floats:
    """Optical density (h, w, 3) of a section that fills the picture."""
    broad = canvas.noise(900)
    fine = 0.6 * canvas.noise(60) + 0.5 * canvas.noise(25) + 0.5 * canvas.noise(8)
    crowd = smoothstep(canvas.noise(350) + 0.5 * canvas.noise(90), -0.2, 1.2)
    eosin = np.clip(0.42 + 0.06 * broad + 0.09 * fine, 0.12, 1.2)
    blue = np.clip(0.14 + 0.45 * crowd + 0.10 * canvas.noise(14) + 0.04 * broad, 0.04, 1.6)
    if stain == "fat":
        walls = _honeycomb(canvas, 75.0, 7.0)
        return _mix((0.75 * walls, EOSIN), (0.2 * walls, HEMATOXYLIN))
    if stain == "blue":
        return _mix((blue, HEMATOXYLIN))
    if stain == "eosin":
        return _mix((eosin, EOSIN))
    if stain == "ihc":
        brown = 1.1 * smoothstep(canvas.noise(260) + 0.6 * canvas.noise(30), 0.2, 1.6)
        return _mix((0.7 * blue + 0.08, HEMATOXYLIN), (brown, DAB))
    if stain != "he":
        raise ValueError(f"unknown stain {stain!r}: he, ihc, blue, eosin or fat")
    return _mix((blue, HEMATOXYLIN), (eosin, EOSIN))


def _mix(*parts: tuple[NDArray[np.floating], Colour]) -> Floats:
    total = sum(amount[..., None] * np.asarray(stain, np.float32) for amount, stain in parts)
    return np.asarray(total, np.float32)


def _honeycomb(canvas: Canvas, cell: float, wall: float) -> Floats:
    """Share of each pixel that the walls between cells cover; both in um."""
    centres = canvas.lattice((cell, cell), 0.3, jitter=0.25)
    _, border, _ = canvas.voronoi(np.stack([centres, centres], 1))
    # A pixel is coarser than a wall: the wall's share of it, wherever it lies within.
    near = np.clip(1.5 - border / canvas.mpp, 0, 1)
    covered: Floats = (min(1.0, wall / canvas.mpp) * near).astype(np.float32)
    return covered

"""More siblings of the hard backgrounds: what laboratories put on slides, scanners into files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np

from rl2qc.synthetic.backgrounds import new_scene
from rl2qc.synthetic.drawing import Floats
from rl2qc.synthetic.glass import DAB, Colour, DrawnOverview, Scene
from rl2qc.synthetic.stain import HEMATOXYLIN

__all__ = ["ODD_BACKGROUNDS"]

Rng = np.random.Generator


def _away(scene: Scene, x: float, y: float) -> Floats:
    """Distance in px from a place."""
    h, w = scene.shape
    return np.asarray(np.hypot((scene.x - x) * w, (scene.y - y) * h), np.float32)


def _dots(rng: Rng, glass: Colour) -> DrawnOverview:
    """Dots of a marker beside a section, in four colours."""
    scene = new_scene(rng, glass=glass).section((0.5, 0.5), 0.25)
    colours = ((40, 50, 170), (30, 130, 80), (30, 30, 32), (215, 35, 50))
    for k, colour in enumerate(colours):
        scene.pen([[(0.1 + 0.26 * k, 0.1), (0.102 + 0.26 * k, 0.1)]], 22, colour)
    return scene.shoot()


def _side_by_side(rng: Rng, one: Colour, other: Colour) -> DrawnOverview:
    """Two glasses of other tints in one holder, a section on each."""
    scene = new_scene(rng, glass=(255, 255, 255))
    scene.section((0.25, 0.5), 0.2).section((0.75, 0.5), 0.2, 0.4)
    scene.tint(scene.x < 0.5, [c / 255 for c in one]).tint(scene.x >= 0.5, [c / 255 for c in other])
    return scene.replace(np.abs(scene.x - 0.5) < 0.015, (70, 72, 74)).shoot()


def _barcode(rng: Rng) -> DrawnOverview:
    """A paper label with a barcode."""
    scene = new_scene(rng).section((0.62, 0.5), 0.27)
    scene.replace(scene.x < 0.2, (250, 249, 244))
    bars = (np.sin(np.arange(scene.shape[0]) * 0.7) + rng.normal(0, 0.6, scene.shape[0])) > 0.4
    within = (scene.x > 0.03) & (scene.x < 0.15) & (scene.y > 0.2) & (scene.y < 0.6)
    scene.replace(within & bars[:, None], (20, 20, 22))
    return scene.text("B 20-113", (0.02, 0.75), 0.6, (25, 25, 30)).shoot()


def _weak_counterstain(rng: Rng, brown: float, blue: float) -> DrawnOverview:
    """Immunohistochemistry: a few brown islands on hardly any blue."""
    scene = new_scene(rng)
    inside = scene.blob((0.5, 0.5), 0.3)
    islands = np.clip(scene.noise(300) + 0.4 * scene.noise(40) - 0.6, 0, None)
    amount = blue * (1 + 0.4 * scene.noise(30) + 0.3 * scene.noise(90))
    density = np.clip(amount, 0.02, None)[..., None] * np.array(HEMATOXYLIN)
    density = density + brown * islands[..., None] * np.array(DAB)
    return scene.lay(inside, density.astype(np.float32)).shoot()


def _mucus(rng: Rng, strength: float) -> DrawnOverview:
    """A section, half of it mucus: pale blue strands."""
    scene = new_scene(rng)
    inside = scene.blob((0.5, 0.5), 0.32)
    strands = np.abs(scene.noise(150) + 0.5 * scene.noise(50))
    amount = strength * (0.4 + strands + 0.2 * scene.noise(15))
    density = np.clip(amount, 0.03, None)[..., None] * np.array((0.5, 0.4, 0.15))
    scene.lay(inside, density.astype(np.float32))
    return scene.section((0.42, 0.5), 0.16, 0.8).shoot()


def _fluorescent(rng: Rng, colour: Colour) -> DrawnOverview:
    """What shines, on black."""
    scene = new_scene(rng, glass=(9, 9, 12))
    inside = scene.blob((0.5, 0.5), 0.3)
    shining = np.clip(0.5 + 0.25 * scene.noise(60) + 0.2 * scene.noise(20), 0.1, 1)
    lit = (inside > 0)[..., None] * shining[..., None] * np.array(colour)
    scene.light += cv2.GaussianBlur(lit.astype(np.float32), (0, 0), 1)
    scene.truth |= inside > 0
    return scene.shoot()


def _frosted(rng: Rng, rough: float) -> DrawnOverview:
    """The frosted end of a glass, with pencil on it."""
    scene = new_scene(rng).section((0.6, 0.5), 0.28)
    end = scene.x < 0.18
    grain = 208 + rough * (rng.normal(0, 1, scene.shape) + 0.6 * scene.noise(14))
    scene.light[end] = grain[end][..., None]
    scene.truth &= ~end
    return scene.text("17 b", (0.03, 0.5), 0.8, (110, 110, 112)).shoot()


def _air(rng: Rng) -> DrawnOverview:
    """A large bubble of air below the coverslip that reaches over the section's edge."""
    scene = new_scene(rng).section((0.4, 0.5), 0.28)
    away = _away(scene, 0.74, 0.45) + 4 * scene.noise(900)
    rim = 0.7 * np.exp(-(((away - 120) / 3) ** 2)) + 0.2 * np.exp(-(((away - 111) / 2) ** 2))
    scene.light *= np.exp(-rim)[..., None].astype(np.float32)
    return scene.tint(away < 115, (1.02, 1.02, 1.02)).shoot()


def _bands(rng: Rng, step: int, jump: float) -> DrawnOverview:
    """Bands of a line scanner: brightness jumps, a dark line at each seam."""
    scene = new_scene(rng, glass=(236, 236, 234)).section((0.5, 0.5), 0.3, 0.5)
    rows = np.arange(scene.shape[0])
    gains = 1 + jump * rng.uniform(-1, 1, len(rows) // step + 1)
    scene.light *= gains[rows // step].astype(np.float32)[:, None, None]
    scene.light[rows % step == 0] *= 0.85
    return scene.shoot()


def _round(rng: Rng, corner: int, glass: Colour, strength: float) -> DrawnOverview:
    """A round opening, nothing seen beyond it."""
    scene = new_scene(rng, glass=glass).section((0.5, 0.5), 0.28, strength)
    beyond = np.clip((_away(scene, 0.5, 0.5) - 0.56 * scene.side) / 5, 0, 1)[..., None]
    scene.light[:] = scene.light * (1 - beyond) + corner * beyond
    scene.truth &= beyond[..., 0] < 0.5
    return scene.shoot()


def _streaks(rng: Rng) -> DrawnOverview:
    """Dried mounting medium: smooth, yellowish, in streaks beside a section."""
    scene = new_scene(rng).section((0.35, 0.5), 0.24)
    amount = 0.16 * np.clip(np.sin(9 * scene.x + 2 * scene.noise(3000)), 0, 1)
    amount = cv2.GaussianBlur((amount * (scene.x > 0.68)).astype(np.float32), (0, 0), 6)
    scene.light *= np.exp(-amount[..., None] * np.array((0.2, 0.5, 1.0), np.float32))
    return scene.shoot()


def _hairs(rng: Rng) -> DrawnOverview:
    scene = new_scene(rng, glass=(238, 238, 240)).section((0.5, 0.5), 0.26, 0.7)
    turns = np.linspace(0, 1, 40)
    for k in range(3):
        y = 0.2 + 0.28 * k + 0.06 * np.sin(5 * turns + k)
        scene.pen([list(zip(turns, y, strict=True))], 2, (60, 50, 45))
    return scene.shoot()


def _tray(rng: Rng, grey: int) -> DrawnOverview:
    """A glass that lies crooked in a grey tray."""
    scene = new_scene(rng, glass=(242, 240, 232)).section((0.5, 0.5), 0.26)
    u = (scene.x - 0.5) + 0.08 * (scene.y - 0.5)
    v = (scene.y - 0.5) - 0.08 * (scene.x - 0.5)
    return scene.replace((np.abs(u) > 0.42) | (np.abs(v) > 0.42), (grey, grey, grey + 2)).shoot()


def _glue(rng: Rng, radius: float | None) -> DrawnOverview:
    """A smooth yellow-brown stain of glue, alone or beside a small biopsy."""
    scene = new_scene(rng)
    if radius is not None:
        scene.section((0.25, 0.4), radius, 0.9)
    inside = np.clip(scene.blob((0.7, 0.5), 0.22) / 8, 0, 1)
    amount = 0.13 * inside * (1 + 0.1 * scene.noise(1200))
    scene.light *= np.exp(-amount[..., None] * np.array((0.15, 0.5, 1.0), np.float32))
    return scene.shoot()


def _faint(rng: Rng, colour: Colour, glass: Colour, ring: bool = False) -> DrawnOverview:
    """12 % of a stain, in a pen's ring or not."""
    scene = new_scene(rng, glass=glass)
    amount = 0.12 * (1 + 0.3 * (scene.noise(60) + 0.6 * scene.noise(20)))
    density = np.clip(amount, 0.012, None)[..., None] * np.array(colour)
    scene.lay(scene.blob((0.5, 0.5), 0.3), density.astype(np.float32))
    return (scene.ring((0.5, 0.5), 0.44, 7, (40, 50, 170)) if ring else scene).shoot()


def _printed(rng: Rng, step: int, colour: Colour, slope: float, strength: float) -> DrawnOverview:
    """A grid that is printed on the glass."""
    scene = new_scene(rng).section((0.5, 0.5), 0.28, strength)
    y, x = np.mgrid[: scene.shape[0], : scene.shape[1]]
    lines = ((y + slope * x) % step < 1) | ((x - slope * y) % step < 1)
    return scene.tint(lines, colour).shoot()


def _drops(rng: Rng) -> DrawnOverview:
    """Dried drops of water: faint grey rings."""
    scene = new_scene(rng).section((0.5, 0.5), 0.25, 0.6)
    for _ in range(25):
        away = _away(scene, rng.uniform(0, 1), rng.uniform(0, 1))
        ring = 0.15 * np.exp(-(((away - rng.uniform(6, 22)) / 1.5) ** 2))
        scene.light *= np.exp(-ring)[..., None].astype(np.float32)
    return scene.shoot()


def _smear(rng: Rng, clumps: int) -> DrawnOverview:
    """Clumps of cells, scattered."""
    scene = new_scene(rng, glass=(240, 240, 236))
    for _ in range(clumps):
        at = (rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9))
        scene.section(at, rng.uniform(0.02, 0.05), 0.9)
    return scene.shoot()


ODD_BACKGROUNDS: Mapping[str, Callable[[Rng], DrawnOverview]] = {
    "greenish glass, marker dots": partial(_dots, glass=(226, 240, 226)),
    "yellow and grey glass side by side": partial(
        _side_by_side, one=(242, 234, 205), other=(205, 206, 208)
    ),
    "pink and white glass side by side": partial(
        _side_by_side, one=(240, 218, 234), other=(246, 246, 247)
    ),
    "label with a barcode": _barcode,
    "ihc, weak counterstain": partial(_weak_counterstain, brown=0.5, blue=0.15),
    "ihc, hardly any counterstain": partial(_weak_counterstain, brown=0.3, blue=0.08),
    "pale mucus": partial(_mucus, strength=0.15),
    "green fluorescence": partial(_fluorescent, colour=(20, 150, 40)),
    "blue fluorescence": partial(_fluorescent, colour=(40, 50, 170)),
    "frosted end": partial(_frosted, rough=5.0),
    "frosted end, rough": partial(_frosted, rough=14.0),
    "air below the coverslip": _air,
    "bands with dark seams": partial(_bands, step=48, jump=0.02),
    "narrow bands": partial(_bands, step=20, jump=0.03),
    "round opening, black": partial(_round, corner=4, glass=(243, 242, 244), strength=0.8),
    "round opening, grey, pale section": partial(
        _round, corner=96, glass=(242, 236, 218), strength=0.3
    ),
    "streaks of dried medium": _streaks,
    "hairs": _hairs,
    "crooked in a grey tray": partial(_tray, grey=120),
    "glue alone": partial(_glue, radius=None),
    "glue beside a biopsy": partial(_glue, radius=0.045),
    "brown at 12 %": partial(_faint, colour=DAB, glass=(243, 242, 244)),
    "brown at 12 % in a ring": partial(_faint, colour=DAB, glass=(243, 242, 244), ring=True),
    "orange at 12 % on grey": partial(_faint, colour=(0.05, 0.5, 0.9), glass=(195, 195, 196)),
    "blue grid of 280 um": partial(
        _printed, step=40, colour=(0.4, 0.5, 0.9), slope=0.0, strength=0.8
    ),
    "grey grid of 112 um": partial(
        _printed, step=16, colour=(0.7, 0.7, 0.7), slope=0.0, strength=0.8
    ),
    "black grid, pale section": partial(
        _printed, step=16, colour=(0.15, 0.15, 0.15), slope=0.0, strength=0.25
    ),
    "red grid, aslant": partial(
        _printed, step=50, colour=(0.95, 0.5, 0.5), slope=0.02, strength=0.6
    ),
    "drops of water": _drops,
    "a smear": partial(_smear, clumps=40),
}
"""Overviews with their truth, by name."""

"""Siblings of the hard backgrounds: other tints, stains, pens, light, noise and mixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from rl2qc.synthetic import backgrounds as drawn
from rl2qc.synthetic.glass import Colour, DrawnOverview, Scene

__all__ = ["SIBLINGS"]


def _holder(rng: np.random.Generator, colour: Colour, glass: Colour) -> DrawnOverview:
    """A slide holder along two sides, and glass of any tint."""
    scene = drawn.new_scene(rng, glass=glass).section((0.55, 0.55), 0.27)
    return scene.replace((scene.x < 0.12) | (scene.y < 0.08), colour).shoot()


def _everything(rng: np.random.Generator) -> DrawnOverview:
    """Yellow glass, a lamp from one side, a coverslip, a pen and dust."""
    scene = drawn.new_scene(rng, glass=(240, 234, 214)).section((0.35, 0.6), 0.22)
    scene.section((0.75, 0.6), 0.16, 0.4).tint(scene.x >= 0, (1, 1, 1))
    scene.light *= (1 - 0.15 * scene.x)[..., None]
    scene.coverslip(0.14, outside=0.92).dust(20)
    return scene.pen([[(0.05, 0.3), (0.05, 0.9)]], 14, (40, 50, 170)).shoot()


def _side_light(rng: np.random.Generator, depth: float, strength: float) -> DrawnOverview:
    scene = drawn.new_scene(rng).section((0.5, 0.5), 0.34, strength)
    scene.light *= (1 - depth * scene.x)[..., None]
    return scene.shoot()


def _shot(rng: np.random.Generator, noise: float, jpeg: int | None) -> DrawnOverview:
    return drawn.new_scene(rng).section((0.5, 0.5), 0.3, 0.5).shoot(noise, jpeg)


def _grey(rng: np.random.Generator, strength: float) -> DrawnOverview:
    """A picture without colours."""
    shot = drawn.new_scene(rng).section((0.5, 0.5), 0.3, strength).shoot()
    grey = shot.rgb.astype(np.float32).mean(axis=2, keepdims=True)
    return DrawnOverview(np.repeat(np.rint(grey), 3, axis=2).astype(np.uint8), shot.truth)


def _sized(rng: np.random.Generator, height: int, width: int, mpp: float) -> DrawnOverview:
    scene = Scene(height, width, rng, mpp=mpp, glass=(242, 236, 218))
    return scene.section((0.5, 0.5), 0.3).shoot()


def _three(rng: np.random.Generator, strengths: tuple[float, ...]) -> DrawnOverview:
    scene = drawn.new_scene(rng, glass=(232, 230, 226))
    for k, strength in enumerate(strengths):
        scene.section((0.18 + 0.32 * k, 0.5), 0.19, strength)
    return scene.shoot()


def _stained(
    scene: Scene, colour: Colour, level: float, rough: float, glass_share: float = 0.5
) -> Scene:
    """A section of one stain: its optical densities for red, green and blue, as ``colour``."""
    amount = level * (1 + rough * (scene.noise(60) + 0.6 * scene.noise(20)))
    density = np.clip(amount, 0.1 * level, None)[..., None] * np.asarray(colour)
    return scene.lay(scene.blob((glass_share, 0.5), 0.3), density.astype(np.float32))


def _blood(rng: np.random.Generator) -> DrawnOverview:
    """A section, and blood beside it, which is smooth."""
    scene = drawn.new_scene(rng).section((0.25, 0.5), 0.22)
    return _stained(scene, (0.1, 0.6, 0.75), 0.55, 0.06, 0.7).shoot()


def _marked(rng: np.random.Generator) -> DrawnOverview:
    """A wide black cross over a section."""
    scene = drawn.new_scene(rng).section((0.5, 0.5), 0.32)
    strokes = [[(0.2, 0.42), (0.8, 0.55)], [(0.3, 0.65), (0.7, 0.4)]]
    return scene.pen(strokes, 20, (28, 28, 30)).shoot()


def _scribbled(rng: np.random.Generator) -> DrawnOverview:
    """Black zigzags across a section and beside it."""
    scene = drawn.new_scene(rng).section((0.5, 0.5), 0.32, 0.6)
    points = [(0.1 + 0.8 * k / 16, 0.7 if k % 2 else 0.3) for k in range(17)]
    return scene.pen([points], 9, (26, 26, 29)).shoot()


def _drifting(rng: np.random.Generator) -> DrawnOverview:
    """Glass that yellows from one end to the other."""
    scene = drawn.new_scene(rng).section((0.5, 0.5), 0.3, 0.5)
    x = scene.x
    scene.light *= np.stack([1 - 0.02 * x, 1 - 0.05 * x, 1 - 0.14 * x], axis=2)
    return scene.shoot()


def _colour_strips(rng: np.random.Generator) -> DrawnOverview:
    """Strips that differ in colour."""
    scene = drawn.new_scene(rng).section((0.5, 0.5), 0.3, 0.5)
    colours = np.array([(1, 1, 1), (0.985, 0.995, 1), (1, 0.99, 0.98), (0.995, 0.985, 1)])
    scene.light *= colours[(scene.y * scene.shape[0] / 40).astype(int) % 4].astype(np.float32)
    return scene.shoot()


def _coloured_label(rng: np.random.Generator, colour: Colour) -> DrawnOverview:
    scene = drawn.new_scene(rng, glass=(236, 234, 230)).section((0.62, 0.5), 0.27)
    scene.replace(scene.x < 0.22, colour)
    return scene.text("S21", (0.03, 0.7), 0.8, (10, 10, 10)).shoot()


def _bubble(rng: np.random.Generator) -> DrawnOverview:
    """The rim of a bubble beside a section."""
    scene = drawn.new_scene(rng).section((0.3, 0.5), 0.27)
    h, w = scene.shape
    away = np.hypot((scene.x - 0.75) * w, (scene.y - 0.45) * h)
    rim = 0.9 * np.exp(-(((away - 75) / 2.2) ** 2)) + 0.35 * np.exp(-(((away - 68) / 2) ** 2))
    scene.light *= np.exp(-rim)[..., None].astype(np.float32)
    return scene.shoot()


def _words(rng: np.random.Generator) -> DrawnOverview:
    return drawn.new_scene(rng).text("no tissue", (0.2, 0.5), 1.2, (30, 50, 170)).shoot()


def _pale_everywhere(rng: np.random.Generator, radius: float, strength: float) -> DrawnOverview:
    """A section that leaves little glass."""
    return drawn.new_scene(rng).section((0.5, 0.5), radius, strength).shoot()


SIBLINGS: Mapping[str, Callable[[np.random.Generator], DrawnOverview]] = {
    "green glass": partial(drawn.plain, glass=(222, 238, 224)),
    "amber glass": partial(drawn.plain, glass=(236, 214, 170)),
    "lilac glass": partial(drawn.plain, glass=(226, 220, 240)),
    "grey glass 150": partial(drawn.plain, glass=(150, 150, 152)),
    "grey glass 110": partial(drawn.plain, glass=(110, 110, 112)),
    "yellow glass, noise of 4": partial(drawn.plain, glass=(240, 232, 205), noise=4.0),
    "pink glass, uncompressed": partial(drawn.plain, glass=(240, 222, 236), jpeg=None),
    "noise of 5": partial(_shot, noise=5.0, jpeg=90),
    "no noise at all": partial(_shot, noise=0.0, jpeg=None),
    "JPEG of 50": partial(_shot, noise=1.5, jpeg=50),
    "brown border 60, 45, 30": partial(_holder, colour=(60, 45, 30), glass=(240, 240, 238)),
    "holder 100, yellow glass": partial(_holder, colour=(100, 102, 104), glass=(240, 234, 214)),
    "dark border 40": partial(drawn.bordered, grey=40, exact=False),
    "black fill border": partial(drawn.bordered, grey=0, exact=True),
    "white fill border": partial(drawn.bordered, grey=255, exact=True),
    "dark background 60": partial(drawn.dark, grey=60),
    "dark background 12": partial(drawn.dark, grey=12),
    "eosin alone at 12 %": partial(drawn.stained, strength=0.12, stain="eosin"),
    "immunohistochemistry at 25 %": partial(drawn.stained, strength=0.25, stain="ihc"),
    "blue counterstain at 20 %": partial(drawn.stained, strength=0.2, stain="blue"),
    "fat at 50 %": partial(drawn.stained, strength=0.5, stain="fat"),
    "out of focus, pale": partial(drawn.stained, strength=0.4, stain="he", soft=45),
    "overstained": partial(drawn.stained, strength=2.0, stain="he"),
    "light from one side": partial(_side_light, depth=0.3, strength=0.8),
    "light from one side, stain at 25 %": partial(_side_light, depth=0.2, strength=0.25),
    "vignette 50 %": partial(drawn.vignette, depth=0.5),
    "coverslip edge, ihc": partial(drawn.coverslip, outside=0.85, stain="ihc"),
    "coverslip edge, brighter outside": partial(drawn.coverslip, outside=1.04),
    "two glasses, yellow": partial(drawn.two_glasses, second=(0.99, 0.96, 0.87)),
    "two glasses, pink, aslant": partial(drawn.two_glasses, second=(0.98, 0.9, 0.95), slope=0.3),
    "strips, strong": partial(drawn.striped, depth=0.15),
    "pen ring and text, green": partial(drawn.written, colour=(30, 130, 80)),
    "pen ring and text, red": partial(drawn.written, colour=(215, 35, 50)),
    "black pen bar, stain at 20 %": partial(drawn.bar, colour=(32, 32, 36), strength=0.2),
    "blue pen bar, stain at 15 %": partial(drawn.bar, colour=(40, 50, 170), strength=0.15),
    "red pen bar, stain at 20 %": partial(drawn.bar, colour=(215, 35, 50), strength=0.2),
    "black pen across a section": partial(drawn.crossed, colour=(32, 32, 36)),
    "biopsy of 0.6 % with dust": partial(drawn.biopsy, share=0.006, dust=40),
    "biopsy of 0.1 %": partial(drawn.biopsy, share=0.001, dust=0),
    "padding 0 and grey fill 220": partial(drawn.padded, pad=0, grey=220),
    "two sections, one at 20 %": partial(drawn.pair, second=0.2),
    "two stains, blue at 30 %": partial(drawn.pair, second=0.3, stain="ihc", other="blue"),
    "three sections, 100, 30, 12 %": partial(_three, strengths=(1.0, 0.3, 0.12)),
    "pale microarray": partial(drawn.cores, strength=0.25),
    "ihc everywhere": partial(drawn.full, stain="ihc"),
    "hardly any glass": partial(_pale_everywhere, radius=0.62, strength=0.8),
    "hardly any glass, stain at 30 %": partial(_pale_everywhere, radius=0.6, strength=0.3),
    "label at one side": drawn.labelled,
    "without colours": partial(_grey, strength=1.0),
    "without colours, stain at 25 %": partial(_grey, strength=0.25),
    "empty yellow slide": partial(drawn.empty, glass=(242, 236, 218)),
    "empty pink slide with dust": partial(drawn.empty, glass=(240, 222, 236), dust=20),
    "empty dark slide": partial(drawn.empty, glass=(60, 60, 62)),
    "255 from halfway": partial(drawn.halfway, value=255),
    "128 from 40 %": partial(drawn.halfway, value=128, share=0.4),
    "very small overview": partial(_sized, height=72, width=80, mpp=7.0),
    "large overview": partial(_sized, height=1500, width=2000, mpp=7.0),
    "fine overview": partial(_sized, height=700, width=900, mpp=3.0),
    "coarse overview": partial(_sized, height=300, width=400, mpp=20.0),
    "all of it": _everything,
    "methyl green on grey": lambda rng: _stained(
        drawn.new_scene(rng, glass=(238, 238, 232)), (0.9, 0.35, 0.45), 0.18, 0.4
    ).shoot(),
    "faint PAS on yellow": lambda rng: _stained(
        drawn.new_scene(rng, glass=(242, 236, 214)), (0.12, 0.78, 0.45), 0.16, 0.5
    ).shoot(),
    "silver, black on grey": lambda rng: _stained(
        drawn.new_scene(rng, glass=(226, 226, 224)), (0.95, 1.0, 1.03), 0.35, 0.6
    ).shoot(),
    "blood beside a section": _blood,
    "black scribble": _scribbled,
    "black cross, wide": _marked,
    "glass that yellows": _drifting,
    "strips of other colours": _colour_strips,
    "blue label": partial(_coloured_label, colour=(120, 170, 220)),
    "orange label": partial(_coloured_label, colour=(240, 160, 70)),
    "rim of a bubble": _bubble,
    "empty slide with words in blue": _words,
    "stain at 35 % everywhere": partial(_pale_everywhere, radius=3, strength=0.35),
}
"""More backgrounds by name, as in :data:`rl2qc.synthetic.backgrounds.BACKGROUNDS`."""

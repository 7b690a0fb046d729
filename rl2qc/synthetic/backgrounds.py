"""Hard backgrounds on which tissue must be found, each drawn from a seed with its exact truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from rl2qc.synthetic.drawing import Mask
from rl2qc.synthetic.glass import DrawnOverview, Scene

__all__ = ["BACKGROUNDS", "SIZE", "draw_background"]

SIZE = (360, 480)
"""Height and width in px of the overviews."""

_GREEN, _BLUE, _RED, _BLACK = (30, 130, 80), (40, 50, 170), (215, 35, 50), (32, 32, 36)


def draw_background(name: str, seed: int = 0) -> DrawnOverview:
    """One of :data:`BACKGROUNDS`.

    Examples
    --------
    >>> draw_background("grey glass 195").rgb.shape
    (360, 480, 3)
    """
    return BACKGROUNDS[name](np.random.default_rng(seed))


def new_scene(rng: np.random.Generator, **options: Any) -> Scene:
    return Scene(*SIZE, rng, **options)


def plain(rng: np.random.Generator, glass: tuple[int, int, int], **shot: Any) -> DrawnOverview:
    return new_scene(rng, glass=glass).section((0.45, 0.5), 0.32).shoot(**shot)


def stained(
    rng: np.random.Generator, strength: float, stain: str, soft: float = 0
) -> DrawnOverview:
    return new_scene(rng).section((0.5, 0.5), 0.33, strength, stain=stain, softness=soft).shoot()


def empty(rng: np.random.Generator, glass: tuple[int, int, int], dust: int = 0) -> DrawnOverview:
    return new_scene(rng, glass=glass).dust(dust).shoot()


def bordered(rng: np.random.Generator, grey: int, exact: bool) -> DrawnOverview:
    scene = new_scene(rng).section((0.5, 0.5), 0.3)
    border = scene.frame(0.15)
    if exact:
        return scene.shoot(fill=(border, (grey,) * 3))
    return scene.replace(border, (grey,) * 3).shoot()


def dark(rng: np.random.Generator, grey: int) -> DrawnOverview:
    scene = new_scene(rng).section((0.5, 0.5), 0.33)
    return scene.replace(~scene.truth, (grey, grey, grey)).shoot()


def vignette(rng: np.random.Generator, depth: float, strength: float = 1.0) -> DrawnOverview:
    scene = new_scene(rng).section((0.55, 0.45), 0.3, strength)
    return scene.section((0.2, 0.8), 0.12, strength).shade(depth).shoot()


def coverslip(rng: np.random.Generator, outside: float, stain: str = "he") -> DrawnOverview:
    scene = new_scene(rng, glass=(228, 230, 222)).section((0.5, 0.62), 0.25, stain=stain)
    return scene.coverslip(0.17, outside=outside).dust(8).shoot()


def two_glasses(
    rng: np.random.Generator, second: tuple[float, float, float], slope: float = 0.0
) -> DrawnOverview:
    scene = new_scene(rng).section((0.27, 0.5), 0.24).section((0.76, 0.5), 0.22)
    return scene.tint(scene.x + slope * scene.y > 0.52, second).shoot()


def written(rng: np.random.Generator, colour: tuple[int, int, int]) -> DrawnOverview:
    scene = new_scene(rng).section((0.4, 0.55), 0.25).ring((0.4, 0.55), 0.40, 9, colour)
    return scene.text("B12-3", (0.74, 0.2), 1.1, colour).shoot()


def bar(rng: np.random.Generator, colour: tuple[int, int, int], strength: float) -> DrawnOverview:
    scene = new_scene(rng).section((0.45, 0.55), 0.3, strength)
    return scene.pen([[(0.9, 0.05), (0.9, 0.95)]], 26, colour).shoot()


def crossed(rng: np.random.Generator, colour: tuple[int, int, int]) -> DrawnOverview:
    scene = new_scene(rng).section((0.5, 0.5), 0.33)
    return scene.pen([[(0.2, 0.45), (0.8, 0.55)]], 10, colour).shoot()


def biopsy(rng: np.random.Generator, share: float, dust: int) -> DrawnOverview:
    radius = float(np.sqrt(share * SIZE[1] / SIZE[0] / np.pi))
    scene = new_scene(rng).section((0.6, 0.4), radius, ragged=0.6)
    return scene.dust(dust, 1.6).shoot()


def padded(rng: np.random.Generator, pad: int, grey: int) -> DrawnOverview:
    scene = new_scene(rng).section((0.42, 0.45), 0.27)
    padding = (scene.x > 0.88) | (scene.y > 0.9)
    drawn = scene.shoot(fill=(padding, (pad,) * 3))
    drawn.rgb[: SIZE[0] // 4, : SIZE[1] // 6] = grey
    drawn.truth[: SIZE[0] // 4, : SIZE[1] // 6] = False
    return drawn


def pair(
    rng: np.random.Generator, second: float, stain: str = "he", other: str = "he"
) -> DrawnOverview:
    scene = new_scene(rng).section((0.27, 0.5), 0.25, stain=stain)
    return scene.section((0.74, 0.5), 0.23, second, stain=other).shoot()


def halfway(rng: np.random.Generator, value: int, share: float = 0.55) -> DrawnOverview:
    scene = new_scene(rng).section((0.5, 0.45), 0.3)
    missing: Mask = scene.y > share
    return scene.shoot(fill=(missing, (value,) * 3))


def cores(rng: np.random.Generator, strength: float) -> DrawnOverview:
    scene = new_scene(rng)
    for row in range(3):
        for column in range(4):
            centre = (0.14 + 0.24 * column, 0.18 + 0.32 * row)
            scene.section(centre, 0.11, strength * rng.uniform(0.6, 1.2), ragged=0.3)
    return scene.shoot()


def full(rng: np.random.Generator, stain: str = "he") -> DrawnOverview:
    return new_scene(rng).section((0.5, 0.5), 3.0, stain=stain, ragged=0).shoot()


def striped(rng: np.random.Generator, depth: float) -> DrawnOverview:
    return new_scene(rng).section((0.5, 0.5), 0.3).stripes(depth, 420).shoot()


def labelled(rng: np.random.Generator) -> DrawnOverview:
    scene = new_scene(rng).section((0.6, 0.5), 0.27)
    scene.replace(scene.x < 0.2, (250, 250, 246))
    return scene.text("H&E", (0.02, 0.4), 0.8, (20, 20, 20)).shoot()


BACKGROUNDS: Mapping[str, Callable[[np.random.Generator], DrawnOverview]] = {
    "white glass 243": partial(plain, glass=(243, 242, 244)),
    "white glass 255": partial(plain, glass=(255, 255, 255)),
    "fat with 7 um walls": partial(stained, strength=1.0, stain="fat"),
    "out-of-focus section": partial(stained, strength=1.0, stain="he", soft=45),
    "grey glass 195": partial(plain, glass=(195, 195, 195)),
    "yellow glass": partial(plain, glass=(242, 236, 218)),
    "pink glass": partial(plain, glass=(240, 222, 236)),
    "blue glass": partial(plain, glass=(218, 228, 242)),
    "dark border 18": partial(bordered, grey=18, exact=False),
    "grey fill border 128": partial(bordered, grey=128, exact=True),
    "dark background": partial(dark, grey=30),
    "stain at 22 %": partial(stained, strength=0.22, stain="he"),
    "stain at 12 %": partial(stained, strength=0.12, stain="he"),
    "weak blue counterstain": partial(stained, strength=0.35, stain="blue"),
    "immunohistochemistry": partial(stained, strength=0.8, stain="ihc"),
    "eosin alone at 30 %": partial(stained, strength=0.3, stain="eosin"),
    "vignette": partial(vignette, depth=0.3),
    "vignette, stain at 40 %": partial(vignette, depth=0.2, strength=0.4),
    "coverslip edge": partial(coverslip, outside=0.9),
    "two glasses": partial(two_glasses, second=(0.92, 0.9, 0.88)),
    "stitched strips": partial(striped, depth=0.06),
    "pen ring and text, blue": partial(written, colour=_BLUE),
    "pen ring and text, black": partial(written, colour=_BLACK),
    "pen bar beside a pale section": partial(bar, colour=_GREEN, strength=0.25),
    "pen across a section": partial(crossed, colour=_GREEN),
    "biopsy of 0.3 % with dust": partial(biopsy, share=0.003, dust=60),
    "padding and grey fill": partial(padded, pad=255, grey=200),
    "two sections, one pale": partial(pair, second=0.12),
    "two stains": partial(pair, second=0.35, other="ihc"),
    "tissue microarray": partial(cores, strength=0.8),
    "tissue everywhere": full,
    "empty grey slide": partial(empty, glass=(190, 190, 190)),
    "empty white slide with dust": partial(empty, glass=(240, 241, 240), dust=30),
    "zeros from halfway": partial(halfway, value=0),
}
"""The backgrounds by name, each a function of a generator."""

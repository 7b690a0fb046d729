"""Tissue on slides that are odd in other ways: gradients, printed grids, scenes, cores, stains."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rl2qc.images.tissue import find_tissue
from rl2qc.synthetic.backgrounds import new_scene
from rl2qc.synthetic.glass import Scene

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from evaluate_tissue import overlap
from tissue_peers import PEERS

WHITE, YELLOW = (243, 242, 244), (242, 236, 218)


def gradient(scene: Scene, one: tuple[int, ...], other: tuple[int, ...]) -> Scene:
    share = scene.x[..., None]
    scene.section((0.5, 0.5), 0.28, 0.7)
    scene.light *= ((1 - share) * np.array(one) + share * np.array(other)).astype(np.float32) / 243
    return scene


def grid(scene: Scene, step: int, colour: tuple[float, ...]) -> Scene:
    """Lines of one pixel, printed on the glass."""
    y, x = np.mgrid[: scene.shape[0], : scene.shape[1]]
    scene.section((0.5, 0.5), 0.28, 0.8)
    return scene.tint((y % step < 1) | (x % step < 1), colour)


def medium(scene: Scene, colour: tuple[float, ...]) -> Scene:
    """A patch of mounting medium below the section, of another tint than the glass."""
    scene.tint(scene.blob((0.5, 0.5), 0.47, 0.3) > 0, colour)
    return scene.section((0.5, 0.5), 0.25, 0.7)


def edge(scene: Scene, dark: float) -> Scene:
    """The edge of the mounting medium as a line around it."""
    line = np.exp(-((scene.blob((0.5, 0.5), 0.46, 0.5) / 1.6) ** 2))
    scene.light *= np.exp(-dark * line)[..., None].astype(np.float32)
    return scene.section((0.5, 0.5), 0.25, 0.7)


def between(scene: Scene, fill: int) -> Scene:
    scene.section((0.22, 0.5), 0.18).section((0.78, 0.5), 0.18, 0.4)
    return scene.replace((scene.x > 0.45) & (scene.x < 0.55), (fill,) * 3)


def cores(scene: Scene, strength: float) -> Scene:
    for i in range(24):
        at = ((i % 6 + 0.5) / 6, (i // 6 + 0.5) / 4)
        scene.section(at, 0.07, strength * (0.6 + 0.4 * (i % 2)), ragged=0.2)
    return scene


def stained(scene: Scene, colour: tuple[float, ...]) -> Scene:
    """12 % of a stain of any hue."""
    amount = 0.12 * (1 + 0.3 * (scene.noise(60) + 0.6 * scene.noise(20)))
    density = np.clip(amount, 0.012, None)[..., None] * np.array(colour)
    return scene.lay(scene.blob((0.5, 0.5), 0.3), density.astype(np.float32))


SLIDES: dict[str, tuple[tuple[int, ...], Callable[[Scene], Scene]]] = {
    "yellow to blue": (WHITE, lambda s: gradient(s, (243, 234, 205), (222, 234, 250))),
    "pink to green": (WHITE, lambda s: gradient(s, (243, 225, 238), (224, 240, 226))),
    "bright to dim": (WHITE, lambda s: gradient(s, (250, 250, 250), (150, 150, 152))),
    "black grid of 450 um": (WHITE, lambda s: grid(s, 64, (0.15, 0.15, 0.15))),
    "black grid of 1 mm": (WHITE, lambda s: grid(s, 143, (0.15, 0.15, 0.15))),
    "grey grid of 280 um": (WHITE, lambda s: grid(s, 40, (0.7, 0.7, 0.7))),
    "dim medium": ((250, 250, 250), lambda s: medium(s, (0.85, 0.85, 0.85))),
    "edge of the medium": (WHITE, lambda s: edge(s, 1.2)),
    "faint edge of the medium": (WHITE, lambda s: edge(s, 0.3)),
    "black between scenes": (WHITE, lambda s: between(s, 0)),
    "grey between scenes": (YELLOW, lambda s: between(s, 128)),
    "filled by a pale section": (WHITE, lambda s: s.section((0.5, 0.5), 1.6, 0.3)),
    "filled by eosin": (WHITE, lambda s: s.section((0.5, 0.5), 1.6, stain="eosin")),
    "cores": (WHITE, lambda s: cores(s, 1.0)),
    "pale cores on yellow": (YELLOW, lambda s: cores(s, 0.3)),
    "12 % of violet": (WHITE, lambda s: stained(s, (0.9, 1.2, 0.35))),
    "12 % of green": (WHITE, lambda s: stained(s, (0.9, 0.3, 0.7))),
    "12 % of red": (WHITE, lambda s: stained(s, (0.1, 0.9, 0.8))),
    "12 % of blue on yellow": (YELLOW, lambda s: stained(s, (0.9, 0.6, 0.15))),
}


@pytest.mark.parametrize("name", SLIDES)
def test_tissue_is_found_and_as_well_as_by_the_better_of_two_tools(name: str) -> None:
    glass, draw = SLIDES[name]
    drawn = draw(new_scene(np.random.default_rng(3), glass=glass)).shoot()
    share = overlap(find_tissue(drawn.rgb).mask, drawn.truth)
    assert share >= 0.85
    assert share >= max(overlap(rule(drawn.rgb), drawn.truth) for rule in PEERS.values()) - 0.03


@pytest.mark.parametrize("colour", [(0.27, 0.57, 0.78), (0.05, 0.5, 0.9)])
@pytest.mark.parametrize("glass", [WHITE, (195, 195, 196)])
def test_a_faint_brown_is_no_glue_where_there_is_nothing_else(
    colour: tuple[float, ...], glass: tuple[int, ...]
) -> None:
    drawn = stained(new_scene(np.random.default_rng(3), glass=glass), colour).shoot()
    found = find_tissue(drawn.rgb)
    assert overlap(found.mask, drawn.truth) >= 0.85
    assert any("hardly any light" in said for said in found.warnings)


@pytest.mark.parametrize("step", [16, 28, 40, 71])
@pytest.mark.parametrize(
    "colour", [(0.15, 0.15, 0.15), (0.4, 0.5, 0.9), (0.95, 0.5, 0.5), (0.7, 0.7, 0.7)]
)
def test_a_grid_of_any_colour_is_no_tissue(step: int, colour: tuple[float, ...]) -> None:
    drawn = grid(new_scene(np.random.default_rng(3)), step, colour).shoot()
    assert overlap(find_tissue(drawn.rgb).mask, drawn.truth) >= 0.85


def test_a_grid_on_a_slide_without_tissue_is_none() -> None:
    scene = new_scene(np.random.default_rng(3))
    y, x = np.mgrid[: scene.shape[0], : scene.shape[1]]
    scene.tint((y % 40 < 1) | (x % 40 < 1), (0.4, 0.5, 0.9))
    assert find_tissue(scene.shoot().rgb).mask.mean() <= 0.001

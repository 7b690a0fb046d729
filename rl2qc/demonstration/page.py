"""The page of a demonstration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.demonstration.result import ALPHA, SET_SIZE, TOUCHED, Demo
from rl2qc.filtering.drawing import overlay
from rl2qc.filtering.table import TileTable
from rl2qc.html.environment import encode, script, write_page
from rl2qc.model.quality import QualityModel
from rl2qc.synthetic.slide import SyntheticSlide

__all__ = ["Scene", "write_demo_page"]

# Tiles in a row of the page.
_STRIP = 9
# Hue of each artifact on the page.
_COLOURS = {
    "fold": (123, 50, 148),
    "out_of_focus": (33, 102, 172),
    "ink": (0, 136, 85),
    "bubble": (217, 95, 2),
}


@dataclass(frozen=True, eq=False)
class Scene:
    """The slide that was filtered, what became of its tiles, and the truth.

    Attributes
    ----------
    slide
    table
        Of its tiles.
    shares
        Of each tile, how much of it is under each artifact.
    model, shipped
        The model that filtered, and the shipped one.
    own_reference
        Whether the two differ.
    """

    slide: SyntheticSlide
    table: TileTable
    shares: Mapping[str, NDArray[np.float64]]
    model: QualityModel
    shipped: QualityModel
    own_reference: bool


def write_demo_page(demo: Demo, scene: Scene) -> None:
    """Write the page of a demonstration to where it says, whole or not at all."""
    table = scene.table
    order = np.argsort(table.measurements["score"])
    write_page(
        demo.page,
        "demo.html.j2",
        scripts=(script("zoom.js"),),
        demo=demo,
        alpha=ALPHA,
        touched=TOUCHED,
        set_size=SET_SIZE,
        side=scene.model.patch_size,
        mpp=table.mpp,
        colours={name: "#{:02x}{:02x}{:02x}".format(*rgb) for name, rgb in _COLOURS.items()},
        own_reference=scene.own_reference,
        made=scene.model.provenance,
        shipped=scene.shipped,
        overlay=encode(overlay(table), kind="drawing"),
        truth=encode(_truth_picture(scene.slide), kind="drawing"),
        least=[_tile(scene, int(i)) for i in order[:_STRIP]],
        most=[_tile(scene, int(i)) for i in order[::-1][:_STRIP]],
        highest_rl2=max(row.rl2 for row in demo.sets),
        highest_wad=max(row.wad_div for row in demo.sets),
        between=_between(scene),
        told=_told(scene),
        n_tiles=len(table),
        n_kept=int(table.keep.sum()),
    )


def _between(scene: Scene) -> dict[str, int]:
    """How many tiles are touched by an artifact, but too little to count, and rejected."""
    covered = np.max(list(scene.shares.values()), axis=0)
    between = (covered > 0) & (covered < TOUCHED)
    return {"tiles": int(between.sum()), "rejected": int((between & ~scene.table.keep).sum())}


def _told(scene: Scene) -> dict[str, str]:
    """The reasons that rejected tiles of each row of the table were given, the most frequent
    first."""
    covered = np.max(list(scene.shares.values()), axis=0)
    groups = {"clean": sum(scene.shares.values()) == 0, "any artifact": covered >= TOUCHED}
    groups |= {name: shares >= TOUCHED for name, shares in scene.shares.items()}
    reasons = scene.table.reasons
    return {
        name: ", ".join(
            f"{reason} {count}"
            for reason, count in Counter(reasons[group & ~scene.table.keep].tolist()).most_common()
        )
        for name, group in groups.items()
    }


def _truth_picture(slide: SyntheticSlide, step: int = 3) -> Image.Image:
    """The slide, reduced, with each artifact tinted in its colour."""
    picture = slide.rgb[::step, ::step].astype(np.float32)
    for name, mask in slide.masks.items():
        where = mask[::step, ::step]
        picture[where] = 0.45 * picture[where] + 0.55 * np.array(_COLOURS[name], np.float32)
    return Image.fromarray(picture.astype(np.uint8))


def _tile(scene: Scene, i: int) -> dict[str, Any]:
    table = scene.table
    x, y, side = int(table.x[i]), int(table.y[i]), int(table.width[i])
    shown = {name: shares[i] for name, shares in scene.shares.items() if shares[i] >= 0.005}
    return {
        "picture": encode(scene.slide.rgb[y : y + side, x : x + side]),
        "p_value": float(table.measurements["p_value"][i]),
        "keep": bool(table.keep[i]),
        "reason": str(table.reasons[i]),
        "truth": ", ".join(f"{name.replace('_', ' ')} {s:.0%}" for name, s in shown.items())
        or "clean",
    }

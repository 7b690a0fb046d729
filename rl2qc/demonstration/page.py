"""The page of a demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.demonstration.result import ALPHA, SET_SIZE, TOUCHED, Demo
from rl2qc.filtering.exports import overlay
from rl2qc.filtering.table import TileTable
from rl2qc.html.environment import encode, write_page
from rl2qc.model.quality import QualityModel
from rl2qc.synthetic.slide import SyntheticSlide

STRIP = 9


# Hue of each artifact on the page.
COLOURS = {
    "fold": (123, 50, 148),
    "out_of_focus": (33, 102, 172),
    "ink": (0, 136, 85),
    "bubble": (217, 95, 2),
}


def write_demo_page(
    path: Path,
    demo: Demo,
    slide: SyntheticSlide,
    table: TileTable,
    shares: dict[str, NDArray[np.float64]],
    model: QualityModel,
    shipped: QualityModel,
    own_reference: bool,
) -> None:
    order = np.argsort(table.measurements["score"])
    write_page(
        path,
        "demo.html.j2",
        demo=demo,
        alpha=ALPHA,
        touched=TOUCHED,
        set_size=SET_SIZE,
        side=model.patch_size,
        mpp=table.mpp,
        colours={name: "#{:02x}{:02x}{:02x}".format(*rgb) for name, rgb in COLOURS.items()},
        own_reference=own_reference,
        made=model.provenance,
        shipped=shipped,
        overlay=encode(overlay(table), kind="drawing"),
        truth=encode(_truth_picture(slide), kind="drawing"),
        least=[_tile(slide, table, shares, int(i)) for i in order[:STRIP]],
        most=[_tile(slide, table, shares, int(i)) for i in order[::-1][:STRIP]],
        highest_rl2=max(row.rl2 for row in demo.ladder),
        highest_wad=max(row.wad_div for row in demo.ladder),
        n_tiles=len(table),
        n_kept=int(table.keep.sum()),
    )


def _truth_picture(slide: SyntheticSlide, step: int = 3) -> Image.Image:
    """The slide, reduced, with each artifact tinted in its colour."""
    picture = slide.rgb[::step, ::step].astype(np.float32)
    for name, mask in slide.masks.items():
        where = mask[::step, ::step]
        picture[where] = 0.45 * picture[where] + 0.55 * np.array(COLOURS[name], np.float32)
    return Image.fromarray(picture.astype(np.uint8))


def _tile(
    slide: SyntheticSlide, table: TileTable, shares: dict[str, NDArray[np.float64]], i: int
) -> dict[str, Any]:
    x, y, side = int(table.x[i]), int(table.y[i]), int(table.width[i])
    seen = [f"{name.replace('_', ' ')} {s[i]:.0%}" for name, s in shares.items() if s[i] >= 0.005]
    return {
        "picture": encode(slide.rgb[y : y + side, x : x + side]),
        "p_value": float(table.measurements["p_value"][i]),
        "keep": bool(table.keep[i]),
        "truth": ", ".join(seen) or "clean",
    }

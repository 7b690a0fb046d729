"""The slide with its tiles: each is shown as what it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl2qc.filtering.drawing import overlay
from rl2qc.filtering.exports.files import export
from rl2qc.filtering.table import TileTable


def test_overlay_shows_each_tile_as_what_it_is(table: TileTable, tmp_path: Path) -> None:
    (path,) = export(table, tmp_path, ["overlay"])
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    scale = 800 / 256
    red_excess = []
    for x, y in zip(table.x - 100, table.y - 50, strict=True):
        red, green, _ = pixels[round((y + 32) * scale), round((x + 32) * scale)]
        red_excess.append(red - green)
    red_excess = np.array(red_excess)
    assert (red_excess[table.keep] == 0).all()  # only outlined
    assert (red_excess[~table.keep] > 0).all()
    # The smaller the p-value, the redder: 0.05, 0.01, 0.
    assert red_excess[4] < red_excess[1] < red_excess[5]
    red, green, _ = pixels[round(32 * scale), 0]  # left edge of the first tile, kept
    assert green > red
    # A place without a tile is as it was.
    assert (pixels[round(100 * scale), round(150 * scale)] == 200).all()
    # The legend is below.
    assert pixels.shape[0] > 600
    assert pixels.shape[1] == 800


def blended(colour: tuple[int, int, int], opacity: int) -> np.ndarray:
    """What a colour makes of the grey of the slide."""
    return np.array(colour) * opacity / 255 + 200 * (1 - opacity / 255)


def test_small_tiles_are_tinted_without_outline_or_gap(table: TileTable) -> None:
    # Two px of 256 are six of the picture; every other row is rejected.
    x, y = (a.ravel() for a in np.meshgrid(np.arange(0, 256, 2), np.arange(0, 192, 2)))
    n = len(x)
    keep = y % 4 == 0
    small = replace(
        table,
        x=x + 100,
        y=y + 50,
        width=np.full(n, 2),
        height=np.full(n, 2),
        tissue_fraction=np.ones(n),
        measurements={"p_value": np.where(keep, 1.0, 0.0)},
        keep=keep,
    )
    picture = np.asarray(overlay(small)).astype(float)
    assert picture.shape[1] == 800
    scale = 800 / 256
    for top, expected in ((96, blended((0, 150, 60), 40)), (98, blended((200, 0, 0), 130))):
        row = picture[round((top + 1) * scale), :800]
        assert np.abs(row - expected).max() <= 1


def test_overlay_of_alpha_zero(table: TileTable) -> None:
    picture = np.asarray(overlay(table.decide(0.0))).astype(float)
    scale = 800 / 256
    for i, (x, y) in enumerate(zip(table.x - 100, table.y - 50, strict=True)):
        centre = picture[round((y + 32) * scale), round((x + 32) * scale)]
        # Only a p-value of 0 is rejected, and is tinted as strongly as can be.
        expected = blended((200, 0, 0), 130) if i == 5 else np.full(3, 200)
        assert np.abs(centre - expected).max() <= 1


def test_overlay_needs_a_thumbnail(table_of_patches: TileTable) -> None:
    with pytest.raises(ValueError, match="no thumbnail"):
        overlay(table_of_patches)

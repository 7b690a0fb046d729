"""The slide with its map: outlines in the colour of the class, tissue visible, a legible key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image
from toy_general import toy_prior

from rl2qc.filtering.drawing_map import with_key
from rl2qc.filtering.evidence import Evidence
from rl2qc.filtering.table import TileTable
from rl2qc.images.cells import CellMap
from rl2qc.images.reasons import REASON_COLORS

CLASSES = ("out_of_focus", "fold", "noise")


def test_damage_is_outlined_and_the_tissue_stays_visible(table: TileTable) -> None:
    cells = np.zeros((6, 8, 8, 2), np.int8)
    cells[..., 0], cells[..., 1] = 1, -20
    cells[0, 2:6, 2:6, 1] = 20
    prior = toy_prior(CLASSES)
    values = np.full((6, len(prior.names)), 0.1, np.float32)
    shown = replace(table, evidence=Evidence(prior, values, CellMap(CLASSES, cells)))
    pixels = np.asarray(shown.overlay()).astype(int)
    scale = 800 / 256
    fold = np.array(REASON_COLORS["fold"])
    middle = pixels[round(32 * scale), round(32 * scale)]
    np.testing.assert_allclose(middle, 0.85 * 200 + 0.15 * fold, atol=1)
    row = pixels[round(32 * scale), : round(64 * scale)]
    outlined = np.flatnonzero((row == fold).all(1)) / scale
    # The tile begins at 100 px, half a cell beyond the slide's grid of them.
    assert 19 < outlined.min() < 21
    assert 51 < outlined.max() < 52.5
    assert len(outlined) == 4
    # The second tile is rejected: a frame, and nothing in it.
    assert (pixels[round(32 * scale), round(96 * scale)] == 200).all()
    assert (pixels[round(32 * scale), round(64 * scale)] == (200, 0, 0)).all()
    # What the model did not judge is as it was.
    assert (pixels[round(100 * scale), round(150 * scale)] == 200).all()


def test_the_key_can_be_read_where_it_is_shown_small() -> None:
    for width in (420, 800, 1600):
        alone = Image.new("RGB", (width, 50), "white")
        keyed = with_key(alone, ["SLIDE"], [((0, 0, 255), "fold 3%")])
        dark = np.asarray(keyed)[50:].min(2) < 100
        rows = np.flatnonzero(dark.any(1))
        text = np.split(rows, np.flatnonzero(np.diff(rows) > 3) + 1)
        # Capitals of the first line.
        assert len(text[0]) * 390 / keyed.width >= 7

"""Tables that several tests write down."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rl2qc.filtering.table import TileTable


@pytest.fixture
def table() -> TileTable:
    """Six of the tiles of a 4 x 3 grid; the last two touch the others at a corner at most."""
    x = np.array([0, 64, 128, 0, 64, 192], np.int64) + 100
    y = np.array([0, 0, 0, 64, 64, 128], np.int64) + 50
    p_values = np.array([0.5, 0.01, 1 / 3, 0.9, 0.05, 0.0])
    return TileTable(
        name="case 1",
        path=Path("case 1.svs"),
        kind="slide",
        x=x,
        y=y,
        width=np.full(6, 64),
        height=np.full(6, 64),
        tissue_fraction=np.array([1, 0.5, 0.25, 1, 1, 1 / 7]),
        measurements={
            "log_likelihood": np.array([-1.5, -1e300, math.nan, 0.1, -math.inf, 3.0]),
            "p_value": p_values,
        },
        keep=p_values > 0.05,
        alpha=0.05,
        mpp=0.5,
        slide_mpp=0.5,
        dimensions=(400, 300),
        bounds=(100, 50, 256, 192),
        level=0,
        scale=1.0,
        patch_size=64,
        level_dimensions=(400, 300),
        thumbnail=np.full((96, 128, 3), 200, np.uint8),
    )


@pytest.fixture
def table_of_patches(table: TileTable) -> TileTable:
    names = tuple(Path(f"set/{i}, \N{GREEK SMALL LETTER ALPHA}.png") for i in range(6))
    return replace(table, kind="patches", image_paths=names, thumbnail=None, bounds=None)

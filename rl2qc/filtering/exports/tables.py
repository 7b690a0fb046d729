"""Tables of tiles: CSV, Parquet, and the CSV that WSInfer writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from rl2qc.core.files import safe_cell
from rl2qc.core.registry import Extra
from rl2qc.core.text import valid_text
from rl2qc.filtering.exports.registry import BOTH, ExportFormat, register_format
from rl2qc.filtering.table import TileTable

__all__ = ["TILES", "write_csv", "write_parquet", "write_wsinfer"]

TILES = "tiles.csv"
"""The file that holds every tile of a result, to the last digit."""


def write_csv(table: TileTable, path: Path) -> None:
    """One row a tile; numbers keep every digit, ``keep`` and ``shifted`` are true or false."""
    columns = {
        name: np.where(values, "true", "false") if values.dtype == np.bool_ else values
        for name, values in table.columns().items()
    }
    # File names need not be valid text; they are written as the bytes that they are.
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(safe_cell, columns))
        lists = (
            # Of numbers, a million are written at once.
            map(safe_cell, column.tolist()) if column.dtype == object else column.tolist()
            for column in columns.values()
        )
        writer.writerows(zip(*lists, strict=True))


def write_parquet(table: TileTable, path: Path) -> None:
    """The columns of the CSV with their types; the schema's metadata says how they were made."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    columns = {
        # Arrow's strings are valid text.
        name: [valid_text(value) for value in values] if values.dtype == object else values
        for name, values in table.columns().items()
    }
    about = {
        "slide": valid_text(table.name),
        "mpp": table.mpp,
        "slide_mpp": table.slide_mpp,
        "level": table.level,
        "alpha": table.alpha,
        "method": table.method,
    }
    made = arrow.table(columns).replace_schema_metadata({"rl2qc": json.dumps(about)})
    # Arrow takes names that are valid text only; a file that is open has none.
    with path.open("wb") as file:
        parquet.write_table(made, file)


def write_wsinfer(table: TileTable, path: Path) -> None:
    """``minx,miny,width,height`` in level-0 px and two columns that WSInfer's readers colour by.

    ``prob_clean`` is the conformal p-value, no class probability; ``prob_rejected`` is 1 for a
    rejected tile and 0 for a kept one. The larger of the two is therefore the decision.
    """
    columns = {
        "minx": table.x,
        "miny": table.y,
        "width": table.width,
        "height": table.height,
        "prob_clean": table.measurements["p_value"],
        "prob_rejected": (~table.keep).astype(np.int64),
    }
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


register_format(
    # Deciding again reads it.
    ExportFormat("csv", TILES, write_csv, kinds=BOTH, always=True, order=1)
)
register_format(
    ExportFormat(
        "parquet",
        "tiles.parquet",
        write_parquet,
        kinds=BOTH,
        extra=Extra("pyarrow", "rl2qc[parquet]"),
        order=2,
    )
)
register_format(
    ExportFormat("wsinfer", "model-outputs-csv/{name}.csv", write_wsinfer, shared=True, order=8)
)

"""The kept tiles as pictures, by a second pass over the slide."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rl2qc.core.files import atomic_path
from rl2qc.core.read_ahead import read_ahead
from rl2qc.filtering.exports.registry import ExportFormat, register_format
from rl2qc.filtering.table import TileTable

__all__ = ["REJECTED_FOLDER", "remove_tiles", "sort_tiles", "write_tiles"]

REJECTED_FOLDER = "tiles_rejected"
_TILE = re.compile(r"x-?\d+_y-?\d+")
_THREADS = 2
_SAVE: dict[str, dict[str, Any]] = {".png": {}, ".jpg": {"quality": 90, "subsampling": 0}}


def write_tiles(table: TileTable, folder: Path, suffix: str = ".png") -> None:
    """Write each kept tile to ``folder`` as ``x{x}_y{y}``, its place at level 0.

    Pixels are those that the model saw. Pictures of other tiles that an earlier run left there are
    removed.

    Raises
    ------
    SlideError
        The slide is gone, or a tile that was read before cannot be read again.
    """
    # Here, since naming the formats must not wait for what reads slides.
    from PIL import Image

    from rl2qc.filtering.pixels import TilePixels

    names = _names(table, suffix)
    remove_tiles(folder, suffix, but={name for name, keep in names.items() if keep})
    # Row by row: the order in which slides are stored.
    chosen = [i for i in np.lexsort((table.x, table.y)).tolist() if table.keep[i]]
    folder.mkdir(parents=True, exist_ok=True)
    with TilePixels(table) as pixels:
        read = read_ahead(pixels.__getitem__, chosen, workers=_THREADS, window=16)
        for i, tile in zip(chosen, read, strict=True):
            with atomic_path(folder / f"x{table.x[i]}_y{table.y[i]}{suffix}") as path:
                Image.fromarray(tile).save(path, **_SAVE[suffix])


def sort_tiles(table: TileTable, folder: Path, suffix: str = ".png") -> int:
    """Sort the pictures that are there by a new decision, without reading the slide.

    Pictures of tiles that are now rejected move to ``tiles_rejected`` beside ``folder``, and back
    when they are kept again.

    Returns
    -------
    The number of kept tiles that have no picture, since they were rejected when the slide was read.
    """
    aside = folder.with_name(REJECTED_FOLDER)
    missing = 0
    for name, keep in _names(table, suffix).items():
        source, target = (aside, folder) if keep else (folder, aside)
        if (source / name).exists():
            target.mkdir(exist_ok=True)
            (source / name).replace(target / name)
        missing += keep and not (folder / name).exists()
    return missing


def remove_tiles(folder: Path, suffix: str = ".png", but: set[str] | None = None) -> None:
    """Remove the pictures that :func:`write_tiles` writes, and the folder if nothing is left."""
    for place in (folder, folder.with_name(REJECTED_FOLDER)):
        if not place.is_dir():
            continue
        kept = but if but and place == folder else set()
        for file in place.glob(f"*{suffix}"):
            if _TILE.fullmatch(file.stem) and file.name not in kept:
                file.unlink()
        if not any(place.iterdir()):
            place.rmdir()


def _holds_tiles(folder: Path) -> bool:
    """Other files may lie in a folder of pictures; only pictures would be replaced."""
    return any(folder.glob("x*_y*.*")) if folder.is_dir() else os.path.lexists(folder)


def _names(table: TileTable, suffix: str) -> dict[str, bool]:
    return {
        f"x{x}_y{y}{suffix}": keep
        for x, y, keep in zip(table.x.tolist(), table.y.tolist(), table.keep.tolist(), strict=True)
    }


for _order, (_name, _suffix) in enumerate((("tiles", ".png"), ("tiles-jpeg", ".jpg"))):
    register_format(
        ExportFormat(
            _name,
            "tiles",
            partial(write_tiles, suffix=_suffix),
            sort=partial(sort_tiles, suffix=_suffix),
            stands=_holds_tiles,
            remove=partial(remove_tiles, suffix=_suffix),
            order=10 + _order,
        )
    )

"""The kept tiles as pictures, by a second pass over the slide."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from rl2qc.core.files import atomic_path
from rl2qc.core.read_ahead import read_ahead
from rl2qc.filtering.exports.geometry import patch_pixels
from rl2qc.filtering.table import TileTable
from rl2qc.slides.readers.openslide import SlideReader

__all__ = ["REJECTED_FOLDER", "remove_tiles", "sort_tiles", "write_tiles"]

REJECTED_FOLDER = "tiles_rejected"
_TILE = re.compile(r"x-?\d+_y-?\d+")
_THREADS = 2
_JPEG_QUALITY = 90


def write_tiles(table: TileTable, folder: Path, suffix: str = ".png") -> None:
    """Write each kept tile to ``folder`` as ``x{x}_y{y}``, its place at level 0.

    Pixels are those that were judged, at ``table.mpp``; of imported tiles of another size than the
    model's, the whole tile. Pictures of other tiles that an earlier run left there are removed.

    Raises
    ------
    SlideError
        The slide is gone, or a tile that was read before cannot be read again.
    """
    names = _names(table, suffix)
    remove_tiles(folder, suffix, but={name for name, keep in names.items() if keep})
    # Row by row: the order in which slides are stored.
    chosen = [i for i in np.lexsort((table.x, table.y)).tolist() if table.keep[i]]
    size = patch_pixels(table)

    def read(i: int) -> tuple[str, Image.Image]:
        x, y = int(table.x[i]), int(table.y[i])
        region = slide.read_region(
            x, y, (size, size), level=table.level or 0, scale=table.scale or 1.0
        )
        return f"x{x}_y{y}{suffix}", Image.fromarray(region.rgb)

    folder.mkdir(parents=True, exist_ok=True)
    with SlideReader(table.path, mpp_override=table.slide_mpp, icc=table.icc) as slide:
        for name, picture in read_ahead(read, chosen, workers=_THREADS, window=16):
            with atomic_path(folder / name) as path:
                if suffix == ".jpg":
                    picture.save(path, quality=_JPEG_QUALITY, subsampling=0)
                else:
                    picture.save(path)


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


def remove_tiles(folder: Path, suffix: str, but: set[str] | None = None) -> None:
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


def _names(table: TileTable, suffix: str) -> dict[str, bool]:
    return {
        f"x{x}_y{y}{suffix}": keep
        for x, y, keep in zip(table.x.tolist(), table.y.tolist(), table.keep.tolist(), strict=True)
    }

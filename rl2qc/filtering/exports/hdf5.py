"""Coordinates for TRIDENT and CLAM, which embed every patch that a file lists.

``coords`` therefore holds the KEPT tiles alone: neither reader knows a mask, and a file with all
of them would put the rejected ones back into the embedding. Next to it, ignored by both readers:

``scores``
    (n, k) float64, aligned with ``coords``; its attribute ``columns`` names the k columns.
``all/coords``, ``all/scores``, ``all/keep``, ``all/reason``
    The same for every tile that was measured, with the decision as bool and the likely reason of a
    rejection as text.

Coordinates that were imported keep their order and the attributes that they came with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.registry import Extra
from rl2qc.core.text import valid_text
from rl2qc.filtering.exports.geometry import (
    magnification,
    plain_number,
    tile_pixels,
    tile_side,
)
from rl2qc.filtering.exports.registry import Exportable, ExportFormat, register_format
from rl2qc.filtering.table import TileTable

__all__ = ["trident_folder", "write_clam", "write_trident"]


def write_trident(table: TileTable, path: Path) -> None:
    """TRIDENT's file; its readers take the tile's side from ``patch_size`` and the ratio of the
    two magnifications, so the ratio is exact where the magnifications are nominal."""
    side, size = tile_side(table), tile_pixels(table)
    target = _target_magnification(table)
    width, height = table.dimensions or (0, 0)
    _write(
        table,
        path,
        "trident",
        {
            "patch_size": size,
            "patch_size_level0": side,
            "level0_magnification": plain_number(target * side / size),
            "target_magnification": target,
            "overlap": table.overlap,
            "name": valid_text(table.name),
            "savetodir": trident_folder(table),
            "level0_width": width,
            "level0_height": height,
        },
    )


def write_clam(table: TileTable, path: Path) -> None:
    """CLAM's file; ``patch_size`` counts pixels of ``patch_level``."""
    width, height = table.dimensions or (0, 0)
    columns, rows = table.level_dimensions or (width, height)
    downsample = (width / columns, height / rows) if columns and rows else (1.0, 1.0)
    _write(
        table,
        path,
        "clam",
        {
            "patch_size": max(1, round(tile_side(table) / downsample[0])),
            "patch_level": table.level or 0,
            "downsample": downsample,
            "downsampled_level_dim": (columns, rows),
            "level_dim": (columns, rows),
            "name": valid_text(table.name),
            "save_path": "patches",
        },
    )


def trident_folder(table: Exportable) -> str:
    """The folder that TRIDENT looks for coordinates of this kind in.

    Examples
    --------
    >>> nothing, none = np.empty(0, np.int64), np.empty(0)
    >>> trident_folder(TileTable("a", Path("a.svs"), "slide", nothing, nothing, nothing, nothing,
    ...     none, {"p_value": none}, none > 0, 0.05, mpp=0.499, slide_mpp=0.499, tile_size=224))
    '20x_224px_0px_overlap'
    """
    size, overlap, target = tile_pixels(table), table.overlap, _target_magnification(table)
    if table.coords is not None and table.coords["layout"] == "trident":
        given = table.coords["attributes"]
        size, overlap = given.get("patch_size", size), given.get("overlap", 0)
        # TRIDENT writes "None" for what it does not know.
        if isinstance(given.get("target_magnification"), int | float):
            target = given["target_magnification"]
    return f"{target:g}x_{size}px_{overlap}px_overlap"


def _target_magnification(table: Exportable) -> float:
    return magnification(table.mpp) if table.mpp is not None else 20


def _write(table: TileTable, path: Path, layout: str, attributes: dict[str, Any]) -> None:
    import h5py

    if table.coords is not None and table.coords["layout"] == layout:
        attributes = table.coords["attributes"]
    xy = np.stack([table.x, table.y], axis=1)
    columns = {"tissue_fraction": table.tissue_fraction, **table.measurements}
    scores = np.stack(list(columns.values()), axis=1)
    # In memory first: on a full disk, HDF5 does not fail but end the process.
    with h5py.File(path, "w", driver="core", backing_store=False) as file:
        coords = _dataset(file, "coords", xy[table.keep])
        for name, value in attributes.items():
            coords.attrs[name] = value
        for name, values in (("scores", scores[table.keep]), ("all/scores", scores)):
            _dataset(file, name, values).attrs["columns"] = list(columns)
        _dataset(file, "all/coords", xy)
        file.create_dataset("all/keep", data=table.keep)
        file.create_dataset(
            "all/reason", data=table.reasons.astype(object), dtype=h5py.string_dtype()
        )
        file.flush()
        content = file.id.get_file_image()
    path.write_bytes(content)


def _dataset(file: Any, name: str, values: NDArray[Any]) -> Any:
    # Both tools append to what they find, so their files can grow.
    return file.create_dataset(name, data=values, maxshape=(None, values.shape[1]))


_H5PY = Extra("h5py", "rl2qc[h5]")

register_format(
    ExportFormat(
        "trident",
        "{place}/patches/{name}_patches.h5",
        write_trident,
        shared=True,
        square=True,
        extra=_H5PY,
        place=trident_folder,
        place_pattern="*x_*px_*px_overlap",
        order=6,
    )
)
register_format(
    ExportFormat(
        "clam", "patches/{name}.h5", write_clam, shared=True, square=True, extra=_H5PY, order=7
    )
)

"""The size of a table's tiles, in the terms that other tools use."""

from __future__ import annotations

from rl2qc.filtering.exports.registry import Exportable
from rl2qc.filtering.table import TileTable

__all__ = ["magnification", "plain_number", "tile_pixels", "tile_side"]

_MAGNIFICATIONS = (80, 60, 40, 20, 10, 5, 2.5, 1.25)
# Scanners call anything between 0.45 and 0.55 um/px "20x", and 0.2273 "40x".
_NOMINAL = 0.12


def magnification(mpp: float) -> float:
    """The objective power that is called that many microns per pixel, 10 / mpp.

    Examples
    --------
    >>> magnification(0.2527), magnification(0.5), magnification(0.7)
    (40, 20, 14.29)
    """
    exact = 10 / mpp
    for nominal in _MAGNIFICATIONS:
        if abs(exact / nominal - 1) <= _NOMINAL:
            return nominal
    return plain_number(round(exact, 2))


def tile_side(table: TileTable) -> int:
    """Side of a tile in level-0 px, for a table without tiles, too."""
    if len(table):
        return int(table.width[0])
    if table.mpp is None or table.slide_mpp is None:
        return tile_pixels(table)
    return max(1, round(tile_pixels(table) * table.mpp / table.slide_mpp))


def tile_pixels(table: Exportable) -> int:
    """Side of a tile in px at ``table.mpp``."""
    return table.tile_size or 1


def plain_number(value: float) -> float:
    """An integer where it is one, as the tools write it."""
    return int(value) if float(value).is_integer() else value

"""Pictures of a slide: alone, and with its tiles."""

from __future__ import annotations

from pathlib import Path

from rl2qc.filtering.exports.registry import ExportFormat, register_format
from rl2qc.filtering.table import TileTable

__all__ = ["THUMBNAIL", "write_overlay", "write_thumbnail"]

THUMBNAIL = "thumbnail.png"
"""The picture of the slide that an overlay is drawn on."""


def write_overlay(table: TileTable, path: Path) -> None:
    """:func:`rl2qc.filtering.drawing.overlay` as a PNG file."""
    table.overlay().save(path)


def write_thumbnail(table: TileTable, path: Path) -> None:
    """:func:`rl2qc.filtering.drawing.thumbnail` as a PNG file."""
    from rl2qc.filtering.drawing import thumbnail

    thumbnail(table).save(path)


# Whatever is decided, the picture of the slide is the same; deciding again draws on it.
register_format(
    ExportFormat("thumbnail", THUMBNAIL, write_thumbnail, always=True, decided=False, order=4)
)
register_format(ExportFormat("overlay", "overlay.png", write_overlay, order=5))

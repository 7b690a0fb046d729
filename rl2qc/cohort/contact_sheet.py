"""A few tiles of a cohort to look at: kept, borderline and rejected ones, from all its slides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl2qc.errors import Rl2qcError
from rl2qc.filtering.decision import adjusted
from rl2qc.filtering.pixels import TilePixels
from rl2qc.filtering.table import TileTable

__all__ = ["SHEETS", "ContactSheets", "SheetTile", "place_of"]

SHEETS = ("kept", "borderline", "rejected")


@dataclass(frozen=True)
class SheetTile:
    """A tile on a sheet; ``reason`` is why it was rejected, ``image`` is None where it cannot be
    read any more."""

    slide: str
    place: str
    p_value: float
    keep: bool
    reason: str
    image: Image.Image | None


class ContactSheets:
    """Gathers tiles slide by slide, then takes as many from each slide as the others allow.

    Kept and rejected tiles are drawn by chance; borderline are those of a slide whose p-values (for
    Benjamini-Hochberg, q-values) lie nearest to alpha, on either side of it.

    Parameters
    ----------
    rng
        Draws the tiles.
    size
        Tiles on a sheet.
    side
        Side of a picture in px.
    """

    def __init__(self, rng: np.random.Generator, *, size: int = 24, side: int = 112) -> None:
        self._rng, self._size, self._side = rng, size, side
        self._tables: list[TileTable] = []
        self._reasons: list[NDArray[np.str_]] = []
        self._chosen: dict[str, list[NDArray[np.int64]]] = {name: [] for name in SHEETS}

    def add(self, table: TileTable) -> None:
        """Choose tiles of one more slide or set of patches."""
        kept, rejected = np.flatnonzero(table.keep), np.flatnonzero(~table.keep)
        p = adjusted(table.measurements["p_value"], table.method)
        # A ratio, since p-values live on a scale of ratios: 0.04 is as near to 0.05 as 0.0625 is.
        distance = np.abs(np.log(np.maximum(p, 1e-12) / max(table.alpha, 1e-12)))
        nearest = np.argsort(distance, kind="stable")
        # Far from alpha, nothing is borderline.
        nearest = nearest[distance[nearest] < np.log(2)]
        # Only what a sheet can show is remembered, whatever the size of the slide.
        size = self._size
        chosen = {
            "kept": self._rng.permutation(kept)[:size],
            "borderline": nearest[:size],
            "rejected": self._rng.permutation(rejected)[:size],
        }
        union = np.unique(np.concatenate(list(chosen.values())))
        self._tables.append(_rows(table, union))
        self._reasons.append(table.reasons[union])
        for name, indices in chosen.items():
            self._chosen[name].append(np.searchsorted(union, indices))

    def read(self) -> dict[str, list[SheetTile]]:
        """The sheets by name; tiles of one slide stand together."""
        picked = {name: take_turns(parts, self._size) for name, parts in self._chosen.items()}
        sheets: dict[str, list[SheetTile]] = {name: [] for name in SHEETS}
        for number, table in enumerate(self._tables):
            wanted = [
                (name, int(i)) for name in SHEETS for part, i in picked[name] if part == number
            ]
            if wanted:
                for (name, i), image in zip(
                    wanted, self._images(table, [i for _, i in wanted]), strict=True
                ):
                    reason = str(self._reasons[number][i])
                    sheets[name].append(_sheet_tile(table, i, reason, image))
        return sheets

    def _images(self, table: TileTable, indices: Sequence[int]) -> list[Image.Image | None]:
        """What the model saw of these tiles, small; None of one that cannot be read any more."""
        side = (self._side, self._side)
        images: list[Image.Image | None] = []
        try:
            with TilePixels(table) as pixels:
                for i in indices:
                    try:
                        image = Image.fromarray(np.ascontiguousarray(pixels[i]))
                        images.append(image.resize(side, Image.Resampling.LANCZOS))
                    except (Rl2qcError, OSError):
                        images.append(None)
        except Rl2qcError:
            return [None] * len(indices)
        return images


def take_turns(parts: Sequence[NDArray[np.int64]], size: int) -> list[tuple[int, int]]:
    """At most ``size`` items, the first of each part before the second of any.

    Returns
    -------
    Pairs of part and item, in order of the parts.

    Examples
    --------
    >>> take_turns([np.array([7, 8, 9]), np.array([5])], 3)
    [(0, 7), (0, 8), (1, 5)]
    """
    turns = [
        (turn, part, int(item))
        for part, items in enumerate(parts)
        for turn, item in enumerate(items)
    ]
    return sorted((part, item) for _, part, item in sorted(turns)[:size])


def _rows(table: TileTable, rows: NDArray[np.int64]) -> TileTable:
    """Some rows of a table, without its picture."""
    return replace(
        table,
        x=table.x[rows],
        y=table.y[rows],
        width=table.width[rows],
        height=table.height[rows],
        tissue_fraction=table.tissue_fraction[rows],
        measurements={name: column[rows] for name, column in table.measurements.items()},
        keep=table.keep[rows],
        image_paths=tuple(table.image_paths[i] for i in rows) if table.image_paths else (),
        failures=(),
        thumbnail=None,
    )


def place_of(table: TileTable, i: int) -> str:
    """Where to find a tile: its pixels at level 0 of the slide, or the name of its image."""
    if table.kind == "slide":
        return f"x {table.x[i]}, y {table.y[i]}"
    return Path(table.shown(table.image_paths[i])).name


def _sheet_tile(table: TileTable, i: int, reason: str, image: Image.Image | None) -> SheetTile:
    p_value = float(table.measurements["p_value"][i])
    return SheetTile(table.name, place_of(table, i), p_value, bool(table.keep[i]), reason, image)

"""What follows from the columns of a table and what is said of its slide."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rl2qc.filtering.drift import DRIFT_ALARM, MIN_TILES
from rl2qc.slides.stretch import square_corners
from rl2qc.slides.tiling import is_shifted

__all__ = ["ODD_COLOURS", "OVER_REJECTED", "flags_of", "shifted_tiles", "tile_size_of"]

ODD_COLOURS = "colours look wrong"
"""The flag of a slide in colours that stained tissue does not have."""
OVER_REJECTED = "over-rejected"
"""The flag of a slide that loses more of its tissue than was allowed."""


class Told(Protocol):
    """What of a :class:`~rl2qc.filtering.table.TileTable` they follow from."""

    @property
    def kind(self) -> str: ...
    @property
    def x(self) -> NDArray[np.int64]: ...
    @property
    def y(self) -> NDArray[np.int64]: ...
    @property
    def width(self) -> NDArray[np.int64]: ...
    @property
    def mpp(self) -> float | None: ...
    @property
    def slide_mpp(self) -> float | None: ...
    @property
    def patch_size(self) -> int | None: ...
    @property
    def step(self) -> int | None: ...
    @property
    def stretch(self) -> tuple[float, float]: ...
    @property
    def bounds(self) -> tuple[int, int, int, int] | None: ...
    @property
    def coords(self) -> dict[str, Any] | None: ...
    @property
    def odd_colours(self) -> str: ...
    @property
    def failures(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def unreadable(self) -> int: ...
    @property
    def drift(self) -> float: ...
    @property
    def rejected_share(self) -> float: ...
    @property
    def max_rejected(self) -> float: ...
    def __len__(self) -> int: ...


def flags_of(table: Told) -> tuple[str, ...]:
    """Why a person should look before a result is used."""
    flags = {
        ODD_COLOURS: bool(table.odd_colours),
        "no tissue": table.kind == "slide" and not len(table) and not table.failures,
        "out of distribution": len(table) >= MIN_TILES and table.drift >= DRIFT_ALARM,
        OVER_REJECTED: table.rejected_share > table.max_rejected,
        "unreadable tiles": table.unreadable > 0,
    }
    return tuple(name for name, raised in flags.items() if raised)


def tile_size_of(table: Told) -> int | None:
    """What a table that was not told knows of the size of its tiles."""
    if table.coords is None and table.patch_size is not None:
        return table.patch_size
    if not len(table) or table.mpp is None or table.slide_mpp is None:
        return None
    return max(1, round(int(table.width[0]) * table.slide_mpp / table.mpp))


def shifted_tiles(table: Told) -> NDArray[np.bool_]:
    """(n,) which tiles lie off the grid."""
    if table.step is None or table.bounds is None:
        return np.zeros(len(table), np.bool_)
    corners, (left, top) = np.stack([table.x, table.y], axis=1), table.bounds[:2]
    if table.stretch != (1.0, 1.0):
        corners = square_corners(corners, table.stretch)
        left, top = square_corners((left, top), table.stretch).tolist()
    return is_shifted(corners, (left, top), table.step)

"""The map of a whole slide: what the cells of all its tiles say, laid side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rl2qc.filtering.evidence import Evidence
from rl2qc.images.cells import CELL, encode_cells

__all__ = ["BACKGROUND", "CELL", "GRANDQC", "TISSUE", "Mapped", "SlideMask", "slide_mask"]

TISSUE, BACKGROUND = 1, 7
"""GrandQC's codes of what is not damaged."""
GRANDQC: Mapping[str, int] = {
    "fold": 2,
    "dark_spot": 3,
    "foreign": 3,
    "ink": 4,
    "pen": 4,
    "bubble": 5,
    "out_of_focus": 6,
}
"""GrandQC's codes of the classes of a map; it has none for others."""


class Mapped(Protocol):
    """What of a :class:`~rl2qc.filtering.table.TileTable` a map is laid of."""

    @property
    def name(self) -> str: ...
    @property
    def x(self) -> NDArray[np.int64]: ...
    @property
    def y(self) -> NDArray[np.int64]: ...
    @property
    def width(self) -> NDArray[np.int64]: ...
    @property
    def height(self) -> NDArray[np.int64]: ...
    @property
    def dimensions(self) -> tuple[int, int] | None: ...
    @property
    def mpp(self) -> float | None: ...
    @property
    def slide_mpp(self) -> float | None: ...
    @property
    def stretch(self) -> tuple[float, float]: ...
    @property
    def patch_size(self) -> int | None: ...
    @property
    def covered(self) -> bool: ...
    @property
    def evidence(self) -> Evidence | None: ...
    @property
    def artifact_mask(self) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, eq=False)
class SlideMask:
    """What each cell of a slide shows.

    Attributes
    ----------
    classes
        Of damage, as the model names them.
    labels : (h, w) uint8
        0 for glass and what was not judged, 1 for clean tissue, 2 and more for the classes.
    step
        Level-0 px a cell, across and down; the first begins at 0, 0.
    mpp
        Microns a cell.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.uint8]
    step: tuple[float, float]
    mpp: float

    def codes(self) -> NDArray[np.uint8]:
        """(h, w) uint8 in GrandQC's codes; damage that these do not know counts as tissue."""
        known = [GRANDQC.get(name, TISSUE) for name in self.classes]
        return np.array([BACKGROUND, TISSUE, *known], np.uint8)[self.labels]

    @property
    def damaged(self) -> NDArray[np.bool_]:
        """(h, w) whether a cell is damaged."""
        return np.asarray(self.labels > TISSUE)

    def counts(self) -> dict[str, int]:
        """How many cells each class has, clean tissue among them as "tissue"."""
        found = np.bincount(self.labels.ravel(), minlength=len(self.classes) + 2).tolist()
        return dict(zip(("tissue", *self.classes), found[1:], strict=True))

    def areas(self) -> dict[str, float]:
        """The area of each in square microns."""
        return {name: count * self.mpp**2 for name, count in self.counts().items()}


def slide_mask(table: Mapped) -> SlideMask:
    """Lay the cells of all tiles side by side.

    Edges are rounded alike, so neighbours share them: neither gap nor overlap at a seam. Where
    tiles overlap, what is surest to be damaged counts.

    Raises
    ------
    ValueError
        A table without a map, or one of patches.
    """
    if table.evidence is None:
        raise ValueError(f"{table.name}: the model that measured the tiles gives no map")
    if table.dimensions is None or table.mpp is None or table.slide_mpp is None:
        raise ValueError(f"{table.name} has no dimensions to lay a map over")
    # Level-0 px per pixel of a tile, across and down.
    scale = table.mpp / table.slide_mpp * np.array(table.stretch)
    across_step, down_step = (CELL * scale).tolist()
    columns = max(1, int(np.ceil(table.dimensions[0] / across_step - 1e-6)))
    rows = max(1, int(np.ceil(table.dimensions[1] / down_step - 1e-6)))
    labels, ranks = np.zeros((rows, columns), np.uint8), np.full((rows, columns), -129, np.int16)
    own, sure = _of_tiles(table, table.evidence)
    # Of tiles that were looked at in parts, all was seen.
    size = 0 if table.covered else table.patch_size or 0
    lefts, across = _edges(table.x, table.width, size * scale[0], across_step)
    tops, down = _edges(table.y, table.height, size * scale[1], down_step)
    for i, (left, top) in enumerate(zip(lefts.tolist(), tops.tolist(), strict=True)):
        y, x = np.arange(down[i]), np.arange(across[i])
        # Where the slide ends, so do the cells.
        y = y[(top + y >= 0) & (top + y < rows)]
        x = x[(left + x >= 0) & (left + x < columns)]
        if not len(y) or not len(x):
            continue
        from_y = ((y + 0.5) * own.shape[1] / down[i]).astype(np.int64)
        from_x = ((x + 0.5) * own.shape[2] / across[i]).astype(np.int64)
        place = np.s_[top + y[0] : top + y[-1] + 1, left + x[0] : left + x[-1] + 1]
        rank, label = sure[i][np.ix_(from_y, from_x)], own[i][np.ix_(from_y, from_x)]
        surer = rank > ranks[place]
        ranks[place] = np.where(surer, rank, ranks[place])
        labels[place] = np.where(surer, label, labels[place])
    step = across_step, down_step
    return SlideMask(table.evidence.cells.classes, labels, step, CELL * table.mpp)


def _of_tiles(table: Mapped, evidence: Evidence) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """The label of each cell, and what goes before others where tiles overlap."""
    mask = table.artifact_mask
    labels = np.where(mask > 0, mask + TISSUE, TISSUE).astype(np.uint8)
    # What the network is told to pass over, as glass is, has a probability of 0 in each class.
    nothing = encode_cells(np.zeros((1, 1, 1, len(evidence.cells.classes))), evidence.prior.cells)
    cells = evidence.tile_cells.cells
    labels[(cells[..., :2] == nothing[..., :2]).all(-1)] = 0
    ranks = np.where(labels > TISSUE, cells[..., 1].astype(np.int16), labels - 128)
    return labels, ranks.astype(np.int16)


def _edges(
    place: NDArray[np.int64], side: NDArray[np.int64], seen: float, step: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first cell of each tile, and how many: of imported tiles, the model saw the middle."""
    width = side.astype(np.float64)
    # The side is a whole number of px, what was seen need not be.
    if seen and len(side) and np.abs(width - seen).max() > 1:
        width = np.full(len(side), seen)
    start = place + (side - width) / 2
    # To the nearest cell, halves upwards: neighbours round alike.
    first = np.floor(start / step + 0.5).astype(np.int64)
    return first, np.maximum(np.floor((start + width) / step + 0.5).astype(np.int64) - first, 1)

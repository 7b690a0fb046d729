"""How much of the tissue of a slide is damaged, and by what: as a share, and in square microns."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rl2qc.filtering.evidence import Evidence
from rl2qc.images.reasons import DAMAGE_REASONS
from rl2qc.stats.prior import logit

__all__ = [
    "AREA",
    "FEW",
    "MOST",
    "SHARE",
    "Areal",
    "class_columns",
    "mean_probabilities",
    "tissue_area_um2",
    "tissue_shares",
    "tissue_weights",
]

SHARE, AREA = "share_", "area_um2_"
"""How the columns begin that say how much of a tile shows a class of damage."""
MOST, FEW = 0.5, 0.1
"""A tile mostly shows what it has a larger mean probability of; of a smaller share of the tissue
than ``FEW``, doubt is no news."""

# Of more edges than this, as of coordinates that were imported, those on a lattice stand for all.
_EDGES = 4096


class Areal(Protocol):
    """What of a :class:`~rl2qc.filtering.table.TileTable` areas follow from."""

    @property
    def kind(self) -> str: ...
    @property
    def x(self) -> NDArray[np.int64]: ...
    @property
    def y(self) -> NDArray[np.int64]: ...
    @property
    def width(self) -> NDArray[np.int64]: ...
    @property
    def height(self) -> NDArray[np.int64]: ...
    @property
    def tissue_fraction(self) -> NDArray[np.float64]: ...
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
    def keep(self) -> NDArray[np.bool_]: ...
    @property
    def reasons(self) -> NDArray[np.str_]: ...
    @property
    def evidence(self) -> Evidence | None: ...
    @property
    def artifact_mask(self) -> NDArray[np.uint8]: ...
    def __len__(self) -> int: ...


def tissue_shares(table: Areal) -> dict[str, float]:
    """The share of the tissue under each kind of damage, by its name in words.

    Where there is a map, cell by cell, or the tiles that mostly show the damage where that is more:
    what fills a tile is found in it as a whole before it is found in each cell. Else it is the
    tiles that were rejected for it.
    """
    weights = tissue_weights(table)
    shares: dict[str, float] = {}
    if not len(table):
        return shares
    if table.evidence is None:
        for name in np.unique(table.reasons[table.reasons != ""]).tolist():
            shares[name] = float(weights[table.reasons == name].sum())
        return shares
    mostly = _mostly(table, table.evidence)
    for number, name in enumerate(table.evidence.cells.classes):
        cells = float(weights @ (table.artifact_mask == number + 1).mean((1, 2)))
        share = max(cells, float(weights @ mostly[:, number]))
        word = DAMAGE_REASONS.get(name, name)
        if share > 0:
            shares[word] = min(1.0, shares.get(word, 0.0) + share)
    return shares


def tissue_weights(table: Areal) -> NDArray[np.float64]:
    """The share (n,) of the tissue that is in each tile."""
    area = table.tissue_fraction * table.width * table.height
    total = float(area.sum())
    return np.asarray(area / total if total > 0 else np.full(len(table), 1 / max(1, len(table))))


def _mostly(table: Areal, evidence: Evidence) -> NDArray[np.bool_]:
    """Which tiles mostly show each class (n, classes), and surely so: they are rejected for it, or
    show more of it than clean tiles of any laboratory, as many that are kept do."""
    means, limit = mean_probabilities(evidence), evidence.prior.limit
    beyond = (logit(means) > limit[: means.shape[1]]) & table.keep[:, None]
    mostly = means > MOST
    beyond &= (tissue_weights(table) @ (beyond & mostly)) >= FEW
    # Rejected for ink, a tile of a slide that is stored as JPEG is not damaged by compression too.
    words = np.array([DAMAGE_REASONS.get(name, name) for name in evidence.cells.classes])
    return np.asarray(mostly & (beyond | (table.reasons[:, None] == words)))


def mean_probabilities(evidence: Evidence) -> NDArray[np.float32]:
    """The mean probability of each class in each tile: the first columns of all evidence."""
    means = evidence.values[:, : len(evidence.cells.classes)]
    if evidence.tiles is None:
        return means
    # Of several looks at a tile: they are of one size.
    sums = np.zeros((len(evidence), means.shape[1]), np.float32)
    np.add.at(sums, evidence.tiles, means)
    return np.asarray(sums / np.bincount(evidence.tiles)[:, None], np.float32)


def tissue_area_um2(table: Areal) -> float | None:
    """The tissue in the tiles, in square microns; None where the slide has no known resolution.

    What several tiles share counts once.
    """
    if table.kind != "slide" or table.slide_mpp is None:
        return None
    area = float((table.tissue_fraction * _own_areas(table)).sum())
    return area * table.slide_mpp**2 / math.prod(table.stretch)


def class_columns(table: Areal) -> dict[str, NDArray[np.float64]]:
    """Columns (n,) of how much of each tile shows each class, as far as the model saw it: shares,
    and square microns where the slide says how large it is; {} without a map."""
    if table.evidence is None:
        return {}
    classes = table.evidence.cells.classes
    shares = table.evidence.cells.shares_of(table.artifact_mask).T
    columns = dict(zip((f"{SHARE}{name}" for name in classes), shares, strict=True))
    if table.kind == "slide" and table.slide_mpp is not None:
        areas = shares * (_seen(table) * (table.slide_mpp**2 / math.prod(table.stretch)))
        columns |= dict(zip((f"{AREA}{name}" for name in classes), areas, strict=True))
    return columns


def _seen(table: Areal) -> NDArray[np.float64]:
    """The area (n,) that the model saw of each tile, in level-0 px."""
    whole = (table.width * table.height).astype(np.float64)
    if table.covered or not table.patch_size or not table.mpp or not table.slide_mpp:
        return whole
    seen = (table.patch_size * table.mpp / table.slide_mpp) ** 2 * math.prod(table.stretch)
    return np.minimum(whole, seen)


def _own_areas(table: Areal) -> NDArray[np.float64]:
    """The area (n,) of each tile in level-0 px; what several share is divided among them."""
    left, right, across = _edges(table.x, table.width)
    top, bottom, down = _edges(table.y, table.height)
    # How many tiles lie over each field between the edges: ups and downs, summed.
    turns = np.zeros((len(down) + 1, len(across) + 1), np.int32)
    for rows, columns, turn in (
        (top, left, 1),
        (bottom, right, 1),
        (top, right, -1),
        (bottom, left, -1),
    ):
        np.add.at(turns, (rows, columns), turn)
    tiles = turns.cumsum(0).cumsum(1)[:-1, :-1]
    fields = np.outer(down, across) / np.maximum(tiles, 1)
    sums = np.zeros(turns.shape)
    sums[1:, 1:] = fields.cumsum(0).cumsum(1)
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return np.asarray(inside, np.float64)


def _edges(
    place: NDArray[np.int64], side: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Between which edges each tile lies along an axis, and how far these are from each other."""
    ends = place + side
    edges = np.unique(np.concatenate([place, ends])).astype(np.float64)
    if len(edges) > _EDGES:
        edges = np.linspace(edges[0], edges[-1], _EDGES)
    near = (edges[1:] + edges[:-1]) / 2
    return np.searchsorted(near, place), np.searchsorted(near, ends), np.diff(edges)

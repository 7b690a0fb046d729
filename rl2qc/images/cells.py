"""Where in a patch what is damaged: how far each cell is beyond its limit, and what it shows.

A cell's evidence is kept in four bytes: the class that is farthest beyond its limit, by how much in
steps of a quarter of a logit, the class that it is likeliest to be, and how many quarters of it
have a hue that no stain has. So a slide of 50,000 tiles takes 160 MB, and limits can still be moved
afterwards to what is usual in a slide. The first says whether a cell is damaged, the third by what:
limits are such that clean cells stay below them, and a rare class, with a low one, is not for that
the likelier. Older results have the first two or three.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["CELL", "WITHOUT_EDGES", "CellMap", "encode_cells", "glass_cells"]

CELL = 8
"""Side of a cell in px of what the model saw."""
# Steps a logit, and the largest margin in steps.
_STEPS, _MOST = 4, 127
_TINY = 1e-7
# Of what a cell says of a class, a quarter of what clean cells say is taken off, and a quarter of
# what the tile as a whole says is added: chosen on the laboratories of one fold.
_OF_LIMIT, _OF_TILE = 0.25, 0.25
# Of a cell, all that is known.
_BYTES = 4
WITHOUT_EDGES = ("out_of_focus", "noise", "compression", "stain")
"""Classes of damage that fade out: where they end cannot be seen."""
# A network sees farther than a cell: what has edges is found in cells around it, too. Chosen on the
# laboratories of one fold: cells across the surroundings, and the share of their largest margin
# that a cell must have.
_AROUND, _OF_LARGEST = 9, 0.3
# Tiles taken at a time: a slide may have 50,000.
_AT_ONCE = 512
# Grey levels: glass varies less within a cell, and is nowhere darker.
_EVEN, _BRIGHT = 16, 210


def encode_cells(
    cells: ArrayLike,
    limits: ArrayLike,
    of_tiles: ArrayLike | None = None,
    odd_hue: ArrayLike | None = None,
) -> NDArray[np.int8]:
    """The strongest class of each cell, its margin, the likeliest class, and its hue.

    Parameters
    ----------
    cells : (n, h, w, classes)
        Probabilities of damage.
    limits : (classes,)
        Logits that clean cells stay below.
    of_tiles : (n, classes)
        How likely each class is in a tile that is damaged; all alike without.
    odd_hue : (n, h, w)
        Quarters of each cell whose hue no stain has; none without.

    Returns
    -------
    (n, h, w, 4) int8
        The class that is farthest beyond its limit, its margin over the limit in quarters of a
        logit, the class that cell and tile together make likeliest, and ``odd_hue``.

    Examples
    --------
    >>> encode_cells([[[[0.8, 0.4]]]], [1.0, -2.0]).tolist()
    [[[[1, 6, 0, 0]]]]
    >>> encode_cells([[[[0.8, 0.4]]]], [1.0, -2.0], [[0.01, 0.99]], [[[3]]]).tolist()
    [[[[1, 6, 1, 3]]]]
    """
    p = np.clip(np.asarray(cells, np.float32), _TINY, 1 - _TINY)
    logits = np.log(p / (1 - p))
    beyond = np.asarray(limits, np.float32)
    margins = logits - beyond
    strongest = margins.argmax(-1)
    margin = np.take_along_axis(margins, strongest[..., None], -1)[..., 0]
    steps = np.clip(np.rint(_STEPS * margin), -_MOST, _MOST)
    likely = logits - _OF_LIMIT * beyond
    if of_tiles is not None:
        whole = np.log(np.maximum(np.asarray(of_tiles, np.float32), _TINY))
        likely += _OF_TILE * whole[:, None, None]
    hue = np.zeros_like(strongest) if odd_hue is None else np.asarray(odd_hue)
    return np.stack([strongest, steps, likely.argmax(-1), hue], axis=-1).astype(np.int8)


@dataclass(frozen=True, eq=False)
class CellMap:
    """The cells of the tiles of a slide, or of a set of patches.

    Attributes
    ----------
    classes
        What is told apart.
    cells : (n, h, w, 4) int8
        As :func:`encode_cells` gives them; (n, h, w, 3) without hue, and (n, h, w, 2) without the
        likeliest class, which is the strongest then.

    Examples
    --------
    >>> cells = CellMap(("ink", "fold"), np.array([[[[0, 4, 1], [1, -4, 1]]]], np.int8))
    >>> cells.mask().tolist(), cells.shares().tolist()
    ([[[2, 0]]], [[0.0, 0.5]])
    """

    classes: tuple[str, ...]
    cells: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.cells)

    def mask(self, shift: ArrayLike = 0.0) -> NDArray[np.uint8]:
        """The likeliest class (n, h, w) uint8 of each cell, counted from 1; 0 where none is beyond
        its limit, or where what has edges is far surer close by.

        Parameters
        ----------
        shift : (n, classes), (classes,) or a number
            By how much the limits are raised, logits.
        """
        raised = np.broadcast_to(np.asarray(shift, np.float64), (len(self), len(self.classes)))
        # Rounded: a shift comes from log-odds, and a cell on its limit is not beyond it.
        limits = np.round(_STEPS * raised, 6)
        found = np.empty(self.cells.shape[:3], np.uint8)
        for start in range(0, len(self), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            found[rows] = self._beyond(self.cells[rows], limits[rows])
        return found

    def _beyond(self, cells: NDArray[np.int8], limits: NDArray[np.float64]) -> NDArray[np.uint8]:
        """:meth:`mask` of some tiles, by their limits in quarters of a logit."""
        from scipy.ndimage import maximum_filter  # not needed for --help

        strongest = cells[..., 0].astype(np.int64)
        margins = np.maximum(
            cells[..., 1] - limits[np.arange(len(cells))[:, None, None], strongest], 0
        )
        # Of two bytes the last is the margin.
        likeliest = cells[..., 2] if cells.shape[3] > 2 else strongest
        fades = np.isin(np.array(self.classes), WITHOUT_EDGES)[likeliest]
        largest = maximum_filter(np.where(fades, 0, margins), (1, _AROUND, _AROUND))
        beyond = (margins > 0) & (fades | (margins > _OF_LARGEST * largest))
        return np.where(beyond, likeliest + 1, 0).astype(np.uint8)

    @property
    def odd_hue(self) -> NDArray[np.float64]:
        """The share (n, h, w) of each cell whose hue no stain has; 0 where that is not known."""
        if self.cells.shape[3] < _BYTES:
            return np.zeros(self.cells.shape[:3])
        return np.asarray(self.cells[..., 3] / 4, np.float64)

    def shares(self, shift: ArrayLike = 0.0) -> NDArray[np.float64]:
        """The share (n, classes) of each tile's area that each class has."""
        return self.shares_of(self.mask(shift))

    def shares_of(self, mask: NDArray[np.uint8]) -> NDArray[np.float64]:
        """:meth:`shares` of a mask (n, h, w) that is known already."""
        classes = np.arange(1, len(self.classes) + 1)
        shares = [(mask == number).mean((1, 2), dtype=np.float64) for number in classes]
        return np.stack(shares, axis=1) if shares else np.empty((len(mask), 0))

    def take(self, rows: NDArray[np.int64]) -> CellMap:
        """Those of some tiles."""
        return CellMap(self.classes, self.cells[rows])

    def check(self) -> None:
        """ValueError for cells of another shape, or of a class that has no name."""
        cells = self.cells
        if cells.ndim != 4 or cells.shape[3] not in (2, 3, _BYTES) or cells.dtype != np.int8:
            raise ValueError(f"cells of shape {cells.shape} {cells.dtype}")
        named = cells[..., :3:2]
        if cells.size and not 0 <= int(named.min()) <= int(named.max()) < len(self.classes):
            raise ValueError("cells of a class without a name")
        hue = self.odd_hue
        if hue.size and not 0 <= hue.min() <= hue.max() <= 1:
            raise ValueError("cells of a hue that is no share")


def glass_cells(images: NDArray[np.uint8], side: int = 8) -> NDArray[np.bool_]:
    """Which cells of patches show nothing but bright, even glass, where no damage can be.

    Parameters
    ----------
    images : (n, h, w, 3) uint8
    side
        Of a cell, px; cells at the right and bottom edge may be smaller.

    Returns
    -------
    (n, h / side, w / side) bool, rounded up.

    Examples
    --------
    >>> images = np.full((1, 16, 16, 3), 240, np.uint8)
    >>> images[0, :8, :8] = (150, 60, 160)
    >>> glass_cells(images).tolist()
    [[[False, True], [True, True]]]
    """
    n, height, width, _ = images.shape
    rows, columns = -(-height // side), -(-width // side)
    pad = ((0, 0), (0, rows * side - height), (0, columns * side - width), (0, 0))
    padded = np.pad(images, pad, mode="edge") if np.any(pad) else images
    bands = padded.reshape(n, rows, side, 3 * columns * side)
    darkest, brightest = (
        # Down first, which is contiguous; across pixel by pixel: several times as fast as at once.
        reduce(two, np.moveaxis(most(bands, axis=2).reshape(n, rows, columns, side, 3), 3, 0))
        for most, two in ((np.min, np.minimum), (np.max, np.maximum))
    )
    even = (brightest - darkest).max(-1) <= _EVEN
    return np.asarray(even & (darkest.min(-1) >= _BRIGHT))

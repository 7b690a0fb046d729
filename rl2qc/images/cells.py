"""Where in a patch what is damaged: the strongest class of each cell, and how far it is beyond its
limit.

A cell's evidence is kept in two bytes: the class that is farthest beyond its limit, and by how much
in steps of a quarter of a logit. So a slide of 50,000 tiles takes 80 MB, and limits can still be
moved afterwards to what is usual in a slide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["CELL", "CellMap", "encode_cells", "glass_cells"]

CELL = 8
"""Side of a cell in px of what the model saw."""
# Steps a logit, and the largest margin in steps.
_STEPS, _MOST = 4, 127
_TINY = 1e-7
# Grey levels: glass varies less within a cell, and is nowhere darker.
_EVEN, _BRIGHT = 16, 210


def encode_cells(cells: ArrayLike, limits: ArrayLike) -> NDArray[np.int8]:
    """The strongest class of each cell, and its margin.

    Parameters
    ----------
    cells : (n, h, w, classes)
        Probabilities of damage.
    limits : (classes,)
        Logits that clean cells stay below.

    Returns
    -------
    (n, h, w, 2) int8
        The class, and its margin over the limit in quarters of a logit.

    Examples
    --------
    >>> encode_cells([[[[0.5, 0.5]]]], [1.0, -2.0]).tolist()
    [[[[1, 8]]]]
    """
    p = np.clip(np.asarray(cells, np.float32), _TINY, 1 - _TINY)
    margins = np.log(p / (1 - p)) - np.asarray(limits, np.float32)
    strongest = margins.argmax(-1)
    margin = np.take_along_axis(margins, strongest[..., None], -1)[..., 0]
    steps = np.clip(np.rint(_STEPS * margin), -_MOST, _MOST)
    return np.stack([strongest, steps], axis=-1).astype(np.int8)


@dataclass(frozen=True, eq=False)
class CellMap:
    """The cells of the tiles of a slide, or of a set of patches.

    Attributes
    ----------
    classes
        What is told apart.
    cells : (n, h, w, 2) int8
        As :func:`encode_cells` gives them.

    Examples
    --------
    >>> cells = CellMap(("ink", "fold"), np.array([[[[0, 4], [1, -4]]]], np.int8))
    >>> cells.mask().tolist(), cells.shares().tolist()
    ([[[1, 0]]], [[0.5, 0.0]])
    """

    classes: tuple[str, ...]
    cells: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.cells)

    def mask(self, shift: ArrayLike = 0.0) -> NDArray[np.uint8]:
        """The strongest class (n, h, w) uint8 of each cell, counted from 1; 0 where none is beyond
        its limit.

        Parameters
        ----------
        shift : (n, classes), (classes,) or a number
            By how much the limits are raised, logits.
        """
        strongest = self.cells[..., 0].astype(np.int64)
        raised = np.broadcast_to(np.asarray(shift, np.float64), (len(self), len(self.classes)))
        # Rounded: a shift comes from log-odds, and a cell on its limit is not beyond it.
        limits = np.round(_STEPS * raised, 6)[np.arange(len(self))[:, None, None], strongest]
        beyond = self.cells[..., 1] > limits
        return np.where(beyond, strongest + 1, 0).astype(np.uint8)

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
        if cells.ndim != 4 or cells.shape[3] != 2 or cells.dtype != np.int8:
            raise ValueError(f"cells of shape {cells.shape} {cells.dtype}")
        strongest = cells[..., 0]
        if cells.size and not 0 <= int(strongest.min()) <= int(strongest.max()) < len(self.classes):
            raise ValueError("cells of a class without a name")


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
    bands = np.pad(images, pad, mode="edge").reshape(n, rows, side, 3 * columns * side)
    # Down first, which is contiguous: several times as fast as both at once.
    darkest, brightest = (
        most(most(bands, axis=2).reshape(n, rows, columns, side, 3), axis=3)
        for most in (np.min, np.max)
    )
    even = (brightest.astype(np.int16) - darkest).max(-1) <= _EVEN
    return np.asarray(even & (darkest.min(-1) >= _BRIGHT))

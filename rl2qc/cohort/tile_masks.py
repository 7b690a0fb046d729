"""Where damage is in kept tiles, read from results as it is asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.cohort.store.tables import read_table

__all__ = ["TileMasks"]

# Results that are kept in memory.
_OPEN_RESULTS = 8


class TileMasks:
    """The cells of the kept tiles of several results, a few of which are kept in memory."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._known: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self.classes: tuple[str, ...] = read_table(folders[0]).classes

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": OrderedDict()}

    def of(self, number: int) -> NDArray[np.uint8]:
        """Those (n, h, w) of one result."""
        if number not in self._known:
            table = read_table(self._folders[number])
            self._known[number] = table.artifact_mask[table.keep]
            if len(self._known) > _OPEN_RESULTS:
                self._known.popitem(last=False)
        self._known.move_to_end(number)
        return self._known[number]

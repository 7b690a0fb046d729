"""What a person said of single tiles of a slide, and what that teaches about the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Corrected"]


@dataclass(frozen=True)
class Corrected:
    """The corrections that a slide is decided with.

    Attributes
    ----------
    clean, bad
        Rows of its tiles that are kept and rejected whatever the model says.
    weights
        By how much each evidence weighs more, learnt from the corrections of other slides; empty
        for none.
    """

    clean: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.clean or self.bad or any(self.weights))

    def marked(self, count: int) -> NDArray[np.bool_]:
        """Which of the tiles (count,) were corrected."""
        found = np.zeros(count, np.bool_)
        found[[*self.clean, *self.bad]] = True
        return found

    def apply(self, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which tiles (n,) are kept, with those that a person decided.

        Examples
        --------
        >>> Corrected(clean=(0,), bad=(2,)).apply(np.array([False, True, True])).tolist()
        [True, True, False]
        """
        keep = keep.copy()
        keep[list(self.clean)] = True
        keep[list(self.bad)] = False
        return keep

    def to_dict(self) -> dict[str, Any]:
        """For a record, in JSON's types."""
        return {"clean": list(self.clean), "bad": list(self.bad), "weights": list(self.weights)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild what :meth:`to_dict` gave."""
        return cls(
            tuple(map(int, record["clean"])),
            tuple(map(int, record["bad"])),
            tuple(map(float, record["weights"])),
        )

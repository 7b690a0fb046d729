"""Pictures that are stored on their side."""

from __future__ import annotations

import numpy as np

from rl2qc.images.sources.deep import Samples

__all__ = ["turned"]

# How stored rows and columns become those that are shown, by EXIF's number.
_TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def turned(samples: Samples, orientation: int) -> Samples:
    """Samples as they are shown, by EXIF's number for the side that is up.

    Examples
    --------
    >>> turned(np.array([[1, 2]]), 6).tolist()
    [[1], [2]]
    """
    return np.ascontiguousarray(_TURNS[orientation](samples))

"""The features that scores are measured in, where damage has taught the backbone.

A backbone that was taught what damage looks like minds how images were encoded more than one that
was taught tissue. A linear map of the same pass's stage statistics gives features that know tissue
and are blind to the leading directions of encoding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl2qc.model.network.backbone import STATISTICS_DIM
from rl2qc.model.network.head import by_row

__all__ = ["ScoreBranch"]


@dataclass(frozen=True, eq=False)
class ScoreBranch:
    """Features of stage statistics.

    Attributes
    ----------
    weight : (512, 2048) float32
    bias : (512,) float32

    Examples
    --------
    >>> branch = ScoreBranch(np.zeros((512, 2048), np.float32), np.ones(512, np.float32))
    >>> branch(np.zeros((3, 2048), np.float32)).shape
    (3, 512)
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, statistics: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (n, 512) float32 of statistics (n, 2048)."""
        found: NDArray[np.float32] = by_row(statistics[:, :STATISTICS_DIM], self.weight) + self.bias
        return found

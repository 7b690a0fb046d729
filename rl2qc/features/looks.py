"""What an image looks like without a network: its thumbnail, and traces of its encoding."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rl2qc.features.base import FeatureExtractor
from rl2qc.images.sources.base import PatchSource
from rl2qc.images.traces import TRACES, traces

__all__ = ["Looks", "LooksOf"]

# Side of the thumbnail: shifts show in it that those of near-duplicates have not.
_SIDE = 32
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Looks(FeatureExtractor):
    """Thumbnail and traces, kept between runs like features."""

    name = "looks"
    dim = _SIDE**2 + len(TRACES)
    identity = "looks: thumbnail 32, traces, version 3"

    def extract(self, source: PatchSource, *, progress: bool = False) -> NDArray[np.float32]:
        """Rows (n, 1035) float32."""
        out = np.empty((len(source), self.dim), np.float32)
        for row in range(len(source)):
            image = source[row]
            small = cv2.resize(
                image.astype(np.float32) @ _LUMA, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA
            )
            out[row, : _SIDE**2] = small.reshape(-1)
            out[row, _SIDE**2 :] = traces(image)
        return out


class LooksOf:
    """The parts of rows of :class:`Looks`.

    Attributes
    ----------
    rows : (n, 1035) float32
    thumbnails : (n, 32, 32) float32
        Brightness.
    traces : (n, 11) float32
        In the order of :data:`rl2qc.images.traces.TRACES`.
    """

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self.rows = rows
        self.thumbnails = rows[:, : _SIDE**2].reshape(-1, _SIDE, _SIDE)
        self.traces = rows[:, _SIDE**2 :]

    def take(self, rows: NDArray[np.intp]) -> LooksOf:
        """Those of some images."""
        return LooksOf(self.rows[rows])

    @property
    def pictures(self) -> NDArray[np.float32]:
        """Thumbnails (n, 16, 16) as :func:`rl2qc.images.duplicates.near_duplicates` takes them."""
        halves = self.thumbnails.reshape(-1, _SIDE // 2, 2, _SIDE // 2, 2)
        return np.asarray(halves.mean(axis=(2, 4)), np.float32)

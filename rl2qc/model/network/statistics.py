"""From patches to stage statistics: the one pass over the pixels that every score rests on."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from rl2qc.core.progress import Progress, track
from rl2qc.images.sources.base import PatchSource, batches
from rl2qc.model.network.backbone import STATISTICS_DIM, ResNet18Features
from rl2qc.model.network.runtime import Forward, Runtime, compile_statistics

__all__ = ["Rows", "Statistics", "StatisticsExtractor"]

Statistics: TypeAlias = NDArray[np.float32]
"""Stage statistics (n, 2048)."""
Rows: TypeAlias = NDArray[np.int64]
"""Numbers of patches (m,)."""


class StatisticsExtractor:
    """A backbone on its device, compiled for the size of the patches at hand.

    Attributes
    ----------
    backbone
        On ``device``; call :meth:`refresh` after changing its weights.
    device
        Where it runs: a GPU if there is one, unless told.
    batch_size
        Patches taken at a time.
    runtime
        What computes (:func:`rl2qc.model.network.runtime.compile_statistics`).

    Examples
    --------
    >>> extractor = StatisticsExtractor(ResNet18Features(), device="cpu", runtime="torch")
    >>> extractor.of_batch(np.zeros((2, 64, 64, 3), np.uint8)).shape
    (2, 2048)
    """

    def __init__(
        self,
        backbone: ResNet18Features,
        *,
        batch_size: int = 32,
        device: str | torch.device | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.backbone = backbone.to(self.device).to(memory_format=torch.channels_last).eval()
        self.batch_size, self.runtime = batch_size, runtime
        self._compiled: Forward | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_compiled": None}  # compiled anew on the other side

    def of_batch(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Statistics (b, 2048) of one batch of images (b, h, w, 3) uint8."""
        return self.compiled(images.shape[1], images.shape[2])(images)

    def of_source(
        self, source: PatchSource, *, progress: bool | Progress = False
    ) -> NDArray[np.float32]:
        """Statistics (n, 2048) of every patch of a source."""
        out = np.empty((len(source), STATISTICS_DIM), np.float32)
        done = 0
        with track(progress, "features", len(source)) as step:
            for images in batches(source, self.batch_size):
                out[done : done + len(images)] = self.of_batch(images)
                done += len(images)
                step(len(images))
        return out

    def compiled(self, height: int, width: int) -> Forward:
        """The forward pass for patches of a size."""
        if self._compiled is None or self._compiled.shape != (height, width):
            self._compiled = compile_statistics(self.backbone, (height, width), self.runtime)
        return self._compiled

    def refresh(self) -> None:
        """Forget what was compiled of weights that have changed since."""
        self._compiled = None

"""From patches to stage statistics: the one pass over the pixels that every score rests on.

Of a network with a head, the evidence of its map stands behind the statistics, and that of lines
where it counts: rows of 2,048 numbers, or of 2,048, five for each class, and four. Of one with a
branch for scores, its features take the place of the pooled ones.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from rl2qc.core.arguments import COUNT, check
from rl2qc.core.progress import Progress, track
from rl2qc.errors import UsageError
from rl2qc.images.cells import glass_cells
from rl2qc.images.lines import line_responses
from rl2qc.images.sources.base import PatchSource, batches
from rl2qc.model.network.backbone import POOLED, STATISTICS_DIM, ResNet18Features
from rl2qc.model.network.branch import ScoreBranch
from rl2qc.model.network.head import DamageHead
from rl2qc.model.network.runtime import Forward, Passed, Runtime, compile_statistics
from rl2qc.stats.prior import evidence_names, map_evidence

__all__ = ["Rows", "Statistics", "StatisticsExtractor", "find_device"]

Statistics: TypeAlias = NDArray[np.float32]
"""Stage statistics (n, 2048), and evidence behind them where the network has a head."""
Rows: TypeAlias = NDArray[np.int64]
"""Numbers of patches (m,)."""


def find_device(device: str | torch.device | None) -> torch.device:
    """A device by its name; a GPU if there is one, where none is named.

    Raises
    ------
    UsageError
        There is no such device.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
        return found
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise UsageError(f"no device {device!r}: cpu, cuda or cuda:0, say") from error


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
    head
        The dense head on the backbone's maps; None for a network without.
    branch
        What gives the features for scores; None where they are the pooled last stage.
    lines
        Whether the evidence holds the longest lines (:mod:`rl2qc.images.lines`).

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
        head: DamageHead | None = None,
        branch: ScoreBranch | None = None,
        lines: bool = False,
    ) -> None:
        self.device = find_device(device)
        self.backbone = backbone.to(self.device).to(memory_format=torch.channels_last).eval()
        self.head, self.branch, self.lines = head, branch, lines
        if head is not None:
            self.head = head.to(self.device).to(memory_format=torch.channels_last).eval()
        self.batch_size, self.runtime = batch_size, runtime
        self._compiled: Forward | None = None

    @property
    def batch_size(self) -> int:
        """Patches taken at a time."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, patches: int) -> None:
        self._batch_size: int = check("batch_size", patches, int, within=COUNT)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_compiled": None}  # compiled anew on the other side

    def of_batch(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Rows (b, :attr:`width`) of one batch of images (b, h, w, 3) uint8."""
        return self.with_cells(images)[0]

    def with_cells(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """:meth:`of_batch`, and the cells (b, h / 8, w / 8, classes) that the evidence is of."""
        passed = self._pass(images)
        parts = [passed.statistics]
        if self.head is not None:
            assert passed.cells is not None
            whole = self.head.of_statistics(passed.statistics)
            parts.append(map_evidence(passed.cells, whole))
            if self.lines:
                parts.append(line_responses(images))
        return self._branched(np.concatenate(parts, axis=1), passed), passed.cells

    def without_evidence(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The first 2,048 numbers of :meth:`of_batch` alone: all that features follow from."""
        passed = self.compiled(images.shape[1], images.shape[2]).measure(images)
        return self._branched(passed.statistics, passed)

    def _branched(self, rows: NDArray[np.float32], passed: Passed) -> NDArray[np.float32]:
        if self.branch is not None:
            rows[:, POOLED] = self.branch(passed.statistics)
        return rows

    def _pass(self, images: NDArray[np.uint8]) -> Passed:
        """What the network finds; nothing where there is nothing but glass."""
        passed = self.compiled(images.shape[1], images.shape[2]).measure(images)
        if passed.cells is not None:
            # Glass has no detail: a network that was taught tissue calls it out of focus.
            passed.cells[glass_cells(images)] = 0
        return passed

    @property
    def width(self) -> int:
        """Numbers of a patch: 2,048 statistics, and the evidence of a head and of lines."""
        if self.head is None:
            return STATISTICS_DIM
        return STATISTICS_DIM + len(evidence_names(self.head.classes, self.lines))

    def of_source(
        self, source: PatchSource, evidence: bool = True, *, progress: bool | Progress = False
    ) -> NDArray[np.float32]:
        """Rows (n, :attr:`width`) of every patch of a source, or (n, 2048) without evidence."""
        out = np.empty((len(source), self.width if evidence else STATISTICS_DIM), np.float32)
        measure = self.of_batch if evidence else self.without_evidence
        done = 0
        with track(progress, "features", len(source)) as step:
            for images in batches(source, self.batch_size):
                out[done : done + len(images)] = measure(images)
                done += len(images)
                step(len(images))
        return out

    def cells_of_source(
        self, source: PatchSource, *, progress: bool | Progress = False
    ) -> NDArray[np.float32]:
        """Cells (n, h / 8, w / 8, classes) of every patch of a source, of a network with a head."""
        assert self.head is not None
        out: list[NDArray[np.float32]] = []
        with track(progress, "maps", len(source)) as step:
            for images in batches(source, self.batch_size):
                cells = self._pass(images).cells
                assert cells is not None
                out.append(cells)
                step(len(images))
        return np.concatenate(out)

    def compiled(self, height: int, width: int) -> Forward:
        """The forward pass for patches of a size."""
        if self._compiled is None or self._compiled.shape != (height, width):
            self._compiled = compile_statistics(
                self.backbone, (height, width), self.runtime, self.head
            )
        return self._compiled

    def refresh(self) -> None:
        """Forget what was compiled of weights that have changed since."""
        self._compiled = None

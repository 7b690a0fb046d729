"""Numbers by step in files that TensorBoard shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from rl2qc.errors import UsageError

__all__ = ["EventFiles"]


class EventFiles:
    """Writes into a folder.

    Raises
    ------
    UsageError
        tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "event files need tensorboard: pip install 'rl2qc[tensorboard]'"
            ) from error
        self._writer = SummaryWriter(str(folder))

    def write(self, scores: Mapping[str, tuple[float, float, float]], step: int) -> None:
        """Value and ends of the interval of each metric; what is not finite is left out."""
        for metric, ends in scores.items():
            for end, value in zip(("", "_low", "_high"), ends, strict=True):
                if math.isfinite(value):
                    self._writer.add_scalar(f"rl2qc/{metric}{end}", value, step)
        self._writer.flush()

"""How far a run of ``rl2qc filter`` is, on a terminal or in a log."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from rl2qc.cli.console import say
from rl2qc.cohort.progress import RunProgress
from rl2qc.cohort.store.summary import SummaryRow
from rl2qc.core.text import printable

__all__ = ["TileProgress"]


class TileProgress(RunProgress):
    """Tiles per second and the time left over all inputs: a bar in a terminal, and elsewhere, as
    in the log of a batch system, a line for each input."""

    further = True

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._bar: tqdm[Any] | None = None

    def begin(self, inputs: int) -> None:
        super().begin(inputs)
        self._began = time.monotonic()
        if sys.stderr.isatty():
            self._bar = tqdm(unit=" tiles", smoothing=0.1, dynamic_ncols=True)

    def end(self, *, finished: bool) -> None:
        super().end(finished=finished)
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.refresh()
            self._bar.close()

    def shown(self, name: str) -> None:
        if self._bar is not None:
            self._bar.total = self.total
            text = f"{self.over + 1}/{self.inputs} {printable(name)[:32]}"
            self._bar.set_description(text, refresh=False)
            self._bar.update(self.done - self._bar.n)

    def noted(self, row: SummaryRow) -> None:
        # What was finished before would fill a log with lines.
        if self._bar is not None or not (row.name in self.measured or row.status == "failed"):
            return
        said = f"{self.over}/{self.inputs} {row.name}: "
        said += "failed" if row.status == "failed" else f"{row.tiles} tiles"
        if self.done:
            speed = self.done / max(time.monotonic() - self._began, 1e-9)
            said += f", {speed:.1f} tiles/s"
            if self.over < self.inputs:
                left = max(0, self.total - self.done) / speed
                said += f", {tqdm.format_interval(left)} left"
        say(said)

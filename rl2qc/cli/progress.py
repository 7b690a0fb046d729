"""How far a run of ``rl2qc filter`` is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from rl2qc.cli.console import say
from rl2qc.core.text import printable

if TYPE_CHECKING:
    from rl2qc.cohort.filter import Engine
    from rl2qc.cohort.job import Job
    from rl2qc.cohort.run import Run
    from rl2qc.cohort.store.summary import SummaryRow

__all__ = ["TileProgress"]


class TileProgress:
    """Tiles per second and the time left over all inputs: a bar in a terminal, and elsewhere, as
    in the log of a batch system, a line for each input.

    How many tiles the inputs to come have is not known before they are opened: they are taken to
    be as large as those seen so far.

    Attributes
    ----------
    judged
        Names of the inputs whose tiles this run judged.
    done, total
        Tiles judged, and those expected in all.
    """

    def __init__(self, jobs: int) -> None:
        self.judged: set[str] = set()
        self.done = self.total = 0
        self._jobs, self._over = jobs, 0
        self._before, self._current = 0, 0
        self._began = time.monotonic()
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> TileProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            # Inputs that others did, or that failed, have left no tiles to wait for.
            self.total = self.done
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.refresh()
            self._bar.close()

    def watch(self, engine: Engine) -> Engine:
        """The same engine; what it is done with is counted, whoever did it and in any order."""

        def watched(run: Run, jobs: Sequence[Job]) -> Iterator[SummaryRow]:
            self._began = time.monotonic()
            if sys.stderr.isatty():
                self._bar = tqdm(unit=" tiles", smoothing=0.1, dynamic_ncols=True)
            for row in engine(run, jobs):
                self._over += 1
                # What was finished before would fill a log with lines.
                if self._bar is None and (row.name in self.judged or row.status == "failed"):
                    self._log(row)
                yield row

        return watched

    def __call__(self, number: int, job: Job, done: int, total: int) -> None:
        if job.name not in self.judged:
            self.judged.add(job.name)
            self._before, self._current = self._before + self._current, total
        seen = self._before + self._current
        left = max(0, self._jobs - self._over - 1)
        self.done, self.total = self._before + done, seen + round(seen / len(self.judged) * left)
        if self._bar is not None:
            self._bar.total = self.total
            name = printable(job.name)[:32]
            self._bar.set_description(f"{self._over + 1}/{self._jobs} {name}", refresh=False)
            self._bar.update(self.done - self._bar.n)

    def _log(self, row: SummaryRow) -> None:
        said = f"{self._over}/{self._jobs} {row.name}: "
        said += "failed" if row.status == "failed" else f"{row.tiles} tiles"
        if self.done:
            speed = self.done / max(time.monotonic() - self._began, 1e-9)
            said += f", {speed:.1f} tiles/s"
            if self._over < self._jobs:
                left = max(0, self.total - self.done) / speed
                said += f", {tqdm.format_interval(left)} left"
        say(said)

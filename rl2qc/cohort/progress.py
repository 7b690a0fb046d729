"""How far a run over many inputs is: tiles done, and those that are expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl2qc.cohort.store.summary import SummaryRow
from rl2qc.core.progress import Progress, progress_bar

if TYPE_CHECKING:
    from rl2qc.cohort.job import Job

__all__ = ["RunProgress", "progress_of"]


class RunProgress:
    """Follows a run over many inputs, whoever does them and in any order.

    How many tiles the inputs to come have is not known before they are opened: they are taken to
    be as large as those seen so far. A subclass shows it: :meth:`shown` is called when tiles are
    done, :meth:`noted` when an input is over.

    Attributes
    ----------
    inputs, over
        How many inputs there are, and how many are over.
    measured
        Names of the inputs whose tiles this run measured.
    done, total
        Tiles measured, and those expected in all.
    """

    def __init__(self) -> None:
        self.measured: set[str] = set()
        self.inputs = self.over = self.done = self.total = 0
        self._before = self._current = 0

    def begin(self, inputs: int) -> None:
        """The run begins with so many inputs."""
        self.inputs = inputs

    def tiles(self, job: Job, done: int, total: int) -> None:
        """Of an input, so many tiles are done, and there are so many."""
        if job.name not in self.measured:
            self.measured.add(job.name)
            self._before, self._current = self._before + self._current, total
        seen = self._before + self._current
        left = max(0, self.inputs - self.over - 1)
        self.done, self.total = self._before + done, seen + round(seen / len(self.measured) * left)
        self.shown(job.name)

    def row(self, row: SummaryRow) -> None:
        """An input is over: done, failed, or found done."""
        self.over += 1
        self.noted(row)

    def end(self, *, finished: bool) -> None:
        """The run is over: where it finished, no more tiles are waited for."""
        if finished:
            # Inputs that others did, or that failed, have left none to wait for.
            self.total = self.done

    @property
    def further(self) -> bool | Progress:
        """What the steps after the last tile report to (:func:`rl2qc.core.progress.track`)."""
        return False

    def left(self) -> str:
        """What is done and what is left, where the run is stopped.

        Examples
        --------
        >>> progress = RunProgress()
        >>> progress.begin(3)
        >>> progress.left()
        '0 of 3 inputs are done and kept: the same command does what is left'
        """
        if not self.inputs:
            return "nothing is done yet: the same command begins anew"
        return (
            f"{self.over} of {self.inputs} inputs are done and kept: "
            "the same command does what is left"
        )

    def shown(self, name: str) -> None:
        """Called when tiles of the input of that name are done."""

    def noted(self, row: SummaryRow) -> None:
        """Called when an input is over."""


class _Called(RunProgress):
    """Tells a function."""

    def __init__(self, function: Progress) -> None:
        super().__init__()
        self._function = function

    @property
    def further(self) -> bool | Progress:
        return self._function

    def shown(self, name: str) -> None:
        self._function(self.done, self.total, name)


class _Bar(RunProgress):
    """Shows a bar over the tiles of all inputs."""

    further = True

    def begin(self, inputs: int) -> None:
        super().begin(inputs)
        self._bar = progress_bar(True, "filtering", unit="tile", total=0)

    def shown(self, name: str) -> None:
        self._bar.total = self.total
        self._bar.update(self.done - self._bar.n)

    def end(self, *, finished: bool) -> None:
        super().end(finished=finished)
        self._bar.close()


def progress_of(progress: bool | Progress | RunProgress) -> RunProgress:
    """What follows a run: a bar, a function that is told (done, total, input), or one of its own.

    Examples
    --------
    >>> seen = []
    >>> progress_of(lambda done, total, what: seen.append(what)).shown("case")
    >>> seen
    ['case']
    """
    if isinstance(progress, RunProgress):
        return progress
    if callable(progress):
        return _Called(progress)
    return _Bar() if progress else RunProgress()

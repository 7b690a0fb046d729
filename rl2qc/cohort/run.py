"""One process at work on a folder of results: what is finished, what is to do, how it is done."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias

from rl2qc.cohort.job import Job
from rl2qc.cohort.progress import RunProgress
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.locks import try_lock
from rl2qc.cohort.store.record import FAILURES, Record
from rl2qc.cohort.store.summary import SummaryRow, row_from, row_of
from rl2qc.cohort.store.tables import describe_table
from rl2qc.core.files import write_csv
from rl2qc.errors import Rl2qcError
from rl2qc.filtering.exports.files import export
from rl2qc.filtering.measure import TileModel
from rl2qc.filtering.patches import filter_images
from rl2qc.filtering.slide import filter_tiles
from rl2qc.filtering.table import TileTable

__all__ = ["Executor", "Run", "local"]

# Errors of the output's disk, which the next input would meet again.
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
# Seconds between two looks at a job that another process has in hand.
_LOOK_EVERY = 0.2


class Run:
    """One process at work on a folder of results.

    Parameters
    ----------
    folder
        Where the results go.
    model
        What measures tiles.
    formats
        What is written.
    progress
        Is told how far it is.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: TileModel,
        formats: tuple[str, ...],
        progress: RunProgress | None = None,
    ) -> None:
        self.folder, self.model, self.formats = folder, model, formats
        self.progress = progress or RunProgress()

    # ------------------------------------------------------------ jobs

    def attempt(self, job: Job) -> SummaryRow | None:
        """Do a job, or find it done; None while another process has it."""
        row = self._finished(job)
        if row is not None:
            return row
        try:
            with try_lock(self.folder.lock(job.name)) as mine:
                # It may have been finished between the look and the lock.
                return (self._finished(job) or self._do(job)) if mine else None
        except OSError as error:
            raise self.folder.disk_error(error) from error

    def do(self, job: Job) -> SummaryRow:
        """Do a job, or wait until another process has done it."""
        while True:
            row = self.attempt(job)
            if row is not None:
                return row
            time.sleep(_LOOK_EVERY)

    def failed(self, job: Job, error: Exception, seconds: float) -> SummaryRow:
        """Record what went wrong with a job, unless it is done by now."""
        # Another process took it over, if this one stood still for long.
        row = self._finished(job)
        if row is not None:
            return row
        text = str(error) if isinstance(error, Rl2qcError) else f"{type(error).__name__}: {error}"
        with suppress(OSError):
            self._clear(job)
        row = SummaryRow(
            job.name,
            job.kind,
            "failed",
            seconds=seconds,
            error=self._told(job, " ".join(text.split())),
            path=str(job.path),
        )
        self.folder.write_failure(row, error)
        return row

    def _finished(self, job: Job) -> SummaryRow | None:
        record = job.result.read_record()
        # A model without a hash vouches for nothing.
        if record is None or not self.model.sha256 or not job.identity:
            return None
        return row_from(record.row) if record.key["input"] == job.identity else None

    def _do(self, job: Job) -> SummaryRow:
        clock = time.monotonic()
        try:
            # What an earlier run left must not pass for the result of this one.
            self._clear(job)
            # Asked before a pixel is read: what changes meanwhile must be told from it.
            key = {"input": job.identity, **job.key}
            table = replace(self._filter(job), name=job.name)
            row = self._write(job, key, table, clock)
        # Whatever goes wrong with one input must not cost the others their turn.
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise
            return self.failed(job, error, time.monotonic() - clock)
        self.folder.clear_failure(job.name)
        return row

    def _filter(self, job: Job) -> TileTable:
        def report(done: int, total: int, what: str) -> None:
            self.progress.tiles(job, done, total)

        if job.problem is not None:
            raise job.problem
        if job.kind == "patches":
            return filter_images(
                job.input.images,
                job.path,
                self.model,
                job.settings,
                report,
                mpp=job.patch_mpp,
            )
        return filter_tiles(job.path, self.model, job.settings, job.coords, report)

    def _write(self, job: Job, key: dict[str, Any], table: TileTable, clock: float) -> SummaryRow:
        folder = job.result
        # Of what the pixels alone tell, where its files lie may be a part.
        planned = folder.plan(table, self.formats, failures=bool(table.failures))
        folder.refuse_foreign(planned)
        folder.announce(planned)
        table = self._for_others(job, table)
        written = export(table, folder.path, self.formats)
        if table.failures:
            write_csv(folder.path / FAILURES, ["what", "reason"], table.failures)
            written.append(folder.path / FAILURES)
        row = row_of(table, seconds=time.monotonic() - clock, path=job.path)
        files = tuple(sorted(map(folder.called, written)))
        folder.write_record(Record(key, asdict(row), describe_table(table), files))
        folder.settle()
        return row

    def _for_others(self, job: Job, table: TileTable) -> TileTable:
        """The table as it is written down: its files as they are seen from the folder."""
        naming, images = self.folder.naming, job.kind == "patches"
        # What is said of a set names some of its images.
        named = job.input.images if images and naming.private else ()
        return replace(
            table,
            shown=naming.shown,
            failures=tuple(
                (naming.shown(what), self._told(job, reason, Path(what)))
                if images
                else (what, self._told(job, reason))
                for what, reason in table.failures
            ),
            warnings=tuple(self._told(job, said, *named) for said in table.warnings),
            coords=self._without_names(job, table.coords),
            tissue_source=self._told(job, table.tissue_source),
        )

    def _told(self, job: Job, text: str, *files: Path) -> str:
        """A text about a job, as it is written down."""
        own = [] if job.coords is None else [job.coords.path]
        own += [] if job.mask is None else [job.mask]
        place = {file.absolute().parent for file in (job.path, *files, *own)}
        return self.folder.naming.text(text, place, [*files, job.path, *own])

    def _without_names(self, job: Job, coords: dict[str, Any] | None) -> dict[str, Any] | None:
        """Coordinates of others name their slide, too."""
        if coords is None or not self.folder.naming.private:
            return coords
        given = {
            name: self._told(job, value) if isinstance(value, str) else value
            for name, value in coords["attributes"].items()
        }
        return {**coords, "attributes": given}

    def _clear(self, job: Job) -> None:
        """Remove what an earlier attempt left, what is said of its failure included."""
        job.result.clear()
        self.folder.clear_failure(job.name)


Executor: TypeAlias = Callable[[Run, Sequence[Job]], Iterator[SummaryRow]]
"""Does the jobs of a run, wherever, and yields the row of each as it is done."""


def local(run: Run, jobs: Sequence[Job]) -> Iterator[SummaryRow]:
    """Do the jobs one after the other in this process; those that others have in hand, last."""
    waiting = list(jobs)
    while waiting:
        busy = []
        for job in waiting:
            row = run.attempt(job)
            if row is None:
                busy.append(job)
            else:
                yield row
        if busy:
            time.sleep(_LOOK_EVERY)
        waiting = busy

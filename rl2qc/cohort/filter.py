"""Filter many slides and patch folders into one folder: every one is attempted.

The output folder holds a folder for each input, ``summary.csv`` with a row for each, ``run.json``
that says how it was made, and ``failed/`` with the traceback of each that failed. What is finished
is not done again, so a run that was killed goes on where it was, and processes that are given the
same folder share the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rl2qc.cohort.job import Job
from rl2qc.cohort.preflight import preflight
from rl2qc.cohort.run import LOOK_EVERY, CohortProgress, Run, folder_lock
from rl2qc.cohort.store.folder import sweep
from rl2qc.cohort.store.presence import presence
from rl2qc.cohort.store.summary import SummaryRow
from rl2qc.filtering.exports import DEFAULT_FORMATS
from rl2qc.filtering.measure import TileModel
from rl2qc.filtering.settings import FilterSettings
from rl2qc.images.resolution import target_mpp

__all__ = ["CohortProgress", "Engine", "folder_lock", "local", "run_cohort"]

# Seconds between two accounts of a run that is under way.
_ACCOUNT_EVERY = 10.0

Engine = Callable[[Run, Sequence[Job]], Iterator[SummaryRow]]
"""Does the jobs of a run, wherever, and yields the row of each as it is done."""


def run_cohort(
    jobs: Sequence[Job],
    model: TileModel,
    out: Path,
    settings: FilterSettings | None = None,
    *,
    formats: Sequence[str] = DEFAULT_FORMATS,
    record: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    overwrite: bool = False,
    engine: Engine | None = None,
    progress: CohortProgress | None = None,
) -> list[SummaryRow]:
    """Filter every job into ``out``; one that fails is recorded and the rest goes on.

    Parameters
    ----------
    jobs, model
        What is filtered, and what judges it.
    out
        The output folder.
    settings
        How tiles are cut and judged.
    formats
        Names in :data:`rl2qc.filtering.exports.FORMATS`; what deciding again needs is always
        written.
    record
        More entries for ``run.json``: the command, say.
    warnings
        Warnings of the run, for ``run.json``.
    overwrite
        Judge again what is finished, whatever it was judged with.
    engine
        What does the jobs: :func:`local`, in this process, by default.
    progress
        Called after every batch.

    Returns
    -------
    A row for each job in their order, those that were finished before among them. Work that
    another process has in hand is waited for.

    Raises
    ------
    UsageError
        ``out`` holds results of other settings, another model or another slide of that name, or
        files of others that would be replaced; or a process with other settings is at work in it.
    WorkError
        The output's disk is full or read-only. What is finished is kept.
    """
    run = Run(model, out, settings or FilterSettings(), formats, progress)
    target_mpp(model.mpp, run.settings.mpp, any_mpp=run.settings.any_mpp)
    started, clock = datetime.now(UTC), time.monotonic()
    said = list(warnings)

    def account(*, finished: bool) -> None:
        run.account(
            {
                **(record or {}),
                "started": started.isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - clock, 2),
                "finished": finished,
                "warnings": said,
            }
        )

    rows: dict[str, SummaryRow] = {}
    with presence(run):
        said += preflight(run, jobs, overwrite=overwrite)
        account(finished=False)
        last = time.monotonic()
        for row in (engine or local)(run, jobs):
            rows[row.name] = row
            if time.monotonic() - last > _ACCOUNT_EVERY:
                account(finished=False)
                last = time.monotonic()
        account(finished=True)
    sweep(out)
    return [rows[job.name] for job in jobs]


def local(run: Run, jobs: Sequence[Job]) -> Iterator[SummaryRow]:
    """Do the jobs one after the other in this process; those that others have in hand, last."""
    waiting = list(enumerate(jobs))
    while waiting:
        busy = []
        for number, job in waiting:
            row = run.attempt(number, job)
            if row is None:
                busy.append((number, job))
            else:
                yield row
        if busy:
            time.sleep(LOOK_EVERY)
        waiting = busy

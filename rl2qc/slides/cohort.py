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
from tempfile import TemporaryFile
from typing import Any

from rl2qc.errors import UsageError, WorkError
from rl2qc.slides.exports import DEFAULT_FORMATS
from rl2qc.slides.jobs import Job
from rl2qc.slides.judging import TileModel
from rl2qc.slides.ownership import check_shared_files, is_run, sweep
from rl2qc.slides.preflight import preflight
from rl2qc.slides.presence import presence
from rl2qc.slides.resolution import target_mpp
from rl2qc.slides.run import LOOK_EVERY, CohortProgress, Run, folder_lock
from rl2qc.slides.settings import FilterSettings
from rl2qc.slides.summary import SummaryRow

__all__ = ["CohortProgress", "Engine", "folder_lock", "local", "prepare_output", "run_cohort"]

# Seconds between two accounts of a run that is under way.
_ACCOUNT_EVERY = 10.0

Engine = Callable[[Run, Sequence[Job]], Iterator[SummaryRow]]
"""Does the jobs of a run, wherever, and yields the row of each as it is done."""


def prepare_output(out: Path, jobs: Sequence[Job], *, overwrite: bool = False) -> None:
    """Make the output folder, or refuse one that holds what no ``rl2qc filter`` wrote.

    No file of others is ever replaced, whatever ``overwrite`` says.

    Raises
    ------
    UsageError
        ``out`` is a file, holds a file of others that would be replaced, or a folder of others
        that would be written to and ``overwrite`` is False.
    WorkError
        ``out`` cannot be written to.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file: name a folder")
    taken = next((job.name for job in jobs if (out / job.name).exists()), None)
    # A run writes run.json before all else; looked for last, since one may begin just now.
    check_shared_files(out)
    if taken is not None and not overwrite and not is_run(out):
        raise UsageError(
            f"{out} holds {taken}, which is of no run that could be resumed: choose another --out, "
            "or pass --overwrite to write beside what is there"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        # A file without a name: killed at this point, nothing is left of it.
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise WorkError(f"cannot write to --out {out}: {error.strerror}") from error


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
        Names in :data:`rl2qc.slides.exports.FORMATS`; what deciding again needs is always written.
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
    target_mpp(model, run.settings.mpp, any_mpp=run.settings.any_mpp)
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

"""One process at work on a folder of results: what is finished, what is to do, how it is done."""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import os
import platform
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import openslide

from rl2qc.cohort.job import Job, identify
from rl2qc.cohort.store.folder import (
    FAILURES,
    JOURNAL,
    LOCKS,
    RUN,
    announce,
    refuse_foreign,
    remove_temporary,
    remove_written,
    targets,
)
from rl2qc.cohort.store.locks import try_lock, wait_for_lock
from rl2qc.cohort.store.record import Record, read_record, write_record
from rl2qc.cohort.store.results import describe_table
from rl2qc.cohort.store.summary import (
    FAILED,
    SummaryRow,
    read_rows,
    row_from,
    row_of,
    write_summary,
)
from rl2qc.core.files import atomic_path, write_csv, write_json
from rl2qc.errors import Rl2qcError, UsageError, WorkError
from rl2qc.filtering.exports import RECORD_FORMATS, check_formats, export, finish_exports
from rl2qc.filtering.measure import TileModel
from rl2qc.filtering.patches import filter_patches
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.slide import filter_slide
from rl2qc.filtering.table import TileTable
from rl2qc.slides.coords import find_coords
from rl2qc.slides.files import slide_name

__all__ = ["LOOK_EVERY", "CohortProgress", "Run", "folder_lock"]

# Settings that do not change results.
_INDIFFERENT = ("batch_size", "num_workers")
# Errors of the output's disk, which the next input would meet again.
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
LOOK_EVERY = 0.2
"""Seconds between two looks at a job that another process has in hand."""

CohortProgress = Callable[[int, Job, int, int], None]
"""Called with the number of the job (from 0), the job, and its tiles done and in all."""


@contextmanager
def folder_lock(out: Path) -> Iterator[None]:
    """What must be held to write into ``out`` itself, whose processes share a few files."""
    with wait_for_lock(out / LOCKS / "..lock"):
        yield
    # Left to the last process.
    with suppress(OSError):
        (out / LOCKS).rmdir()


class Run:
    """One process at work on an output folder.

    Parameters
    ----------
    model, out, settings, formats, progress
        As for :func:`rl2qc.cohort.filter.run_cohort`.
    """

    def __init__(
        self,
        model: TileModel,
        out: Path,
        settings: FilterSettings,
        formats: Sequence[str],
        progress: CohortProgress | None,
    ) -> None:
        self.model, self.out, self.settings, self.progress = model, out, settings, progress
        check_formats(formats)
        self.formats = tuple(dict.fromkeys((*RECORD_FORMATS, *formats)))
        self.sha256: str = getattr(model, "sha256", "")

    # ------------------------------------------------------------ what is finished

    def key(self, job: Job | None) -> dict[str, Any]:
        """What results are made with: that of a job, or of any."""
        given = self.settings if job is None else self.settings_of(job)
        settings = {n: value for n, value in asdict(given).items() if n not in _INDIFFERENT}
        if job is not None and given.coords is not None:
            # What the file says counts, and not where it lies.
            settings["coords"] = _identify_coords(given.coords, job)
        return {
            "model": {"name": self.model.name, "sha256": self.sha256},
            "settings": {**settings, "formats": sorted(self.formats)},
        }

    def settings_of(self, job: Job) -> FilterSettings:
        """The settings of a job, for which a list may give its own."""
        if job.kind == "slide":
            return replace(
                self.settings,
                mpp_override=job.mpp or self.settings.mpp_override,
                coords=job.coords or self.settings.coords,
            )
        return self.settings

    def _finished(self, job: Job) -> SummaryRow | None:
        record = read_record(self.out / job.name)
        if record is None or not self.sha256:
            return None
        with suppress(OSError):
            if record.key["input"] == identify(job):
                return row_from(record.row)
        return None

    # ------------------------------------------------------------ work

    def attempt(self, number: int, job: Job) -> SummaryRow | None:
        """Do a job, or find it done; None while another process has it."""
        row = self._finished(job)
        if row is not None:
            return row
        try:
            with try_lock(self.lock(job)) as mine:
                # It may have been finished between the look and the lock.
                return (self._finished(job) or self._do(number, job)) if mine else None
        except OSError as error:
            raise self.disk_error(error) from error

    def do(self, number: int, job: Job) -> SummaryRow:
        """Do a job, or wait until another process has done it."""
        while True:
            row = self.attempt(number, job)
            if row is not None:
                return row
            time.sleep(LOOK_EVERY)

    def _do(self, number: int, job: Job) -> SummaryRow:
        clock = time.monotonic()
        folder = self.out / job.name

        def report(done: int, total: int) -> None:
            if self.progress is not None:
                self.progress(number, job, done, total)

        try:
            # What an earlier run left must not pass for the result of this one.
            self._clear(job)
            key = {"input": _identity(job), **self.key(job)}
            table = replace(_filter(job, self.model, self.settings_of(job), report), name=job.name)
            planned = targets(table, folder, self.formats)
            refuse_foreign(folder, planned)
            announce(folder, planned)
            files = [os.path.relpath(path, folder) for path in export(table, folder, self.formats)]
            if table.failures:
                write_csv(folder / FAILURES, ["what", "reason"], table.failures)
                files.append(FAILURES)
            row = row_of(table, seconds=time.monotonic() - clock, path=job.path)
            record = Record(key, asdict(row), describe_table(table), tuple(sorted(files)))
            write_record(folder, record)
            (folder / JOURNAL).unlink(missing_ok=True)
        # Whatever goes wrong with one input must not cost the others their turn.
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise
            row = self.failed(job, error, time.monotonic() - clock)
        else:
            self._clear_failure(job)
        return row

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
            error=" ".join(text.split()),
            path=str(job.path),
        )
        with atomic_path(self.out / FAILED / f"{job.name}.txt") as temporary:
            trace = "".join(traceback.format_exception(error))
            temporary.write_text(trace, encoding="utf-8", errors="backslashreplace")
        write_json(self.out / FAILED / f"{job.name}.json", asdict(row))
        return row

    def _clear(self, job: Job) -> None:
        """Remove what an earlier attempt left, the account of its failure included."""
        remove_written(self.out / job.name)
        self._clear_failure(job)

    def _clear_failure(self, job: Job) -> None:
        for suffix in (".txt", ".json"):
            (self.out / FAILED / f"{job.name}{suffix}").unlink(missing_ok=True)

    def lock(self, job: Job) -> Path:
        """What must be held to work on a job."""
        return self.out / LOCKS / f"{job.name}.lock"

    # ------------------------------------------------------------ the account

    def account(self, about: Mapping[str, Any]) -> None:
        """Write ``summary.csv`` and ``run.json``, of everything in the folder."""
        try:
            with folder_lock(self.out):
                remove_temporary(self.out)
                rows = read_rows(self.out)
                # Before all other files: it says that the folder may be resumed.
                write_json(self.out / RUN, self._account(rows, about))
                write_summary(self.out, rows)
                if about["finished"]:
                    finish_exports(self.out, self.formats)
        except OSError as error:
            raise self.disk_error(error) from error

    def _account(self, rows: Sequence[SummaryRow], about: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **about,
            "model": {
                "name": self.model.name,
                "sha256": self.sha256,
                "patch_size": self.model.patch_size,
                "mpp": self.model.mpp,
            },
            "settings": {**asdict(self.settings), "formats": list(self.formats)},
            "inputs": {"all": len(rows), **Counter(row.status for row in rows)},
            "versions": _versions(),
            "forward": getattr(self.model, "forward_name", None),
            "warnings": [
                *about["warnings"],
                *(f"{row.name}: {warning}" for row in rows for warning in row.warnings),
            ],
        }

    def disk_error(self, error: OSError) -> WorkError:
        """What to say of an error of the output's disk."""
        return WorkError(
            f"cannot write to {self.out}: {error.strerror or error}; what is finished is kept: "
            "run the same command again when that is settled"
        )


def _filter(
    job: Job, model: TileModel, settings: FilterSettings, report: Callable[[int, int], None]
) -> TileTable:
    if job.kind == "slide":
        return filter_slide(job.path, model, **asdict(settings), progress=report)
    return filter_patches(
        job.images or job.path,
        model,
        alpha=settings.alpha,
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        max_rejected=settings.max_rejected,
        progress=report,
    )


def _identify_coords(place: str, job: Job) -> str | None:
    """Name and hash of the coordinates for a slide; None if there are none."""
    if job.kind != "slide":
        return None
    # That they are missing is for the reader of the slide to say.
    with suppress(OSError, UsageError):
        file = find_coords(place, slide_name(job.path))
        return f"{file.name} ({hashlib.sha256(file.read_bytes()).hexdigest()[:12]})"
    return None


def _identity(job: Job) -> dict[str, Any]:
    # Why an input cannot be read is for its reader to say.
    with suppress(OSError):
        return identify(job)
    return {}


@cache
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "openslide": openslide.__library_version__}
    for package in ("rl2qc", "torch", "torchvision", "nflows", "numpy", "openslide-python"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions

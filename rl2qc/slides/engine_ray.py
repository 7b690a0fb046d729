"""Slides as tasks of a Ray cluster (extra ``[ray]``).

A task does what the local engine does, with the same locks and records in the same folder, which
all machines must share. A task whose worker dies is done again on another one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rl2qc.errors import UsageError, WorkError
from rl2qc.slides.jobs import Job
from rl2qc.slides.judging import TileModel
from rl2qc.slides.run import Run
from rl2qc.slides.settings import FilterSettings
from rl2qc.slides.summary import SummaryRow

__all__ = ["RayEngine"]


@dataclass(frozen=True)
class _Work:
    """What a worker needs to know; equal for all tasks of a run, so that a model is loaded once."""

    load: Callable[[], TileModel]
    out: Path
    settings: FilterSettings
    formats: tuple[str, ...]


@dataclass(frozen=True)
class RayEngine:
    """Does the jobs of :func:`rl2qc.slides.cohort.run_cohort` on a Ray cluster.

    Parameters
    ----------
    load
        Makes the model on a worker, once for each; it must be the model of the run.
    address
        The cluster's address; None takes the one that the environment names, or starts one on this
        machine.
    retries
        How often a task is done again after its worker died.

    Raises
    ------
    UsageError
        On use: Ray is not installed, or there is no cluster at ``address``.
    """

    load: Callable[[], TileModel]
    address: str | None = None
    retries: int = 3

    def __call__(self, run: Run, jobs: Sequence[Job]) -> Iterator[SummaryRow]:
        ray = _import_ray()
        started = not ray.is_initialized()
        if started:
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level="error")
            except (ConnectionError, ValueError) as error:
                line = " ".join(str(error).split())
                raise UsageError(f"no Ray cluster at {self.address or 'auto'}: {line}") from error
        try:
            yield from self._do(ray, run, jobs)
        finally:
            if started:
                ray.shutdown()

    def _do(self, ray: Any, run: Run, jobs: Sequence[Job]) -> Iterator[SummaryRow]:
        settings = _from_anywhere(run.settings)
        work = ray.put(_Work(self.load, run.out.absolute(), settings, run.formats))
        task = ray.remote(max_retries=self.retries)(_do_on_worker)
        pending = {
            task.remote(work, number, _absolute(job)): (number, job)
            for number, job in enumerate(jobs)
        }
        while pending:
            (done,), _ = ray.wait(list(pending), num_returns=1)
            number, job = pending.pop(done)
            try:
                row: SummaryRow = ray.get(done)
            except ray.exceptions.RayError as error:
                cause = getattr(error, "cause", None)
                # Not of the slide, but of the output or the model, and thus of all slides.
                if isinstance(cause, WorkError):
                    raise WorkError(str(cause)) from error
                row = run.failed(job, error, 0.0)
            if run.progress is not None:
                run.progress(number, job, row.tiles, row.tiles)
            yield row


def _do_on_worker(work: _Work, number: int, job: Job) -> SummaryRow:
    return _run(work).do(number, job)


@cache
def _run(work: _Work) -> Run:
    return Run(work.load(), work.out, work.settings, work.formats, None)


def _from_anywhere(settings: FilterSettings) -> FilterSettings:
    if settings.coords is None:
        return settings
    return replace(settings, coords=str(Path(settings.coords).absolute()))


def _absolute(job: Job) -> Job:
    """Workers need not start where we are."""
    images = tuple(image.absolute() for image in job.images)
    return replace(job, path=job.path.absolute(), images=images)


def _import_ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'rl2qc[ray]'") from error

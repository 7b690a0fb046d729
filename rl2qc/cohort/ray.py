"""Slides as tasks of a Ray cluster (extra ``[ray]``).

A task does what the local executor does, with the same locks and records in the same folder, which
all machines must share. A task whose worker dies is done again on another one.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from rl2qc.cohort.job import Job
from rl2qc.cohort.progress import RunProgress
from rl2qc.cohort.run import Run
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.summary import SummaryRow
from rl2qc.errors import Rl2qcError, UsageError, WorkError
from rl2qc.filtering.measure import TileModel, find_model

__all__ = ["RayExecutor"]

# Where a Ray client is listened for, and the seconds that a cluster is given to answer.
_CLIENT_PORT, _PATIENCE = 10001, 10.0


@dataclass(frozen=True)
class _Work:
    """What a worker needs to know; the same for all tasks of a run."""

    load: Callable[[], TileModel]
    folder: RunFolder
    formats: tuple[str, ...]


@dataclass(frozen=True)
class RayExecutor:
    """Does the jobs of :func:`rl2qc.cohort.filter.filter_inputs` on a Ray cluster.

    A task takes a processor, and a GPU where the model of the run is on one and the cluster has
    any.

    Parameters
    ----------
    load
        Makes the model on a worker, once for each; it must be the model of the run.
    address
        The cluster's address; None takes the one that RAY_ADDRESS names, or starts one on this
        machine. Where this process is part of a cluster, that is taken.
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
            self._connect(ray)
        try:
            yield from self._do(ray, run, jobs)
        finally:
            if started:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        address = self.address or os.environ.get("RAY_ADDRESS")
        try:
            _knock(address)
            with _own_signals():
                ray.init(address=address, log_to_driver=False, logging_level="error")
        except (OSError, ValueError, RuntimeError) as error:
            line = " ".join(str(error).split())
            raise UsageError(f"no Ray cluster at {address or 'this machine'}: {line}") from error

    def _do(self, ray: Any, run: Run, jobs: Sequence[Job]) -> Iterator[SummaryRow]:
        work = ray.put(_Work(self.load, RunFolder(run.folder.path.absolute()), run.formats))
        task = ray.remote(max_retries=self.retries, num_gpus=_gpus(ray, run.model))(_do_on_worker)
        # In a list, since Ray would hand each task a copy of its own.
        pending = {task.remote([work], job.absolute()): job for job in jobs}
        while pending:
            (done,), _ = ray.wait(list(pending), num_returns=1)
            job = pending.pop(done)
            row: SummaryRow
            try:
                row, tiles = ray.get(done)
            except ray.exceptions.RayError as error:
                cause = getattr(error, "cause", None)
                # Not of the slide, but of the output or the model, and thus of all slides.
                if isinstance(cause, Rl2qcError):
                    raise WorkError(str(cause)) from error
                row, tiles = run.failed(job, error, 0.0), None
            if tiles is not None:
                run.progress.tiles(job, tiles, tiles)
            yield row


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray would end this process by itself at SIGTERM, with what it holds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _knock(address: str | None) -> None:
    """See that somebody is in, for Ray itself would try for minutes; addresses that name no host
    and port are for Ray to understand.

    Raises
    ------
    OSError, ValueError
        Nobody is, or the address is none.
    """
    parts = urlsplit(address if address and "://" in address else f"//{address or ''}")
    port = parts.port or (_CLIENT_PORT if parts.scheme == "ray" else None)
    if parts.hostname and port:
        socket.create_connection((parts.hostname, port), timeout=_PATIENCE).close()


def _gpus(ray: Any, model: TileModel) -> int:
    """GPUs that a task must ask for, or Ray hides them from it."""
    if not str(model.device).startswith("cuda"):
        return 0
    # A task that asks for what no machine has waits forever.
    if ray.cluster_resources().get("GPU", 0) >= 1:
        return 1
    said = "the Ray cluster has no GPU: slides are measured on its processors"
    warnings.warn(said, RuntimeWarning, stacklevel=2)
    return 0


class _Count(RunProgress):
    """Notes how many tiles the one job of a task has; None where none were measured."""

    count: int | None = None

    def tiles(self, job: Job, done: int, total: int) -> None:
        self.count = total


def _do_on_worker(work: Sequence[Any], job: Job) -> tuple[SummaryRow, int | None]:
    """The row of a job, and the number of its tiles; None where none were measured."""
    run, count = _run(work[0]), _Count()
    run.progress = count
    return run.do(job), count.count


# One model a worker, whatever runs it served before.
@lru_cache(maxsize=1)
def _run(reference: Any) -> Run:
    work: _Work = _import_ray().get(reference)
    return Run(work.folder, find_model(work.load()), work.formats)


def _import_ray() -> Any:
    # The first error that ends a run is told; Ray would add those of the tasks given up after it.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    # Nothing is told of what runs here, unless somebody asks for it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UsageError("--executor ray needs Ray: pip install 'rl2qc[ray]'") from error

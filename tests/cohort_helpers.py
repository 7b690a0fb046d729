"""Runs without a report, and formats that are written otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rl2qc.cohort.filter import filter_inputs
from rl2qc.cohort.inputs.input import Input
from rl2qc.cohort.job import Job
from rl2qc.cohort.progress import RunProgress
from rl2qc.cohort.run import Executor, local
from rl2qc.cohort.settings import RunSettings
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.summary import SummaryRow
from rl2qc.filtering.exports.registry import DEFAULT_FORMATS, FORMATS
from rl2qc.filtering.measure import find_model
from rl2qc.filtering.settings import FilterSettings


class Following(RunProgress):
    """Calls a function with each job and its tiles done and in all."""

    def __init__(self, function: Callable[[Job, int, int], Any]) -> None:
        super().__init__()
        self._function = function

    def tiles(self, job: Job, done: int, total: int) -> None:
        super().tiles(job, done, total)
        self._function(job, done, total)


def run_cohort(
    inputs: Sequence[Input],
    model: Any,
    out: Path,
    settings: FilterSettings | None = None,
    *,
    executor: Executor = local,
    progress: Callable[[Job, int, int], Any] | None = None,
    about: Mapping[str, Any] | None = None,
    **run: Any,
) -> list[SummaryRow]:
    """Filter what was found, without a report."""
    rows, _ = filter_inputs(
        inputs,
        find_model(model),
        RunFolder(out),
        settings or FilterSettings(),
        RunSettings(**{"formats": DEFAULT_FORMATS, **run}),
        executor=executor,
        about=about,
        progress=Following(progress) if progress is not None else None,
    )
    return rows


def replace_writer(
    patch: pytest.MonkeyPatch, name: str, write: Callable[[Any, Path], None]
) -> Callable[[Any, Path], None]:
    """Let a format be written by ``write``; what wrote it before."""
    spec = FORMATS.get(name)
    patch.setitem(FORMATS._specs, name, replace(spec, write=write))
    return spec.write


def prepare_output(out: Path, inputs: Sequence[Input], *, overwrite: bool = False) -> None:
    """Make the output folder, or refuse it."""
    RunFolder(out).prepare((item.name for item in inputs), overwrite=overwrite)

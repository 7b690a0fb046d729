"""Filter many slides and patch folders into one folder: every one is attempted.

The output folder holds a folder for each input, ``summary.csv`` with a row for each, ``run.json``
that says how it was made, ``report.html``, and ``failed/`` with the traceback of each that failed.
What is finished is not done again, so a run that was killed goes on where it was, and processes
that are given the same folder share the work.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from rl2qc.cohort.changes import is_asked, settings_of
from rl2qc.cohort.decide_result import settle
from rl2qc.cohort.inputs.find import find_inputs
from rl2qc.cohort.inputs.input import Input
from rl2qc.cohort.job import Job, patch_mpp, resolve_jobs
from rl2qc.cohort.page import bring_up_to_date
from rl2qc.cohort.preflight import by_codes, preflight
from rl2qc.cohort.progress import RunProgress, progress_of
from rl2qc.cohort.ray import RayExecutor
from rl2qc.cohort.run import Executor, Run, local
from rl2qc.cohort.settings import EXECUTORS, RunSettings
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.results import CohortResult, input_errors, input_warnings
from rl2qc.cohort.store.runs import command_line, with_run
from rl2qc.cohort.store.summary import SummaryRow
from rl2qc.core.defaults import DEFAULT_MODEL
from rl2qc.core.progress import Progress
from rl2qc.core.provenance import versions
from rl2qc.core.settings import share_out
from rl2qc.errors import UsageError
from rl2qc.filtering.exports.registry import FORMATS
from rl2qc.filtering.measure import TileModel, find_model
from rl2qc.filtering.patches import check_given_scale
from rl2qc.filtering.settings import FilterSettings
from rl2qc.slides.readers.base import READERS

__all__ = ["filter_cohort", "filter_inputs"]

# Seconds between two manifests of a run that is under way.
_MANIFEST_EVERY = 10.0


def filter_cohort(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    model: TileModel | str | Path = DEFAULT_MODEL,
    settings: FilterSettings | None = None,
    *,
    run: RunSettings | None = None,
    progress: bool | Progress | RunProgress = False,
    **changes: Any,
) -> CohortResult:
    """Keep the clean tiles of slides and patch folders: everything that ``rl2qc filter`` does.

    Called again with the same arguments, it does what is left.

    Parameters
    ----------
    inputs
        Slides, folders of slides or of patches, image files, globs, CSV files with a column wsi,
        slide or path (and perhaps mpp).
    out
        Folder for the results.
    model
        What measures the tiles, or a model's name or file.
    settings
        How tiles are cut and decided on.
    run
        How the run goes about its work.
    progress
        True shows a bar; a function is called with (tiles done, expected, input).
    **changes
        Single options of :class:`~rl2qc.filtering.settings.FilterSettings` and
        :class:`~rl2qc.cohort.settings.RunSettings`: ``alpha=0.01, formats=["csv"]``.

    Returns
    -------
    CohortResult
        A row for each input in their order, those that were finished before among them, and
        everything there is to say. Work that another process has in hand is waited for.

    Raises
    ------
    UsageError
        Something that is wrong with the call: an input that does not exist, an option out of
        range; ``out`` holds results of other settings, another model or another slide of that
        name, or files of others that would be replaced; or a process with other settings is at
        work in it.
    WorkError
        The output's disk is full or read-only. What is finished is kept.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> place = Path(tempfile.mkdtemp())
    >>> (place / "set").mkdir()
    >>> for i, grey in enumerate((120, 240)):
    ...     Image.new("RGB", (64, 64), (grey,) * 3).save(place / "set" / f"{i}.png")
    >>> class Dark:
    ...     patch_size, mpp, name = 64, 0.5, "dark"
    ...     def measure(self, images):
    ...         return {"p_value": 1 - images.mean(axis=(1, 2, 3)) / 255}
    >>> result = filter_cohort(place / "set", place / "out", Dark(), alpha=0.1, mpp=0.5)
    >>> result.summary()
    'kept 1 of 2 tiles (50.0%) of 1 inputs at alpha 0.1'
    >>> result.tables["set"].keep.tolist()
    [True, False]
    """
    settings, run = share_out(
        changes, FilterSettings.resolve(settings, {}), RunSettings.resolve(run, {})
    )
    found, warnings = find_inputs(
        inputs, mpp_csv=run.mpp_csv, coords=settings.coords, tissue_mask=settings.tissue_mask
    )
    # Names come before parts, so that all processes call a slide alike.
    part, parts = run.part
    folder, watcher = RunFolder(out), progress_of(progress)
    taken = by_codes(folder, found[part::parts], private=run.private)
    folder.prepare((item.name for item in taken), overwrite=run.overwrite)
    if settings.reader is not None:
        # Once, before any slide fails for it.
        extra = READERS.get(settings.reader).extra
        if extra is not None:
            extra.require(f"reader {settings.reader}")
    executor = _executor(model, run)
    # Last, since it takes longest: everything that can be wrong with the call is known by now.
    loaded = find_model(model)
    warnings += _patch_warnings(taken, loaded.mpp, settings)
    about = {
        "command": ["rl2qc", "filter", "--private"] if run.private else command_line(folder.path),
        "private": run.private,
        "shard": [part + 1, parts],
        "warnings": warnings,
    }
    rows, said = filter_inputs(
        taken, loaded, folder, settings, run, executor=executor, about=about, progress=watcher
    )
    before = tuple(r.name for r in rows if r.status != "failed" and r.name not in watcher.measured)
    report: Path | None = None
    no_report: list[str] = []
    if run.report:
        report, no_report = bring_up_to_date(folder.path, anew=len(before) < len(rows))
    return CohortResult(
        folder.path,
        tuple(rows),
        alpha=settings.alpha,
        warnings=(*said, *no_report, *input_warnings(rows)),
        errors=tuple(input_errors(folder.path, rows)),
        before=before,
        report=report,
    )


def filter_inputs(
    inputs: Sequence[Input],
    model: TileModel,
    folder: RunFolder,
    settings: FilterSettings,
    run: RunSettings,
    *,
    executor: Executor = local,
    about: Mapping[str, Any] | None = None,
    progress: RunProgress | None = None,
) -> tuple[list[SummaryRow], list[str]]:
    """:func:`filter_cohort` where inputs and model are found already, without a report.

    Parameters
    ----------
    inputs, model, folder, settings, run
        As there.
    executor
        What does the jobs.
    about
        More entries for ``run.json``, warnings of the run among them.
    progress
        Is told how far it is.

    Returns
    -------
    The row of each input in their order, and all warnings of the run.
    """
    settings, formats = _for_model(model, settings, run.formats)
    inputs, settings, said = _as_there(inputs, folder, settings, overwrite=run.overwrite)
    plan = resolve_jobs(inputs, folder.path, model, settings, formats)
    started, clock = datetime.now(UTC), time.monotonic()
    warnings = [*(about or {}).get("warnings", ()), *said]
    given = {name: folder.shown(value) for name, value in asdict(settings).items()}
    begun: dict[str, Any] = {"id": secrets.token_hex(8), "what": "filter", **(about or {})}

    def describe(*, finished: bool) -> dict[str, Any]:
        now = {
            **begun,
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 2),
            "finished": finished,
            "model": {n: getattr(model, n) for n in ("name", "sha256", "patch_size", "mpp")},
            "settings": {**given, "formats": list(formats)},
            "versions": _versions(),
            "runtime": model.runtime_name,
            # What is said of inputs that are not measured names them.
            "warnings": [] if begun.get("private") else warnings,
        }
        last = {name: value for name, value in now.items() if name != "id"}
        return {**last, "runs": with_run(folder.manifest(), now)}

    rows: dict[str, SummaryRow] = {}
    try:
        with folder.active(plan.key):
            warnings += preflight(folder, plan, overwrite=run.overwrite)
            folder.update(partial(describe, finished=False), None)
            last = time.monotonic()
            work = Run(folder, model, formats, progress)
            for row in _followed(work, executor, plan.jobs):
                rows[row.name] = row
                if time.monotonic() - last > _MANIFEST_EVERY:
                    folder.update(partial(describe, finished=False), None)
                    last = time.monotonic()
            warnings += settle(folder, settings, work.progress.further)
            now = folder.update(partial(describe, finished=True), formats)
    finally:
        # Stopped half-way, it leaves what is finished, and no lock.
        folder.clean_up()
    # What was settled for all may have changed the decision of some.
    rows |= {row.name: row for row in now if row.name in rows}
    return [rows[job.name] for job in plan.jobs], warnings


def _for_model(
    model: TileModel, settings: FilterSettings, formats: Sequence[str]
) -> tuple[FilterSettings, tuple[str, ...]]:
    """Without what is of no use to a model, so that no result depends on it; with the formats that
    deciding again reads."""
    if not model.adapts:
        settings = settings.changes(adapt="none")
    wanted = dict.fromkeys((*(spec.name for spec in FORMATS if spec.always), *formats))
    maps = model.prior is not None
    return settings, tuple(name for name in wanted if maps or not FORMATS.get(name).maps)


# What None stands for, where results of before that are there do not say otherwise.
_TODAY = {"tissue_mask": "auto", "edges": "shift", "covering": "whole"}
_DONE_BY = {
    "tissue_mask": "tissue is found by otsu",
    "edges": "tiles at the edges are left out",
    "covering": "of larger tiles the centre is measured",
}


def _as_there(
    inputs: Sequence[Input], folder: RunFolder, settings: FilterSettings, *, overwrite: bool
) -> tuple[Sequence[Input], FilterSettings, list[str]]:
    """Inputs and settings with what results of before were made by, where nothing is asked for;
    and a word about it."""
    was, found, said = FilterSettings.complete({}), dict[str, str](), list[str]()
    records = {} if overwrite else folder.records()
    slides = {n: settings_of(r.key) for n, r in records.items() if r.row["kind"] == "slide"}
    for name, today in _TODAY.items():
        if getattr(settings, name) is not None:
            continue
        asked = {n: known for n, known in slides.items() if is_asked(name, known)}
        old = {n for n, known in asked.items() if known[name] == was[name]}
        found[name] = was[name] if old and len(old) == len(asked) else today
        if old:
            option = f"--{name.replace('_', '-')} {today}"
            said.append(f"{_DONE_BY[name]}, as in the results that are there: {option} is new")
            own = {name: was[name]}
            inputs = [
                replace(item, own={**item.own, **own}) if item.name in old else item
                for item in inputs
            ]
    return inputs, settings.changes(**found), said


def _followed(run: Run, executor: Executor, jobs: Sequence[Job]) -> Iterator[SummaryRow]:
    """The row of each job as it is done; ``run.progress`` is told."""
    finished = False
    run.progress.begin(len(jobs))
    try:
        for row in executor(run, jobs):
            run.progress.row(row)
            yield row
        finished = True
    finally:
        run.progress.end(finished=finished)


def _patch_warnings(
    inputs: Sequence[Input], model_mpp: float | None, settings: FilterSettings
) -> list[str]:
    """What is to be said once of the scale of patches that the user gives."""
    patches = [item for item in inputs if item.kind == "patches"]
    given = {patch_mpp(item, inputs, settings) for item in patches}
    said = [w for mpp in given for w in check_given_scale(model_mpp, mpp, settings.any_mpp)]
    # That the model records no resolution is said of the slides.
    return list(dict.fromkeys(said)) if len(patches) == len(inputs) else []


def _executor(model: TileModel | str | Path, run: RunSettings) -> Executor:
    return _EXECUTORS[run.executor](model, run)


def _local(model: TileModel | str | Path, run: RunSettings) -> Executor:
    return local


def _ray(model: TileModel | str | Path, run: RunSettings) -> Executor:
    if not isinstance(model, str | Path):
        raise UsageError("executor ray needs a model by name or file, for its workers to load")
    # Workers need not start where we are.
    place = str(Path(model).absolute()) if Path(model).is_file() else model
    return RayExecutor(partial(find_model, place), run.address)


_EXECUTORS = dict(zip(EXECUTORS, (_local, _ray), strict=True))


@cache
def _versions() -> dict[str, str]:
    readers = (
        reader.versions() for reader in READERS if reader.extra is None or reader.extra.installed
    )
    return versions("nflows") | {
        name: version for found in readers for name, version in found.items()
    }

"""Decide again which tiles of a finished run are kept, from the scores that it recorded, and write
it in more formats."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rl2qc.cohort.adapt import cohort_adaptations
from rl2qc.cohort.changes import settings_of
from rl2qc.cohort.page import bring_up_to_date
from rl2qc.cohort.settings import DecideSettings
from rl2qc.cohort.store.folder import PAGE, RUN, RunFolder
from rl2qc.cohort.store.locks import try_lock, wait_for_lock
from rl2qc.cohort.store.record import RECORD, Record, ResultFolder
from rl2qc.cohort.store.results import CohortResult
from rl2qc.cohort.store.summary import row_of
from rl2qc.cohort.store.tables import describe_table, read_table
from rl2qc.core.progress import Progress, track
from rl2qc.errors import Rl2qcError, UsageError, WorkError
from rl2qc.filtering.decision import COHORT_WIDE
from rl2qc.filtering.exports.files import export, remove_exports
from rl2qc.filtering.exports.registry import FORMATS
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import OVER_REJECTED, TileTable
from rl2qc.stats.adaptation import Adaptation

__all__ = ["decide", "settle"]

# The lock of who looks at all results at once.
_ADAPTING = "..adapting"


def decide(
    results: str | Path | CohortResult,
    alpha: float | None = None,
    settings: DecideSettings | None = None,
    *,
    progress: bool | Progress = False,
    **changes: Any,
) -> CohortResult:
    """Decide anew from recorded scores: everything that ``rl2qc decide`` does.

    The decision, every export, ``summary.csv`` and ``run.json`` are rewritten, and ``report.html``
    where there is one. Neither slides nor patches are opened but for the tiles that the report
    shows: the recorded scores and thumbnails are all it takes. The result is that of a run with
    this ``alpha`` and these formats from the start. Killed at any moment, it is finished by the
    same call.

    Parameters
    ----------
    results
        What ``rl2qc filter`` wrote: its folder, or what :func:`rl2qc.filter_cohort` returned.
    alpha
        Tiles with a p-value above are kept (:func:`rl2qc.filtering.decision.keep_tiles`); each
        slide is decided by itself. None leaves the decision as it is, and formats are added.
    settings
        How it is decided, and what else is written.
    progress
        True shows a bar; a function is called with (inputs done, all, what).
    **changes
        Single options of :class:`~rl2qc.cohort.settings.DecideSettings`: ``method="bh"``.

    Returns
    -------
    CohortResult
        The rows of ``summary.csv``, those of failed inputs included; what the decision could not
        bring about is a warning or a failure.

    Raises
    ------
    UsageError
        A setting that does not exist or is out of range, a format that takes the pixels of the
        slides, no results, a file of another tool where a format has its own, or ``rl2qc filter``
        at work.
    WorkError
        ``run.json`` or ``summary.csv`` cannot be brought up to date.

    Examples
    --------
    >>> import tempfile
    >>> import rl2qc
    >>> from PIL import Image
    >>> place = Path(tempfile.mkdtemp())
    >>> (place / "set").mkdir()
    >>> for grey in (120, 240):
    ...     Image.new("RGB", (64, 64), (grey,) * 3).save(place / "set" / f"{grey}.png")
    >>> class Dark:
    ...     patch_size, mpp, name = 64, 0.5, "dark"
    ...     def measure(self, images):
    ...         return {"p_value": 1 - images.mean(axis=(1, 2, 3)) / 255}
    >>> _ = rl2qc.filter_cohort(place / "set", place / "out", Dark(), alpha=0.1, mpp=0.5)
    >>> decide(place / "out", 0.01).tables["set"].keep.tolist()
    [True, True]
    """
    if alpha is not None:
        changes["alpha"] = alpha
    settings = DecideSettings.resolve(settings, changes)
    folder = RunFolder(results.folder if isinstance(results, CohortResult) else results)
    found = folder.results()
    if not found:
        raise UsageError(f"{folder.path} holds no results of rl2qc filter")
    settings.check_alpha()
    folder.check_shared_files(settings.formats)
    if folder.active_processes():
        raise UsageError(f"rl2qc filter is at work in {folder.path}: wait until it has ended")
    if settings.alpha is None:
        level, method = _decision_of(folder, found)
        settings = settings.changes(alpha=level, method=method)
    # Where none is named, each result keeps its own way.
    wide = settings.adapt is None or settings.adapt in COHORT_WIDE
    cohorts = cohort_adaptations(found) if wide else {}
    decided = []
    with (
        _mapping(min(settings.workers, len(found))) as mapped,
        track(progress, "deciding", len(found)) as step,
    ):
        usual = [cohorts.get(result.name) for result in found]
        for result in mapped(partial(_attempt, settings=settings), found, usual):
            decided.append(result)
            step(1)
    present = dict.fromkeys(name for result in decided for name in result.formats)
    try:
        rows = folder.update(lambda: _describe(folder, settings), tuple(present))
    finally:
        folder.clean_up()
    report: Path | None = None
    no_report: list[str] = []
    if (folder.path / PAGE).exists():
        report, no_report = bring_up_to_date(folder.path, anew=True)
    failures = tuple((d.name, d.failure) for d in decided if d.failure)
    warnings = [
        f"{row.name}: over-rejected, {row.kept} of {row.tiles} tiles are left"
        for row in rows
        if OVER_REJECTED in row.flags
    ]
    warnings += [said for d in decided for said in d.warnings]
    return CohortResult(
        folder.path,
        tuple(rows),
        alpha=settings.alpha if settings.alpha is not None else math.nan,
        warnings=(*warnings, *no_report),
        errors=tuple(f"{name}: {reason}" for name, reason in failures),
        failures=failures,
        before=tuple(row.name for row in rows if row.status != "failed"),
        report=report,
    )


@dataclass(frozen=True)
class _Decided:
    """What became of one result, and the formats that it is written in."""

    name: str
    formats: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str = ""


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterator[_Decided]]]:
    """``map`` by processes, if there is to be more than one."""
    if workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield pool.map


def _decision_of(folder: RunFolder, found: Sequence[ResultFolder]) -> tuple[float, str]:
    """Alpha and method that all results were decided with.

    Raises
    ------
    UsageError
        They differ, since deciding again was interrupted.
    """
    records = [record for result in found if (record := result.read_record()) is not None]
    known = [settings_of(record.key) for record in records]
    decisions = {(settings["alpha"], settings["method"]) for settings in known}
    if len(decisions) != 1 or None in next(iter(decisions)):
        raise UsageError(
            f"the results in {folder.path} are of no single decision, since rl2qc decide was "
            "interrupted or some were decided with another alpha: give it an --alpha"
        )
    return decisions.pop()


def settle(
    folder: RunFolder, settings: FilterSettings, progress: bool | Progress = False
) -> list[str]:
    """Decide anew, beside what is usual in their cohorts, the results that were decided without.

    Called by each process at the end of its run: the last one sees the results of all.

    Parameters
    ----------
    folder
        Of the run; its manifest and summary are left to the caller.
    settings
        How it is decided.
    progress
        True shows a bar; a function is called with (inputs done, all, what).

    Returns
    -------
    A line for each result that could not be decided.
    """
    if settings.adapt not in COHORT_WIDE:
        return []
    names = DecideSettings.names("decision")
    wanted = DecideSettings(**{name: getattr(settings, name) for name in names})
    with wait_for_lock(folder.lock(_ADAPTING)):
        found = folder.results()
        cohorts = cohort_adaptations(found)
        stale = [result for result in found if not _is_beside(result, cohorts.get(result.name))]
        failed = []
        with track(progress, "comparing slides", len(stale)) as step:
            for result in stale:
                decided = _attempt(result, cohorts.get(result.name), wanted)
                if decided.failure:
                    failed.append(f"{result.name}: {decided.failure}")
                step(1)
    return failed


def _is_beside(result: ResultFolder, cohort: Adaptation | None) -> bool:
    """Whether a result was decided beside this cohort, or has nothing to decide."""
    record = result.read_record()
    return record is None or (cohort and cohort.to_dict()) == record.slide.get("cohort")


def _attempt(result: ResultFolder, cohort: Adaptation | None, settings: DecideSettings) -> _Decided:
    try:
        with try_lock(RunFolder(result.path.parent).lock(result.name)) as mine:
            if not mine:
                raise WorkError("another process is at work on it")
            return _decide_one(result, cohort, settings)
    except (Rl2qcError, OSError) as error:
        return _Decided(result.name, failure=" ".join(str(error).split()))
    # Whatever is wrong with one result must not cost the others their turn.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return _Decided(
            result.name, failure=f"{reason}: rl2qc filter --overwrite measures it again"
        )


def _decide_one(
    result: ResultFolder, cohort: Adaptation | None, settings: DecideSettings
) -> _Decided:
    record = result.read_record()
    if record is None:
        raise WorkError("its files are not complete: run rl2qc filter again")
    # What was being added when an earlier call was killed belongs to no decision.
    remove_exports(result.path, result.written() - set(record.files))
    result.remove_temporary()
    assert settings.alpha is not None
    table = read_table(result.path, record).decide(
        settings.alpha,
        method=settings.method,
        max_rejected=settings.max_rejected,
        adapt=settings.adapt,
        cohort=cohort,
    )
    present = [name for name in record.key["settings"]["formats"] if name in FORMATS]
    formats = tuple(dict.fromkeys((*present, *settings.formats)))
    planned = result.plan(table, formats, failures=bool(table.failures))
    result.refuse_foreign(planned)
    result.announce(planned)
    # Until all is rewritten, the record belongs to no alpha: a run that resumes asks for another
    # decision and does not take a mixture for its result.
    result.write_record(replace(record, key=_with_settings(record, alpha=None)))
    warnings = _rewrite(result, table, formats)
    files = {result.called(file.path) for file in planned} - {RECORD}
    new = _record(record, table, formats)
    result.write_record(replace(new, files=tuple(sorted(files))))
    # Another version of rl2qc may have had other names.
    remove_exports(result.path, set(record.files) - files)
    result.settle()
    return _Decided(result.name, formats, tuple(warnings))


def _rewrite(result: ResultFolder, table: TileTable, formats: Sequence[str]) -> list[str]:
    """Write what shows the decision; what is to be said of pictures that are missing."""
    specs = [FORMATS.get(name) for name in formats]
    export(table, result.path, [s.name for s in specs if s.sort is None and s.decided])
    warnings = []
    for spec in specs:
        missing = 0
        if spec.sort is not None and spec.suits(table):
            missing = spec.sort(table, spec.path(table, result.path))
        if missing:
            warnings.append(
                f"{table.name}: {missing} tiles are kept that were rejected when the slide was "
                f"read, and have no picture in {spec.filename}/: only rl2qc filter --overwrite "
                "reads them"
            )
    return warnings


def _record(old: Record, table: TileTable, formats: Sequence[str]) -> Record:
    """The record of the new decision."""
    row = row_of(table, seconds=old.row["seconds"], path=old.row["path"])
    decision = {name: getattr(table, name) for name in FilterSettings.names("decision")}
    key = _with_settings(old, **decision, formats=sorted(formats))
    return replace(old, key=key, row=asdict(row), slide=describe_table(table))


def _with_settings(record: Record, **changes: Any) -> dict[str, Any]:
    return {**record.key, "settings": {**settings_of(record.key), **changes}}


def _describe(folder: RunFolder, settings: DecideSettings) -> dict[str, Any]:
    """What ``run.json`` says of the run, with the new decision."""
    old = _read_manifest(folder)
    # Where run.json is gone, nothing is known of the rest.
    known = FilterSettings.complete(old["settings"]) if "settings" in old else {}
    given = {name: getattr(settings, name) for name in settings.names("decision")}
    known |= {name: value for name, value in given.items() if value is not None}
    known["formats"] = list(dict.fromkeys((*known.get("formats", ()), *settings.formats)))
    return {**old, "settings": known}


def _read_manifest(folder: RunFolder) -> dict[str, Any]:
    """``run.json``, which must not be replaced where it is damaged."""
    path = folder.path / RUN
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise WorkError(f"{path} is damaged ({error}): run rl2qc filter again") from error
    return manifest

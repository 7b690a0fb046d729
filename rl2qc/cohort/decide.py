"""Decide again which tiles of a finished run are kept, from the scores that it recorded, and write
it in more formats."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rl2qc.cohort.filter import folder_lock
from rl2qc.cohort.store.folder import (
    JOURNAL,
    LOCKS,
    RUN,
    announce,
    check_shared_files,
    refuse_foreign,
    remove_temporary,
    sweep,
    targets,
    written,
)
from rl2qc.cohort.store.locks import try_lock
from rl2qc.cohort.store.presence import at_work
from rl2qc.cohort.store.record import RECORD, Record, read_record, write_record
from rl2qc.cohort.store.results import describe_table, read_table
from rl2qc.cohort.store.summary import SummaryRow, read_rows, row_of, write_summary
from rl2qc.core.files import write_json
from rl2qc.errors import Rl2qcError, UsageError, WorkError
from rl2qc.filtering.decision import METHODS
from rl2qc.filtering.exports import FORMATS, check_formats, export, finish_exports, remove_exports
from rl2qc.filtering.table import TileTable

__all__ = ["Decided", "decide_run"]

Progress = Callable[[int, int], None]
"""Called with the number of results decided and of all."""


@dataclass(frozen=True)
class Decided:
    """What a new decision made of a run.

    Attributes
    ----------
    rows
        The rows of ``summary.csv``, those of failed inputs included.
    warnings
        What the decision could not bring about: pictures of tiles that were never read, say.
    failures
        Name and reason of each result that could not be decided again.
    alpha
        The level that was decided at.
    """

    rows: list[SummaryRow]
    warnings: list[str]
    failures: list[tuple[str, str]]
    alpha: float


def decide_run(
    out: str | Path,
    alpha: float | None = None,
    *,
    method: str = "threshold",
    max_rejected: float | None = None,
    formats: Sequence[str] = (),
    workers: int = 1,
    progress: Progress | None = None,
) -> Decided:
    """Rewrite the decision, every export, ``summary.csv`` and ``run.json`` of a run.

    Neither slides nor patches are opened: the recorded scores and thumbnails are all it takes.
    The result is that of a run with this ``alpha`` and these formats from the start. Killed at any
    moment, it is finished by the same call.

    Parameters
    ----------
    out
        The folder that ``rl2qc filter`` wrote.
    alpha, method
        See :func:`rl2qc.filtering.decision.keep_tiles`; each slide is decided by itself. Without an
        ``alpha`` the decision stays as it is, and only formats are added.
    max_rejected
        Slides that lose a larger share of their tissue are flagged "over-rejected"; what the run
        had by default.
    formats
        Names in :data:`rl2qc.filtering.exports.FORMATS` to write beside those that are there.
    workers
        Processes at work.
    progress
        Called after every slide.

    Raises
    ------
    UsageError
        A setting that is out of range, a format that takes the pixels of the slides, no results in
        ``out``, a file of another tool where a format has its own, or ``rl2qc filter`` at work.
    WorkError
        ``run.json`` or ``summary.csv`` cannot be brought up to date.
    """
    out = Path(out)
    if alpha is not None and not 0 <= alpha < 1:
        raise UsageError(f"alpha must lie in [0, 1), got {alpha}")
    if method not in METHODS:
        raise UsageError(f"no method {method!r}: choose from {', '.join(METHODS)}")
    if max_rejected is not None and not 0 <= max_rejected <= 1:
        raise UsageError(f"max_rejected must lie in [0, 1], got {max_rejected}")
    _check_formats(formats)
    folders = sorted(path.parent for path in out.glob(f"*/{RECORD}"))
    if not folders:
        raise UsageError(f"{out} holds no results of rl2qc filter")
    check_shared_files(out, formats)
    if at_work(out):
        raise UsageError(f"rl2qc filter is at work in {out}: wait until it has ended")
    if alpha is None:
        if not formats or method != METHODS[0] or max_rejected is not None:
            raise UsageError("a decision needs an alpha: only formats can be added without one")
        alpha, method = _decision_of(out, folders)

    decide = partial(
        _attempt, alpha=alpha, method=method, max_rejected=max_rejected, added=tuple(formats)
    )
    results = []
    with _mapping(min(workers, len(folders))) as mapped:
        for result in mapped(decide, folders):
            results.append(result)
            if progress is not None:
                progress(len(results), len(folders))
    decision: dict[str, Any] = {"alpha": alpha}
    if method != "threshold":
        decision["method"] = method
    if max_rejected is not None:
        decision["max_rejected"] = max_rejected
    present = dict.fromkeys(name for result in results for name in result.formats)
    rows = _account(out, decision, tuple(formats), tuple(present))
    return Decided(
        rows,
        [warning for result in results for warning in result.warnings],
        [(result.name, result.failure) for result in results if result.failure],
        alpha,
    )


@dataclass(frozen=True)
class _Result:
    """What became of one result, and the formats that it is written in."""

    name: str
    formats: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str = ""


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterator[_Result]]]:
    """``map`` by processes, if there is to be more than one."""
    if workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield pool.map


def _check_formats(formats: Sequence[str]) -> None:
    check_formats(formats)
    for name in formats:
        if FORMATS[name].sort is not None:
            raise UsageError(
                f"format {name} takes the pixels of the slides, which are not read here: "
                "rl2qc filter --overwrite reads them"
            )


def _decision_of(out: Path, folders: Sequence[Path]) -> tuple[float, str]:
    """Alpha and method that all results were decided with.

    Raises
    ------
    UsageError
        They differ, since deciding again was interrupted.
    """
    records = [record for folder in folders if (record := read_record(folder)) is not None]
    settings = [record.key["settings"] for record in records]
    found = {(s.get("alpha"), s.get("method", METHODS[0])) for s in settings}
    if len(found) != 1 or (None, METHODS[0]) in found:
        raise UsageError(
            f"the results in {out} are of no single decision, since rl2qc decide was interrupted "
            "or some were judged with another alpha: give it an --alpha"
        )
    return found.pop()


def _attempt(
    folder: Path, alpha: float, method: str, max_rejected: float | None, added: tuple[str, ...]
) -> _Result:
    try:
        with try_lock(folder.parent / LOCKS / f"{folder.name}.lock") as mine:
            if not mine:
                raise WorkError("another process is at work on it")
            return _decide_one(folder, alpha, method, max_rejected, added)
    except (Rl2qcError, OSError) as error:
        return _Result(folder.name, failure=" ".join(str(error).split()))
    # Whatever is wrong with one result must not cost the others their turn.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return _Result(folder.name, failure=f"{reason}: rl2qc filter --overwrite judges it again")


def _decide_one(
    folder: Path, alpha: float, method: str, max_rejected: float | None, added: tuple[str, ...]
) -> _Result:
    record = read_record(folder)
    if record is None:
        raise WorkError("its files are not complete: run rl2qc filter again")
    # What was being added when an earlier call was killed belongs to no decision.
    remove_exports(folder, written(folder) - set(record.files))
    remove_temporary(folder)
    table = read_table(folder, record).decide(alpha, method=method, max_rejected=max_rejected)
    present = [name for name in record.key["settings"]["formats"] if name in FORMATS]
    formats = tuple(dict.fromkeys((*present, *added)))
    planned = targets(table, folder, formats)
    refuse_foreign(folder, planned)
    announce(folder, planned)
    # Until all is rewritten, the record belongs to no alpha: a run that resumes asks for another
    # decision and does not take a mixture for its result.
    write_record(folder, replace(record, key=_key(record, alpha=None)))
    # The picture of the slide is the same whatever is decided.
    export(table, folder, [n for n in formats if FORMATS[n].sort is None and n != "thumbnail"])
    warnings = []
    for name in formats:
        sort = FORMATS[name].sort
        missing = sort(table, FORMATS[name].path(table, folder)) if sort is not None else 0
        if missing:
            warnings.append(
                f"{table.name}: {missing} tiles are kept that were rejected when the slide was "
                f"read, and have no picture in {FORMATS[name].filename}/: only rl2qc filter "
                "--overwrite reads them"
            )
    names = {os.path.relpath(path, folder) for path in planned} - {RECORD}
    write_record(folder, replace(_record(record, table, formats), files=tuple(sorted(names))))
    # Another version of rl2qc may have had other names.
    remove_exports(folder, set(record.files) - names)
    (folder / JOURNAL).unlink(missing_ok=True)
    return _Result(folder.name, formats, tuple(warnings))


def _record(old: Record, table: TileTable, formats: Sequence[str]) -> Record:
    """The record of the new decision."""
    decision: dict[str, Any] = {"alpha": table.alpha, "formats": sorted(formats)}
    if "max_rejected" in old.key["settings"]:
        decision["max_rejected"] = table.max_rejected
    if table.method != "threshold":
        decision["method"] = table.method
    row = row_of(table, seconds=old.row["seconds"], path=old.row["path"])
    return replace(
        old,
        key=_key(old, **decision),
        row=asdict(row),
        slide=describe_table(table),
    )


def _key(record: Record, **decision: Any) -> dict[str, Any]:
    return {**record.key, "settings": _settings(record.key["settings"], decision)}


def _settings(old: Mapping[str, Any], decision: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with another decision; a method is named where it is not the usual one."""
    return {**{name: old[name] for name in old if name != "method"}, **decision}


def _account(
    out: Path,
    decision: dict[str, Any],
    added: Sequence[str],
    formats: Sequence[str],
) -> list[SummaryRow]:
    """Bring ``summary.csv``, ``run.json`` and what formats write for the run up to date."""
    try:
        with folder_lock(out):
            remove_temporary(out)
            rows = read_rows(out)
            write_summary(out, rows)
            run = _read_run(out / RUN)
            run["settings"] = _settings(run.get("settings", {}), decision)
            if added:
                known = run["settings"].get("formats", ())
                run["settings"]["formats"] = list(dict.fromkeys((*known, *added)))
            inputs = tuple(f"{row.name}: " for row in rows)
            run["warnings"] = [
                *(said for said in run.get("warnings", []) if not said.startswith(inputs)),
                *(f"{row.name}: {warning}" for row in rows for warning in row.warnings),
            ]
            write_json(out / RUN, run)
            finish_exports(out, formats)
    except OSError as error:
        raise WorkError(f"cannot write to {out}: {error.strerror or error}") from error
    finally:
        sweep(out)
    return rows


def _read_run(path: Path) -> dict[str, Any]:
    try:
        run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise WorkError(f"{path} is damaged ({error}): run rl2qc filter again") from error
    return run

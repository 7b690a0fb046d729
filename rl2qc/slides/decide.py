"""Decide again which tiles of a finished run are kept, from the scores that it recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rl2qc.errors import Rl2qcError, UsageError, WorkError
from rl2qc.slides.cohort import folder_lock
from rl2qc.slides.decision import METHODS
from rl2qc.slides.exports import FORMATS, export, finish_exports
from rl2qc.slides.locks import try_lock
from rl2qc.slides.records import RECORD, Record, read_record, write_json, write_record
from rl2qc.slides.stored import describe_table, read_table
from rl2qc.slides.summary import SummaryRow, read_rows, row_of, write_summary
from rl2qc.slides.table import TileTable

__all__ = ["Decided", "decide_run"]

_RUN, _LOCKS = "run.json", ".locks"

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
    """

    rows: list[SummaryRow]
    warnings: list[str]
    failures: list[tuple[str, str]]


def decide_run(
    out: str | Path,
    alpha: float,
    *,
    method: str = "threshold",
    max_rejected: float | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Decided:
    """Rewrite the decision, every export, ``summary.csv`` and ``run.json`` of a run.

    Neither slides nor patches are opened: the recorded scores and thumbnails are all it takes.
    The result is that of a run with this ``alpha`` from the start. Killed at any moment, it is
    finished by the same call.

    Parameters
    ----------
    out
        The folder that ``rl2qc filter`` wrote.
    alpha, method
        See :func:`rl2qc.slides.decision.keep_tiles`; each slide is decided by itself.
    max_rejected
        Slides that lose a larger share of their tissue are flagged "over-rejected"; what the run
        had by default.
    workers
        Processes at work.
    progress
        Called after every slide.

    Raises
    ------
    UsageError
        A setting that is out of range, or no results in ``out``.
    WorkError
        ``run.json`` or ``summary.csv`` cannot be brought up to date.
    """
    out = Path(out)
    if not 0 <= alpha < 1:
        raise UsageError(f"alpha must lie in [0, 1), got {alpha}")
    if method not in METHODS:
        raise UsageError(f"no method {method!r}: choose from {', '.join(METHODS)}")
    if max_rejected is not None and not 0 <= max_rejected <= 1:
        raise UsageError(f"max_rejected must lie in [0, 1], got {max_rejected}")
    folders = sorted(path.parent for path in out.glob(f"*/{RECORD}"))
    if not folders:
        raise UsageError(f"{out} holds no results of rl2qc filter")

    before = read_rows(out)
    decide = partial(_attempt, alpha=alpha, method=method, max_rejected=max_rejected)
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
    formats = dict.fromkeys(name for result in results for name in result.formats)
    rows = _account(out, before, decision, tuple(formats))
    return Decided(
        rows,
        [warning for result in results for warning in result.warnings],
        [(result.name, result.failure) for result in results if result.failure],
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


def _attempt(folder: Path, alpha: float, method: str, max_rejected: float | None) -> _Result:
    try:
        with try_lock(folder.parent / _LOCKS / f"{folder.name}.lock") as mine:
            if not mine:
                raise WorkError("another process is at work on it")
            return _decide_one(folder, alpha, method, max_rejected)
    except (Rl2qcError, OSError) as error:
        return _Result(folder.name, failure=" ".join(str(error).split()))


def _decide_one(folder: Path, alpha: float, method: str, max_rejected: float | None) -> _Result:
    record = read_record(folder)
    if record is None:
        raise WorkError("its files are not complete: run rl2qc filter again")
    table = read_table(folder, record).decide(alpha, method=method, max_rejected=max_rejected)
    formats = tuple(name for name in record.key["settings"]["formats"] if name in FORMATS)
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
    write_record(folder, _record(record, table))
    return _Result(folder.name, formats, tuple(warnings))


def _record(old: Record, table: TileTable) -> Record:
    """The record of the new decision; it lists the same files."""
    decision: dict[str, Any] = {"alpha": table.alpha}
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
    out: Path, before: Sequence[SummaryRow], decision: dict[str, Any], formats: Sequence[str]
) -> list[SummaryRow]:
    """Bring ``summary.csv``, ``run.json`` and what formats write for the run up to date."""
    try:
        with folder_lock(out):
            rows = read_rows(out)
            write_summary(out, rows)
            run = _read_run(out / _RUN)
            run["settings"] = _settings(run.get("settings", {}), decision)
            old = {f"{row.name}: {warning}" for row in before for warning in row.warnings}
            run["warnings"] = [
                *(warning for warning in run.get("warnings", []) if warning not in old),
                *(f"{row.name}: {warning}" for row in rows for warning in row.warnings),
            ]
            write_json(out / _RUN, run)
            finish_exports(out, formats)
    except OSError as error:
        raise WorkError(f"cannot write to {out}: {error.strerror or error}") from error
    finally:
        # Not empty while another process is at work.
        with suppress(OSError):
            (out / _LOCKS).rmdir()
    return rows


def _read_run(path: Path) -> dict[str, Any]:
    try:
        run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise WorkError(f"{path} is damaged ({error}): run rl2qc filter again") from error
    return run

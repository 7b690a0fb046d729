"""Whose the files in a folder of results are: only what rl2qc wrote is replaced or removed.

Results may lie in a folder that other tools use, under names that those use, too. The record of a
finished result lists its files. Those of one that is under way are announced before they are
written, in a file that goes when the record is there: at any moment it is known which are ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rl2qc.cohort.store.locks import try_lock
from rl2qc.cohort.store.record import RECORD
from rl2qc.core.files import read_json, write_json
from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.exports import FORMATS, RESULTS, has_results, remove_exports
from rl2qc.filtering.table import TileTable

__all__ = [
    "FAILURES",
    "JOURNAL",
    "LOCKS",
    "RUN",
    "announce",
    "check_shared_files",
    "foreign",
    "is_run",
    "refuse_foreign",
    "remove_temporary",
    "remove_written",
    "retract",
    "sweep",
    "targets",
    "written",
]

RUN, LOCKS, FAILURES, JOURNAL = "run.json", ".locks", "failures.csv", ".files.json"
_SHARED = ("summary.csv", RUN, "report.html", "failed")
# What rl2qc.core.files calls a file that is not complete.
_TEMPORARY = ".tmp-" + "[0-9a-f]" * 12 + "*"
_ADVICE = "choose another --out, or move it away"


# ---------------------------------------------------------------- one result


def targets(table: TileTable, folder: Path, formats: Iterable[str]) -> list[Path]:
    """What is written for ``table``, whose folder is ``folder``."""
    kinds = [FORMATS[name] for name in formats]
    return [
        *(kind.path(table, folder) for kind in kinds if table.kind in kind.kinds),
        *([folder / FAILURES] if table.failures else []),
        folder / RECORD,
    ]


def written(folder: Path) -> frozenset[str]:
    """What we wrote or were about to write for a result; names as seen from its folder."""
    # The journal first: what it lists moves on to the record.
    journal, record = read_json(folder / JOURNAL), read_json(folder / RECORD)
    files = [*journal.get("files", ())]
    if {"key", "row", "slide", "files"} <= record.keys():
        files += [RECORD, *record["files"]]
    return frozenset(map(str, files))


def foreign(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Those of ``paths`` that stand there and are not ours."""
    ours = written(folder)
    return [path for path in paths if os.path.relpath(path, folder) not in ours and _stands(path)]


def refuse_foreign(folder: Path, paths: Iterable[Path]) -> None:
    """Refuse to write over a file that is not ours.

    Raises
    ------
    WorkError
        There is one.
    """
    if found := foreign(folder, paths):
        raise WorkError(f"{found[0]} is a file that rl2qc did not write and keeps: {_ADVICE}")


def announce(folder: Path, paths: Iterable[Path]) -> None:
    """Say that these files are about to be written, and are ours from now on."""
    files = {os.path.relpath(path, folder) for path in paths} | written(folder)
    write_json(folder / JOURNAL, {"files": sorted(files)})


def retract(folder: Path) -> None:
    """Remove the record of a result, whose files remain ours."""
    if RECORD in written(folder):
        announce(folder, ())
        (folder / RECORD).unlink(missing_ok=True)


def remove_written(folder: Path) -> None:
    """Remove what we wrote for a result, and nothing else."""
    # The record goes first: without it, nothing here counts as finished.
    retract(folder)
    files = written(folder)
    remove_exports(folder, files)
    if FAILURES in files:
        (folder / FAILURES).unlink(missing_ok=True)
    remove_temporary(folder)
    # Last: killed before, all of this is done again.
    (folder / JOURNAL).unlink(missing_ok=True)


def remove_temporary(folder: Path) -> None:
    """Remove what a process that was killed had under way in a folder that is locked."""
    for path in folder.glob(_TEMPORARY):
        path.unlink(missing_ok=True)


# ---------------------------------------------------------------- the folder of a run


def is_run(out: Path) -> bool:
    """Whether a folder holds results of ``rl2qc filter``."""
    # Other tools may have a run.json, too.
    return "rl2qc" in (read_json(out / RUN).get("versions") or ()) or any(
        RECORD in written(path.parent) for path in out.glob(f"*/{RECORD}")
    )


def check_shared_files(out: Path, formats: Iterable[str] = ()) -> None:
    """Refuse a folder in which another tool has files where a run has its own.

    Raises
    ------
    UsageError
        There is one.
    """
    taken = [name for name in _SHARED if (out / name).exists()]
    if taken and is_run(out):
        taken = []
    if "histoqc" in formats and not taken:
        taken = [RESULTS] if (out / RESULTS).exists() and not has_results(out) else []
    if taken:
        raise UsageError(f"{out} holds {taken[0]}, which rl2qc did not write and keeps: {_ADVICE}")


def sweep(out: Path) -> None:
    """Remove what killed processes and locks leave behind, if nobody is at work in ``out``."""
    # Looked for before the locks are: what a living process has under way, it began under a lock.
    patterns = (".draft-*", ".stale-*")
    debris = [path for pattern in patterns for path in (out / LOCKS).glob(pattern)]
    debris += [path for place in (".", "*", "*/*") for path in out.glob(f"{place}/{_TEMPORARY}")]
    debris += [path for path in out.glob(f"*/{JOURNAL}") if _is_settled(path.parent)]
    for lock in (out / LOCKS).glob("*.lock"):
        # That of a process that was killed when its result was finished is nobody's to take.
        with try_lock(lock) as dead:
            if not dead:
                return
    for path in debris:
        if path.is_file():
            with suppress(OSError):
                path.unlink()
    for folder in (out / LOCKS, out / "failed"):
        with suppress(OSError):
            folder.rmdir()


def _is_settled(folder: Path) -> bool:
    """Whether a journal says no more than the record beside it."""
    files = read_json(folder / RECORD).get("files")
    return files is not None and set(read_json(folder / JOURNAL).get("files", ())) <= {
        *files,
        RECORD,
    }


def _stands(path: Path) -> bool:
    if path.is_dir() and path.name == FORMATS["tiles"].filename:
        # Other files may lie in a folder of pictures; only pictures would be replaced.
        return any(path.glob("x*_y*.*"))
    return os.path.lexists(path)

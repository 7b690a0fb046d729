"""The folder of a run: the files that its processes share, and who is at work in it."""

from __future__ import annotations

import hashlib
import json
import secrets
import traceback
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from rl2qc.cohort.changes import differences, generally
from rl2qc.cohort.store.locks import join, living, try_lock, wait_for_lock
from rl2qc.cohort.store.record import ADVICE, JOURNAL, RECORD, TEMPORARY, Record, ResultFolder
from rl2qc.cohort.store.summary import SUMMARY, SummaryRow, row_from, write_summary
from rl2qc.core.files import atomic_path, read_json, write_json
from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.exports.files import finish_exports
from rl2qc.filtering.exports.registry import ExportedResult, foreign_run_files

__all__ = ["FAILED", "PAGE", "RUN", "RUN_NAMES", "RunFolder"]

RUN, PAGE, FAILED = "run.json", "report.html", "failed"
_LOCKS = ".locks"
_SHARED = (SUMMARY, RUN, PAGE, FAILED)
RUN_NAMES = (*_SHARED, _LOCKS)
"""What a run has in its folder beside the folders of its results; formats have more."""
# Locks of processes at work, which name a hash of their settings.
_ACTIVE = ".run-"


class RunFolder:
    """A folder of results, which several processes may share.

    Parameters
    ----------
    path
        Where it is, or will be.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    # ------------------------------------------------------------ what is in it

    def results(self) -> list[ResultFolder]:
        """All that have a record, complete or not, by name."""
        return [ResultFolder(path.parent) for path in sorted(self.path.glob(f"*/{RECORD}"))]

    def records(self) -> dict[str, Record]:
        """The records of everything that is finished, by name."""
        found = ((folder.name, folder.read_record()) for folder in self.results())
        return {name: record for name, record in found if record is not None}

    def rows(self) -> list[SummaryRow]:
        """The rows of everything that is finished or failed, by name."""
        rows = [row_from(record.row) for record in self.records().values()]
        done = {row.name for row in rows}
        for path in (self.path / FAILED).glob("*.json"):
            try:
                row = row_from(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                continue
            if row.name not in done:
                rows.append(row)
        return sorted(rows, key=lambda row: (row.name.casefold(), row.name))

    def is_run(self) -> bool:
        """Whether it holds results of ``rl2qc filter``."""
        # Other tools may have a run.json, too.
        return "rl2qc" in (self.manifest().get("versions") or ()) or any(
            RECORD in folder.written() for folder in self.results()
        )

    def check_shared_files(self, formats: Container[str] = ()) -> None:
        """Refuse a folder in which another tool has files where a run has its own.

        Raises
        ------
        UsageError
            There is one.
        """
        taken = [name for name in _SHARED if (self.path / name).exists()]
        if taken and self.is_run():
            taken = []
        taken = taken or foreign_run_files(self.path, formats)
        if taken:
            raise UsageError(
                f"{self.path} holds {taken[0]}, which rl2qc did not write and keeps: {ADVICE}"
            )

    def prepare(self, names: Iterable[str], *, overwrite: bool = False) -> None:
        """Make the folder, or refuse one that holds what no ``rl2qc filter`` wrote.

        No file of others is ever replaced, whatever ``overwrite`` says.

        Parameters
        ----------
        names
            Of the results that are to come.
        overwrite
            Write beside what is there, even if it is of no run.

        Raises
        ------
        UsageError
            It is a file, holds a file of others that would be replaced, or is a folder of others
            that would be written to and ``overwrite`` is False.
        WorkError
            It cannot be written to.
        """
        out = self.path
        if out.exists() and not out.is_dir():
            raise UsageError(f"--out {out} is a file: name a folder")
        taken = next((name for name in names if (out / name).exists()), None)
        # A run writes run.json before all else; looked for last, since one may begin just now.
        self.check_shared_files()
        if taken is not None and not overwrite and not self.is_run():
            raise UsageError(
                f"{out} holds {taken}, which is of no run that could be resumed: choose another "
                "--out, or pass --overwrite to write beside what is there"
            )
        try:
            out.mkdir(parents=True, exist_ok=True)
            # A file without a name: killed at this point, nothing is left of it.
            with TemporaryFile(dir=out):
                pass
        except OSError as error:
            raise WorkError(f"cannot write to --out {out}: {error.strerror}") from error

    # ------------------------------------------------------------ the manifest

    def manifest(self) -> dict[str, Any]:
        """What ``run.json`` says; {} where it says nothing."""
        return read_json(self.path / RUN)

    def update(
        self, describe: Callable[[], Mapping[str, Any]], finish: Container[str] | None
    ) -> list[SummaryRow]:
        """Bring ``run.json``, ``summary.csv`` and what formats write for the run up to date.

        Parameters
        ----------
        describe
            Gives what is to be said of the run; the counts of the inputs and their warnings are
            added.
        finish
            The formats of a run that is finished; None for one that is under way.

        Returns
        -------
        The rows of everything in the folder.

        Raises
        ------
        WorkError
            It cannot be written to.
        """
        try:
            with self.hold():
                for path in self.path.glob(TEMPORARY):
                    path.unlink(missing_ok=True)
                rows = self.rows()
                # Before all other files: it says that the folder may be resumed.
                write_json(self.path / RUN, _manifest(describe(), rows))
                write_summary(self.path / SUMMARY, rows)
                if finish is not None:
                    finish_exports(self, finish)
        except OSError as error:
            raise self.disk_error(error) from error
        return rows

    @property
    def started(self) -> str:
        """When the last run began, in ISO 8601; "" where that is not known."""
        return str(self.manifest().get("started", ""))

    def exported(self) -> Iterator[ExportedResult]:
        """What is there of each finished input, by name."""
        records = self.records()
        for row in self.rows():
            if (record := records.get(row.name)) is not None:
                files = tuple(self.path / row.name / name for name in record.files)
                yield ExportedResult(row.name, files, record.slide, row.warnings)

    # ------------------------------------------------------------ failures

    def write_failure(self, row: SummaryRow, error: BaseException) -> None:
        """Write what went wrong with an input into ``failed/``: its row, and the traceback."""
        with atomic_path(self.path / FAILED / f"{row.name}.txt") as temporary:
            trace = "".join(traceback.format_exception(error))
            temporary.write_text(trace, encoding="utf-8", errors="backslashreplace")
        write_json(self.path / FAILED / f"{row.name}.json", asdict(row))

    def clear_failure(self, name: str) -> None:
        """Remove what was written of an earlier failure."""
        for suffix in (".txt", ".json"):
            (self.path / FAILED / f"{name}{suffix}").unlink(missing_ok=True)

    # ------------------------------------------------------------ locks

    def lock(self, name: str) -> Path:
        """What must be held to work on the result of that name."""
        return self.path / _LOCKS / f"{name}.lock"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the files that all processes share: the manifest, the summary, the report."""
        with wait_for_lock(self.path / _LOCKS / "..lock"):
            yield
        self.leave()

    def leave(self) -> None:
        """Remove the folder of locks, if this is the last process."""
        with suppress(OSError):
            (self.path / _LOCKS).rmdir()

    # ------------------------------------------------------------ active processes

    @contextmanager
    def active(self, key: Mapping[str, Any]) -> Iterator[None]:
        """Be known to be at work with the settings of ``key``, from before the first result on.

        Parameters
        ----------
        key
            "model" and "settings" of all results (:class:`rl2qc.cohort.job.Plan`).

        Raises
        ------
        UsageError
            A process with other settings is at work here, or a file of another tool is in the way.
        WorkError
            The folder cannot be written to.
        """
        self.check_shared_files(key["settings"]["formats"])
        text = json.dumps(key, sort_keys=True, default=str)
        ours = f"{_ACTIVE}{hashlib.sha256(text.encode()).hexdigest()[:12]}-"
        lock = self.path / _LOCKS / f"{ours}{secrets.token_hex(4)}.lock"
        try:
            with ExitStack() as held:
                try:
                    known = held.enter_context(join(lock, f"{_ACTIVE}*.lock"))
                except OSError as error:
                    raise self.disk_error(error) from error
                if any(not other.name.startswith(ours) for other in known):
                    raise UsageError(
                        f"another rl2qc filter is at work in {self.path} with other settings"
                        f"{self._what_differs(key)}: choose another --out, or wait until it has "
                        "ended"
                    )
                yield
        finally:
            self.leave()

    def active_processes(self) -> list[Path]:
        """The locks of all processes that are at work here."""
        return living(self.path / _LOCKS, f"{_ACTIVE}*.lock")

    def _what_differs(self, key: Mapping[str, Any]) -> str:
        """As far as the manifest tells, which the other process may not have written yet."""
        manifest = self.manifest()
        if not {"model", "settings"} <= manifest.keys():
            return ""
        changed = differences(generally(manifest, "slide"), generally(key, "slide"))
        return f" ({', '.join(changed)})" if changed else ""

    # ------------------------------------------------------------ clean up

    def clean_up(self) -> None:
        """Remove what killed processes and locks leave behind, if nobody is at work."""
        # Looked for before the locks are: what a living process has under way, it began under a
        # lock.
        out, locks = self.path, self.path / _LOCKS
        debris = [path for pattern in (".draft-*", ".stale-*") for path in locks.glob(pattern)]
        debris += [path for place in (".", "*", "*/*") for path in out.glob(f"{place}/{TEMPORARY}")]
        debris += [p for p in out.glob(f"*/{JOURNAL}") if ResultFolder(p.parent).is_settled()]
        for lock in locks.glob("*.lock"):
            # That of a process that was killed when its result was finished is nobody's to take.
            with try_lock(lock) as dead:
                if not dead:
                    return
        for path in debris:
            if path.is_file():
                with suppress(OSError):
                    path.unlink()
        for folder in (locks, out / FAILED):
            with suppress(OSError):
                folder.rmdir()

    def disk_error(self, error: OSError) -> WorkError:
        """What to say of an error of the disk that the folder is on."""
        return WorkError(
            f"cannot write to {self.path}: {error.strerror or error}; what is finished is kept: "
            "run the same command again when that is settled"
        )


def _manifest(about: Mapping[str, Any], rows: Sequence[SummaryRow]) -> dict[str, Any]:
    """What is said of a run, with its inputs counted and their warnings as they are now."""
    inputs = tuple(f"{row.name}: " for row in rows)
    warnings = [said for said in about.get("warnings", ()) if not said.startswith(inputs)]
    warnings += [f"{row.name}: {warning}" for row in rows for warning in row.warnings]
    counts = {"all": len(rows), **Counter(row.status for row in rows)}
    return {**about, "inputs": counts, "warnings": warnings}

"""The folder of a run: the files that its processes share, and who is at work in it."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from rl2qc.cohort.store.at_work import FAILED, LOCKS, AtWork
from rl2qc.cohort.store.naming import Naming
from rl2qc.cohort.store.record import (
    ADVICE,
    FROM_RUN,
    RECORD,
    TEMPORARY,
    Record,
    ResultFolder,
)
from rl2qc.cohort.store.schema import ManifestFile, RowFile, read_file
from rl2qc.cohort.store.summary import SUMMARY, SummaryRow, row_from, write_summary
from rl2qc.core.arguments import check_path
from rl2qc.core.files import atomic_path, read_json, write_json
from rl2qc.core.names import leads_outside
from rl2qc.core.outputs import check_is_folder
from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.exports.files import finish_exports
from rl2qc.filtering.exports.registry import ExportedResult, foreign_run_files, reserved_names

__all__ = ["FAILED", "PAGE", "RUN", "RUN_NAMES", "TILES_PAGE", "RunFolder"]

RUN, PAGE, TILES_PAGE = "run.json", "report.html", "tiles.html"
_SHARED = (SUMMARY, RUN, PAGE, TILES_PAGE, FAILED)
RUN_NAMES = (*_SHARED, LOCKS)
"""What a run has in its folder beside the folders of its results; formats have more."""


class RunFolder(AtWork):
    """A folder of results, which several processes may share.

    Parameters
    ----------
    path
        Where it is, or will be.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = check_path("out", path)
        self.naming = Naming(self.path)

    # ------------------------------------------------------------ what is in it

    def results(self) -> list[ResultFolder]:
        """All that have a record, complete or not, by name."""
        return [ResultFolder(path.parent) for path in sorted(self.path.glob(f"*/{RECORD}"))]

    def records(self) -> dict[str, Record]:
        """The records of everything that is finished, by name."""
        found = ((folder.name, folder.read_record()) for folder in self.results())
        return {name: record for name, record in found if record is not None}

    def rows(self) -> list[SummaryRow]:
        """The rows of everything that is finished or failed, by name.

        A result with a damaged record has failed, and costs no other its row.
        """
        rows = [row for folder in self.results() if (row := _row_of(folder)) is not None]
        done = {row.name for row in rows}
        for path in (self.path / FAILED).glob("*.json"):
            with suppress(OSError, WorkError):
                values = read_file(path, RowFile).model_dump(exclude_unset=True)
                if values.get("paths") == FROM_RUN:
                    values["path"] = str(self.naming.reached(values["path"]))
                # Whose it is tells its name, whatever is in it.
                row = row_from({**values, "name": path.name.removesuffix(".json")})
                if row.name not in done:
                    rows.append(row)
        return sorted(rows, key=lambda row: (row.name.casefold(), row.name))

    def is_run(self) -> bool:
        """Whether it holds results of ``rl2qc filter``."""
        # Other tools may have a run.json, too.
        versions = read_json(self.path / RUN).get("versions")
        return (isinstance(versions, dict) and "rl2qc" in versions) or any(
            RECORD in folder.written() for folder in self.results()
        )

    def check_shared_files(self, formats: Container[str] = ()) -> None:
        """Refuse a folder in which another tool has files where a run has its own.

        Raises
        ------
        UsageError
            There is one, or something that is no file.
        """
        for place in (self.path / name for name in (*_SHARED, *reserved_names())):
            if place.exists() and not (place.is_file() or place.is_dir()):
                # Who writes to a pipe waits for a reader without end.
                raise UsageError(f"{place} is no file: move it away")
        taken = [name for name in _SHARED if (self.path / name).exists()]
        if taken and self.is_run():
            taken = []
        own = (self.path / name for name in (*_SHARED, LOCKS))
        if (away := leads_outside(self.path, own)) is not None:
            raise UsageError(f"{away} leads out of {self.path} by a link: nothing is written there")
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
        out = check_is_folder(self.path)
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
        """What ``run.json`` says; {} where it says nothing, or nothing that can be."""
        with suppress(WorkError):
            return self.check_manifest()
        return {}

    def check_manifest(self) -> dict[str, Any]:
        """What ``run.json`` says; {} without one.

        Raises
        ------
        WorkError
            It is damaged.
        """
        with suppress(FileNotFoundError):
            return read_file(self.path / RUN, ManifestFile).model_dump(exclude_unset=True)
        return {}

    def shown(self, setting: Any) -> Any:
        """A setting as ``run.json`` has it: a file as it is seen from the folder."""
        is_file = isinstance(setting, str | Path) and Path(setting).is_absolute()
        return self.naming.shown(setting) if is_file else setting

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
                told = self.naming.told(_manifest(describe(), rows), [row.path for row in rows])
                write_json(self.path / RUN, told)
                shown = [replace(row, path=self.naming.shown(row.path)) for row in rows]
                write_summary(self.path / SUMMARY, shown)
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
            trace = self.naming.text(trace, self.naming.places(row.path), [Path(row.path)])
            temporary.write_text(trace, encoding="utf-8", errors="backslashreplace")
        values = {**asdict(row), "path": self.naming.shown(row.path), "paths": FROM_RUN}
        write_json(self.path / FAILED / f"{row.name}.json", values)

    def clear_failure(self, name: str) -> None:
        """Remove what was written of an earlier failure."""
        for suffix in (".txt", ".json"):
            (self.path / FAILED / f"{name}{suffix}").unlink(missing_ok=True)


def _manifest(about: Mapping[str, Any], rows: Sequence[SummaryRow]) -> dict[str, Any]:
    """What is said of a run, with its inputs counted and their warnings as they are now."""
    inputs = tuple(f"{row.name}: " for row in rows)
    warnings = [said for said in about.get("warnings", ()) if not said.startswith(inputs)]
    warnings += [f"{row.name}: {warning}" for row in rows for warning in row.warnings]
    counts = {"all": len(rows), **Counter(row.status for row in rows)}
    return {**about, "inputs": counts, "warnings": warnings}


def _row_of(folder: ResultFolder) -> SummaryRow | None:
    """The row of a result; a failure where its record is damaged, None where it is not complete."""
    try:
        return row_from(folder.check_record().row)
    except WorkError as error:
        if not folder.is_damaged():
            return None
        said = f"{error}: run rl2qc filter again"
        return SummaryRow(folder.name, "slide", "failed", error=said)

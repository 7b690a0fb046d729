"""The folder of one result: what is known of it, and whose its files are.

A record is written last of all files of a result, so that one stands for a complete result: whose
it is, by which model, with which settings.

Results may lie in a folder that other tools use, under names that those use, too: only what rl2qc
wrote is replaced or removed. The record of a finished result lists its files. Those of one that is
under way are announced before they are written, in a journal that goes when the record is there:
at any moment it is known which are ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rl2qc.cohort.store.naming import Naming
from rl2qc.cohort.store.schema import RecordFile, read_file
from rl2qc.core.files import file_digest, read_json, write_json
from rl2qc.core.names import leads_outside, stays_inside
from rl2qc.errors import WorkError
from rl2qc.filtering.evidence import EVIDENCE
from rl2qc.filtering.exports.files import remove_exports
from rl2qc.filtering.exports.registry import Exportable, PlannedFile, plan_exports
from rl2qc.filtering.exports.tables import TILES

__all__ = [
    "ADVICE",
    "FAILURES",
    "FROM_RUN",
    "JOURNAL",
    "RECORD",
    "TEMPORARY",
    "Record",
    "ResultFolder",
]

RECORD, JOURNAL, FAILURES = "record.json", ".files.json", "failures.csv"
TEMPORARY = ".tmp-" + "[0-9a-f]" * 12 + "*"
"""What rl2qc.core.files calls a file that is not complete."""
_INCOMPLETE = "its files are not complete: run rl2qc filter again"
FROM_RUN = "run"
"""Says of a record that its paths are seen from the folder of the run."""
ADVICE = "choose another --out, or move it away"


@dataclass(frozen=True)
class Record:
    """The record of one finished input.

    Attributes
    ----------
    key
        "input" (:func:`rl2qc.cohort.job.identify`), "model" and "settings": equal keys, equal
        results.
    row
        Its row in ``summary.csv``.
    slide
        What its table of tiles says beside the columns of ``tiles.csv``.
    files
        Names of its files, as seen from its folder.
    tables
        Rows and hash of the files that are read again, by name; empty while they are rewritten.
    paths
        Where paths in the files start: at the folder of the run, or, "" in old results, at the
        folder that the run was started in.
    """

    key: dict[str, Any]
    row: dict[str, Any]
    slide: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    paths: str = FROM_RUN


@dataclass(frozen=True)
class ResultFolder:
    """The folder of one input's results.

    Parameters
    ----------
    path
        Where it is, or will be.
    """

    path: Path

    @property
    def name(self) -> str:
        """The name of the input."""
        return self.path.name

    # ------------------------------------------------------------ the record

    def read_record(self) -> Record | None:
        """The record; None without one, if it is damaged, or if one of its files is missing."""
        with suppress(WorkError):
            return self.check_record()
        return None

    def check_record(self) -> Record:
        """The record, whose input goes by the name of this folder, whatever it was called.

        Raises
        ------
        WorkError
            There is none, it is damaged, or one of its files is missing.
        """
        try:
            found = read_file(self.path / RECORD, RecordFile).model_dump(exclude_unset=True)
        except FileNotFoundError as error:
            raise WorkError(_INCOMPLETE) from error
        for part in ("row", "slide"):
            found[part]["name"] = self.name
        found["files"] = tuple(found["files"])
        if found.setdefault("paths", "") == FROM_RUN:
            for part in ("row", "slide"):
                place = Naming(self.path.parent).reached(found[part].get("path", ""))
                found[part]["path"] = str(place)
        record = Record(**{f.name: found[f.name] for f in fields(Record) if f.name in found})
        for name in record.files:
            file = self.path / name
            if not file.exists():
                raise WorkError(_INCOMPLETE)
            if not (file.is_file() or file.is_dir()):
                # A pipe would be waited for without end.
                raise WorkError(f"{name} is no file: move it away, and run rl2qc filter again")
        return record

    def is_damaged(self) -> bool:
        """Whether there is a record that says what cannot be."""
        try:
            read_file(self.path / RECORD, RecordFile)
        except FileNotFoundError:
            return False
        except WorkError:
            return True
        return False

    def write_record(self, record: Record) -> None:
        """Write the record; its files must all be there.

        Of a record without an alpha, whose table is being rewritten, no hash is known.
        """
        tables = {
            name: {"rows": record.row["tiles"], "sha256": file_digest(self.path / name)}
            for name in (TILES, EVIDENCE)
            if name in record.files and record.key["settings"].get("alpha") is not None
        }
        # Where a relative path of an old record leads is not known here: it stays as it is.
        known = record.paths == FROM_RUN or os.path.exists(record.row["path"])  # noqa: PTH110
        shown = Naming(self.path.parent).shown
        content = {
            "key": record.key,
            "row": {**record.row, "path": shown(record.row["path"])},
            "slide": {**record.slide, "path": shown(record.slide["path"])},
            "files": list(record.files),
            "tables": tables,
            "paths": FROM_RUN if known else "",
        }
        write_json(self.path / RECORD, content)

    def retract(self) -> None:
        """Remove the record, whose files remain ours."""
        if RECORD in self.written():
            self.announce(())
            (self.path / RECORD).unlink(missing_ok=True)

    # ------------------------------------------------------------ whose the files are

    def plan(
        self, table: Exportable, formats: Iterable[str], *, failures: bool = False
    ) -> list[PlannedFile]:
        """What is written for ``table``; ``failures``: some of it could not be read."""
        return [
            *plan_exports(table, self.path, formats),
            *([PlannedFile(self.path / FAILURES)] if failures else []),
            PlannedFile(self.path / RECORD),
        ]

    def written(self) -> frozenset[str]:
        """What we wrote or were about to write; names as seen from this folder."""
        # The journal first: what it lists moves on to the record.
        journal, record = read_json(self.path / JOURNAL), read_json(self.path / RECORD)
        files = _names(journal)
        if {"key", "row", "slide", "files"} <= record.keys():
            files += [RECORD, *_names(record)]
        # Only what lies in the folder of the run can be ours.
        return frozenset(name for name in files if stays_inside(Path("result", name)))

    def foreign(self, planned: Iterable[PlannedFile]) -> list[Path]:
        """What would be replaced and is not ours."""
        ours = self.written()
        others = (file for file in planned if self.called(file.path) not in ours)
        return [file.path for file in others if file.stands(file.path)]

    def refuse_foreign(self, planned: Iterable[PlannedFile]) -> None:
        """Refuse to write over a file that is not ours.

        Raises
        ------
        WorkError
            There is one.
        """
        planned = list(planned)
        if found := self.foreign(planned):
            raise WorkError(f"{found[0]} is a file that rl2qc did not write and keeps: {ADVICE}")
        paths = [self.path / JOURNAL, *(file.path for file in planned)]
        if away := leads_outside(self.path.parent, paths):
            raise WorkError(
                f"{away} leads out of {self.path.parent} by a link: nothing is written there"
            )

    def announce(self, planned: Iterable[PlannedFile]) -> None:
        """Say in the journal that these files are about to be written, and are ours from now on."""
        files = {self.called(file.path) for file in planned} | self.written()
        write_json(self.path / JOURNAL, {"files": sorted(files)})

    def settle(self) -> None:
        """Remove the journal: the record says as much."""
        (self.path / JOURNAL).unlink(missing_ok=True)

    def is_settled(self) -> bool:
        """Whether the journal says no more than the record beside it."""
        record = read_json(self.path / RECORD)
        listed = set(_names(read_json(self.path / JOURNAL)))
        return "files" in record and listed <= {*_names(record), RECORD}

    # ------------------------------------------------------------ what goes

    def clear(self) -> None:
        """Remove what we wrote, and nothing else."""
        # The record goes first: without it, nothing here counts as finished.
        self.retract()
        files = self.written()
        remove_exports(self.path, files)
        if FAILURES in files:
            (self.path / FAILURES).unlink(missing_ok=True)
        self.remove_temporary()
        # Last: killed before, all of this is done again.
        self.settle()

    def remove_temporary(self) -> None:
        """Remove what a process that was killed had under way here; the folder is locked."""
        for path in self.path.glob(TEMPORARY):
            path.unlink(missing_ok=True)

    def called(self, path: Path) -> str:
        """The name of a file as seen from this folder, as records and journals have it."""
        return os.path.relpath(path, self.path)


def _names(content: Mapping[str, Any]) -> list[str]:
    """The files that a record or a journal lists; none of one that lists no names."""
    listed = content.get("files")
    return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []

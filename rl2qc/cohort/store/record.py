"""The folder of one result: what is known of it, and whose its files are.

A record is written last of all files of a result, so that one stands for a complete result: whose
it is, by which model, with which settings.

Results may lie in a folder that other tools use, under names that those use, too: only what rl2qc
wrote is replaced or removed. The record of a finished result lists its files. Those of one that is
under way are announced before they are written, in a journal that goes when the record is there:
at any moment it is known which are ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl2qc.core.files import read_json, write_json
from rl2qc.errors import WorkError
from rl2qc.filtering.exports.files import remove_exports
from rl2qc.filtering.exports.registry import Exportable, PlannedFile, plan_exports

__all__ = ["ADVICE", "FAILURES", "JOURNAL", "RECORD", "TEMPORARY", "Record", "ResultFolder"]

RECORD, JOURNAL, FAILURES = "record.json", ".files.json", "failures.csv"
TEMPORARY = ".tmp-" + "[0-9a-f]" * 12 + "*"
"""What rl2qc.core.files calls a file that is not complete."""
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
    """

    key: dict[str, Any]
    row: dict[str, Any]
    slide: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()


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
        """The record; None without one, or if one of its files is missing."""
        try:
            content = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
            record = Record(
                content["key"], content["row"], content["slide"], tuple(content["files"])
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if all((self.path / name).exists() for name in record.files) else None

    def write_record(self, record: Record) -> None:
        """Write the record; its files must all be there."""
        content = {
            "key": record.key,
            "row": record.row,
            "slide": record.slide,
            "files": list(record.files),
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
        files = [*journal.get("files", ())]
        if {"key", "row", "slide", "files"} <= record.keys():
            files += [RECORD, *record["files"]]
        return frozenset(map(str, files))

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
        if found := self.foreign(planned):
            raise WorkError(f"{found[0]} is a file that rl2qc did not write and keeps: {ADVICE}")

    def announce(self, planned: Iterable[PlannedFile]) -> None:
        """Say in the journal that these files are about to be written, and are ours from now on."""
        files = {self.called(file.path) for file in planned} | self.written()
        write_json(self.path / JOURNAL, {"files": sorted(files)})

    def settle(self) -> None:
        """Remove the journal: the record says as much."""
        (self.path / JOURNAL).unlink(missing_ok=True)

    def is_settled(self) -> bool:
        """Whether the journal says no more than the record beside it."""
        files = read_json(self.path / RECORD).get("files")
        listed = set(read_json(self.path / JOURNAL).get("files", ()))
        return files is not None and listed <= {*files, RECORD}

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

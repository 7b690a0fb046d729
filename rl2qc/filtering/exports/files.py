"""The files of a table: planned, written in all formats at once, and removed."""

from __future__ import annotations

import glob
import os
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rl2qc.core.files import atomic_path
from rl2qc.filtering.exports.registry import (
    DEFAULT_FORMATS,
    FORMATS,
    Exportable,
    ExportedRun,
    ExportFormat,
)
from rl2qc.filtering.table import TileTable

__all__ = [
    "PlannedFile",
    "export",
    "finish_exports",
    "foreign_run_files",
    "plan_exports",
    "remove_exports",
    "reserved_names",
]

_THREADS = 2


@dataclass(frozen=True)
class PlannedFile:
    """A file or folder that is to be written, and the format that writes it (None: the run
    itself)."""

    path: Path
    format: ExportFormat | None = None

    @property
    def stands(self) -> bool:
        """Whether what would be replaced is there."""
        return self.format.stands(self.path) if self.format else os.path.lexists(self.path)


def plan_exports(table: Exportable, folder: Path, formats: Iterable[str]) -> list[PlannedFile]:
    """What :func:`export` writes, without a look at the table's tiles."""
    specs = [FORMATS.get(name) for name in formats]
    return [PlannedFile(s.path(table, folder), s) for s in specs if s.suits(table)]


def export(table: TileTable, folder: Path, formats: Iterable[str] = DEFAULT_FORMATS) -> list[Path]:
    """Write ``table`` in each of ``formats`` that suits it; the files' paths.

    Most lie in ``folder``; those that another tool looks for in a folder of all slides lie beside
    it, in ``folder.parent``.
    """

    def write(file: PlannedFile) -> Path:
        assert file.format is not None
        if file.format.sort is not None:
            file.format.write(table, file.path)
        else:
            with atomic_path(file.path) as path:
                file.format.write(table, path)
        return file.path

    # Most of the time goes into compressing pictures.
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="rl2qc-export") as pool:
        return list(pool.map(write, plan_exports(table, folder, formats)))


def finish_exports(run: ExportedRun, formats: Container[str]) -> None:
    """Write what some formats have once for all slides of a run.

    Called last, when all else is there. What a format wrote in an earlier run is brought up to
    date as well: it must not go on listing files that are no more.
    """
    for spec in FORMATS:
        if spec.finish is not None and (spec.name in formats or _is_ours(spec, run.path)):
            spec.finish(run)


def foreign_run_files(out: Path, formats: Container[str]) -> list[str]:
    """Names of files for the whole run that one of ``formats`` would replace and did not write."""
    return [
        spec.run_file
        for spec in FORMATS
        if spec.name in formats
        and spec.run_file is not None
        and os.path.lexists(out / spec.run_file)
        and not _is_ours(spec, out)
    ]


def _is_ours(spec: ExportFormat, out: Path) -> bool:
    return spec.is_ours is not None and spec.is_ours(out)


def reserved_names() -> frozenset[str]:
    """What formats have in the folder of a run beside the folders of its results."""
    names = {spec.run_file for spec in FORMATS if spec.run_file is not None}
    shared = (Path(spec.filename).parts[0] for spec in FORMATS if spec.shared)
    return frozenset(names | {first for first in shared if "{" not in first})


def remove_exports(folder: Path, written: Container[str]) -> None:
    """Remove what was written for the slide whose folder is ``folder``, and nothing else.

    Parameters
    ----------
    folder
        Other tools may have files of the same names there, and in the layouts beside it.
    written
        The files that are ours, by their names as seen from ``folder``; of these, those that are
        of no format stay.
    """
    name = glob.escape(folder.name)
    for spec in FORMATS:
        root = folder.parent if spec.shared else folder
        pattern = spec.filename.format(name=name, file=f"{name}*", place=spec.place_pattern)
        # A folder of pictures may be gone, and what belongs to it still be there.
        known = [root / pattern] if pattern == spec.filename else root.glob(pattern)
        for path in known:
            if os.path.relpath(path, folder) in written:
                spec.remove(path)

"""The files of a table: written in all formats at once, and removed."""

from __future__ import annotations

import glob
import os
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rl2qc.core.files import atomic_path
from rl2qc.filtering.exports.registry import (
    DEFAULT_FORMATS,
    FORMATS,
    ExportedRun,
    ExportFormat,
)
from rl2qc.filtering.table import TileTable

__all__ = [
    "export",
    "finish_exports",
    "remove_exports",
]

_THREADS = 2


def export(table: TileTable, folder: Path, formats: Iterable[str] = DEFAULT_FORMATS) -> list[Path]:
    """Write ``table`` in each of ``formats`` that suits it; the files' paths.

    Most lie in ``folder``; those that another tool looks for in a folder of all slides lie beside
    it, in ``folder.parent``.
    """

    def write(spec: ExportFormat) -> Path:
        final = spec.path(table, folder)
        if spec.sort is not None:
            spec.write(table, final)
        else:
            with atomic_path(final) as path:
                spec.write(table, path)
                if spec.carry is not None and final.exists():
                    spec.carry(final, path)
        return final

    specs = [FORMATS.get(name) for name in formats]
    # Most of the time goes into compressing pictures.
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="rl2qc-export") as pool:
        return list(pool.map(write, (spec for spec in specs if spec.suits(table))))


def finish_exports(run: ExportedRun, formats: Container[str]) -> None:
    """Write what some formats have once for all slides of a run.

    Called last, when all else is there. What a format wrote in an earlier run is brought up to
    date as well: it must not go on listing files that are no more.
    """
    for spec in FORMATS:
        if spec.finish is not None and (spec.name in formats or spec.owns_run_file(run.path)):
            spec.finish(run)


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

"""The formats by name; another format is another entry of :data:`FORMATS`."""

from __future__ import annotations

import glob
import importlib.util
import os
from collections.abc import Callable, Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rl2qc.core.files import atomic_path
from rl2qc.errors import UsageError
from rl2qc.filtering.exports.hdf5 import trident_folder, write_clam, write_trident
from rl2qc.filtering.exports.histoqc import (
    MASK_SUFFIX,
    has_results,
    write_results,
    write_use_mask,
)
from rl2qc.filtering.exports.overlay import write_overlay, write_thumbnail
from rl2qc.filtering.exports.qupath import write_geojson
from rl2qc.filtering.exports.tables import write_csv, write_parquet, write_wsinfer
from rl2qc.filtering.exports.tiles import remove_tiles, sort_tiles, write_tiles
from rl2qc.filtering.table import TileTable

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "RECORD_FORMATS",
    "ExportFormat",
    "check_formats",
    "export",
    "finish_exports",
    "parse_formats",
    "remove_exports",
]

DEFAULT_FORMATS = ("csv", "geojson", "overlay")
RECORD_FORMATS = ("csv", "thumbnail")
"""What a run always writes, since deciding again reads it."""

_THREADS = 2
_BOTH = frozenset({"slide", "patches"})
_SLIDE = frozenset({"slide"})


@dataclass(frozen=True)
class ExportFormat:
    """A file that a table is written to.

    Attributes
    ----------
    filename
        Its name in the folder of the slide; ``{name}`` and ``{trident}`` stand for the slide's
        name and TRIDENT's folder, and ``{name}*`` for the name of the slide's file.
    write
        Writes the table to the path given, which becomes the file when it is complete.
    kinds
        The kinds of tables that it makes sense for.
    shared
        Whether ``filename`` is seen from the folder of the run, in the layout that another tool
        expects, and not from that of the slide.
    needs
        The module that writes it and the extra that brings it, if it is no dependency.
    sort
        For a folder of pictures, in place of a file: brings it in line with a new decision without
        a look at the slide, and returns how many pictures are missing.
    """

    filename: str
    write: Callable[[TileTable, Path], None]
    kinds: frozenset[str] = _SLIDE
    shared: bool = False
    needs: tuple[str, str] | None = None
    sort: Callable[[TileTable, Path], int] | None = None

    def path(self, table: TileTable, folder: Path) -> Path:
        """Where the file of ``table`` lies, if ``folder`` is that of its slide."""
        name = _file_name(table) if "*" in self.filename else table.name
        template, trident = self.filename.replace("*", ""), _trident_folder(self, table)
        place = folder.parent if self.shared else folder
        return place / template.format(name=name, trident=trident)


def _file_name(table: TileTable) -> str:
    """That of the slide's file, suffix included; unlike it, it differs from that of any other
    slide of the run."""
    file, name = table.path, table.name
    return name if name.endswith(file.name) else name + file.suffix


def _trident_folder(kind: ExportFormat, table: TileTable) -> str:
    return trident_folder(table) if "{trident}" in kind.filename else ""


FORMATS: dict[str, ExportFormat] = {
    "csv": ExportFormat("tiles.csv", write_csv, _BOTH),
    "parquet": ExportFormat("tiles.parquet", write_parquet, _BOTH, needs=("pyarrow", "parquet")),
    "geojson": ExportFormat("tiles.geojson", write_geojson),
    "thumbnail": ExportFormat("thumbnail.png", write_thumbnail),
    "overlay": ExportFormat("overlay.png", write_overlay),
    "trident": ExportFormat(
        "{trident}/patches/{name}_patches.h5", write_trident, shared=True, needs=("h5py", "h5")
    ),
    "clam": ExportFormat("patches/{name}.h5", write_clam, shared=True, needs=("h5py", "h5")),
    "wsinfer": ExportFormat("model-outputs-csv/{name}.csv", write_wsinfer, shared=True),
    "histoqc": ExportFormat("{name}*/{name}*" + MASK_SUFFIX, write_use_mask, shared=True),
    "tiles": ExportFormat("tiles", write_tiles, sort=sort_tiles),
    "tiles-jpeg": ExportFormat(
        "tiles",
        partial(write_tiles, suffix=".jpg"),
        sort=partial(sort_tiles, suffix=".jpg"),
    ),
}
"""The formats by the name that the command line takes."""


def parse_formats(text: str) -> tuple[str, ...]:
    """The formats in a comma-separated list, each once.

    Raises
    ------
    UsageError
        A name that is unknown, none at all, or a format whose module is not installed.

    Examples
    --------
    >>> parse_formats("csv, geojson,csv")
    ('csv', 'geojson')
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError(f"--format needs at least one of {', '.join(FORMATS)}")
    check_formats(names)
    return names


def check_formats(names: Iterable[str]) -> None:
    """Refuse what cannot be written before any work is done.

    Raises
    ------
    UsageError
        A name that is unknown, or a format whose module is not installed.
    """
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"no format {name!r}: choose from {', '.join(FORMATS)}")
        needs = FORMATS[name].needs
        if needs is not None and importlib.util.find_spec(needs[0]) is None:
            module, extra = needs
            raise UsageError(f"format {name} needs {module}: pip install 'rl2qc[{extra}]'")


def export(table: TileTable, folder: Path, formats: Iterable[str] = DEFAULT_FORMATS) -> list[Path]:
    """Write ``table`` in each of ``formats`` that suits it; the files' paths.

    Most lie in ``folder``; those that another tool looks for in a folder of all slides lie beside
    it, in ``folder.parent``.
    """
    kinds = [FORMATS[name] for name in formats if table.kind in FORMATS[name].kinds]

    def write(kind: ExportFormat) -> Path:
        final = kind.path(table, folder)
        if kind.sort is not None:
            kind.write(table, final)
        else:
            with atomic_path(final) as path:
                kind.write(table, path)
        return final

    # Most of the time goes into compressing pictures.
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="rl2qc-export") as pool:
        return list(pool.map(write, kinds))


def finish_exports(out: Path, formats: Iterable[str]) -> None:
    """Write what some formats have once for all slides of the run in ``out``.

    Called last, when ``summary.csv`` and ``run.json`` are there.
    """
    # It must not go on listing masks that are no more.
    if "histoqc" in formats or has_results(out):
        write_results(out)


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
    for kind in FORMATS.values():
        if kind.sort is not None and kind.filename in written:
            for suffix in (".png", ".jpg"):
                remove_tiles(folder / kind.filename, suffix)
        elif kind.sort is None:
            place = folder.parent if kind.shared else folder
            pattern = kind.filename.format(name=name, trident="*x_*px_*px_overlap")
            for path in place.glob(pattern):
                if os.path.relpath(path, folder) in written:
                    path.unlink(missing_ok=True)

"""The formats that a table of tiles can be written in, by name.

A format is a module of this folder that registers an :class:`ExportFormat`; other packages bring
theirs by the entry point ``rl2qc.formats``, scripts call :func:`register_format`. To name them all
every module is imported: so a module imports large libraries where it uses them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rl2qc.core.arguments import check_path
from rl2qc.core.files import atomic_path
from rl2qc.core.names import inside
from rl2qc.core.registry import Extra, Registry
from rl2qc.errors import UsageError
from rl2qc.slides.files import named_file

__all__ = [
    "BOTH",
    "DEFAULT_FORMATS",
    "FORMATS",
    "SLIDES",
    "ExportFormat",
    "Exportable",
    "ExportedResult",
    "ExportedRun",
    "PlannedFile",
    "check_formats",
    "foreign_run_files",
    "parse_formats",
    "plan_exports",
    "register_format",
    "reserved_names",
    "with_brought",
    "write_format",
]

DEFAULT_FORMATS = ("csv", "geojson", "overlay")
"""What is written where nothing is asked for."""

SLIDES = frozenset({"slide"})
BOTH = frozenset({"slide", "patches"})


class Exportable(Protocol):
    """As much of a :class:`~rl2qc.filtering.table.TileTable` as says where its files lie."""

    @property
    def name(self) -> str:
        """Name of the slide or set."""

    @property
    def path(self) -> Path:
        """The slide, or the folder of the set."""

    @property
    def kind(self) -> str:
        """What it is: slide or patches."""

    @property
    def mpp(self) -> float | None:
        """Microns per pixel of its tiles."""

    @property
    def tile_size(self) -> int | None:
        """Side of a tile in px."""

    @property
    def overlap(self) -> int:
        """What neighbouring tiles share, in px."""

    @property
    def coords(self) -> dict[str, Any] | None:
        """Layout and attributes of the file that its tiles were taken from."""

    @property
    def maps(self) -> bool:
        """Whether it tells where in a tile something is."""

    @property
    def stretch(self) -> tuple[float, float]:
        """Pixels of the slide that a square one has across and down."""


@dataclass(frozen=True)
class ExportedResult:
    """What a run has of one input.

    Attributes
    ----------
    name
        The input's.
    files
        All that was written of it.
    table
        What its table says beside the columns.
    warnings
        What is said of it.
    """

    name: str
    files: tuple[Path, ...]
    table: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


class ExportedRun(Protocol):
    """What a format that writes for a run as a whole is given."""

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def started(self) -> str:
        """When it began, in ISO 8601; "" where that is not known."""

    def exported(self) -> Iterator[ExportedResult]:
        """What is there of each input, by name."""


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


@dataclass(frozen=True)
class ExportFormat:
    """A file that a table is written to, or a folder of pictures.

    Attributes
    ----------
    name
        What it is asked for by.
    filename
        Its name in the folder of the slide; ``{name}`` stands for the slide's name, ``{file}`` for
        that of its file, and ``{place}`` for what ``place`` says.
    write
        Writes the table to the path given, which becomes the file when it is complete; a folder
        (``sort``) is given itself.
    kinds, shared
        The kinds of tables that it makes sense for: :data:`SLIDES` or :data:`BOTH`; whether
        ``filename`` is seen from the folder of the run, in the layout that another tool expects.
    extra
        The module that writes it, and what brings that, if it is no dependency.
    maps, square
        Whether it shows where in a tile something is, which only tables with maps tell; whether it
        knows tiles alone that are square in pixels of the slide.
    always, decided
        Written whatever is asked for, since deciding again reads it; whether it shows the decision:
        what does not is not written again by another one.
    listed, brings
        Whether it is named where a person chooses; names of formats that are written with it.
    sort
        For a folder of pictures that are read from the slide: brings it in line with a new
        decision without a look at the slide, and returns how many pictures are missing.
    stands, remove, carry
        Whether what it would replace is at a path; removes what ``write`` wrote there; takes what
        others have added since to the new.
    place, place_pattern
        What ``{place}`` stands for, and a glob for any table's.
    finish, run_file, is_ours
        Writes a file once for a whole run, in its folder; the file's name; and whether the one
        that is there was written by ``finish``.
    order
        Its place in lists.

    Examples
    --------
    >>> def write(table, path):
    ...     path.write_text(f"{table.keep.sum()} of {len(table)}")
    >>> ExportFormat("count", "count.txt", write, kinds=BOTH).kinds == {"slide", "patches"}
    True
    """

    name: str
    filename: str
    write: Callable[[Any, Path], None]
    kinds: frozenset[str] = SLIDES
    shared: bool = False
    extra: Extra | None = None
    maps: bool = False
    square: bool = False
    always: bool = False
    decided: bool = True
    listed: bool = True
    brings: tuple[str, ...] = ()
    sort: Callable[[Any, Path], int] | None = None
    stands: Callable[[Path], bool] = os.path.lexists
    remove: Callable[[Path], None] = _unlink
    carry: Callable[[Path, Path], None] | None = None
    place: Callable[[Any], str] | None = None
    place_pattern: str = "*"
    finish: Callable[[ExportedRun], None] | None = None
    run_file: str | None = None
    is_ours: Callable[[Path], bool] | None = None
    order: int = 100

    def suits(self, table: Exportable) -> bool:
        """Whether a table of its kind and shape, with or without maps, can be written in it."""
        fits = (table.maps or not self.maps) and (table.stretch == (1.0, 1.0) or not self.square)
        return fits and table.kind in self.kinds

    def path(self, table: Exportable, folder: Path) -> Path:
        """Where the file of ``table`` lies, if ``folder`` is that of its results.

        Raises
        ------
        WorkError
            What the table is called, or came with, leads elsewhere.
        """
        file = named_file(table.name, table.path)
        place = self.place(table) if self.place is not None else ""
        root = folder.parent if self.shared else folder
        return inside(root, self.filename.format(name=table.name, file=file, place=place))

    def owns_run_file(self, out: Path) -> bool:
        """Whether the file for the whole run that is in ``out`` was written by ``finish``."""
        return self.is_ours is not None and self.is_ours(out)


FORMATS: Registry[ExportFormat] = Registry(
    "format", room="rl2qc.filtering.exports", group="rl2qc.formats"
)
"""All formats, by the name that the command line takes."""


def register_format(spec: ExportFormat, *, replace: bool = False) -> ExportFormat:
    """Add a format; see :class:`ExportFormat`.

    Raises
    ------
    UsageError
        There is one of that name.

    Examples
    --------
    >>> def write(table, path):
    ...     path.write_text(f"{table.keep.sum()} of {len(table)}")
    >>> _ = register_format(ExportFormat("count", "count.txt", write))
    >>> parse_formats("csv, count")
    ('csv', 'count')
    >>> FORMATS.unregister("count")
    """
    return FORMATS.register(spec, replace=replace)


@dataclass(frozen=True)
class PlannedFile:
    """A file or folder that is to be written; ``stands`` says of its path whether what would be
    replaced is there."""

    path: Path
    stands: Callable[[Path], bool] = os.path.lexists


def plan_exports(table: Exportable, folder: Path, formats: Iterable[str]) -> list[PlannedFile]:
    """What is written of ``table`` in these formats, without a look at its tiles."""
    specs = [FORMATS.get(name) for name in formats]
    return [PlannedFile(s.path(table, folder), s.stands) for s in specs if s.suits(table)]


def foreign_run_files(out: Path, formats: Container[str]) -> list[str]:
    """Names of files for the whole run that one of ``formats`` would replace and did not write."""
    return [
        spec.run_file
        for spec in FORMATS
        if spec.name in formats
        and spec.run_file is not None
        and os.path.lexists(out / spec.run_file)
        and not spec.owns_run_file(out)
    ]


def reserved_names() -> frozenset[str]:
    """What formats have in the folder of a run beside the folders of its results."""
    names = {spec.run_file for spec in FORMATS if spec.run_file is not None}
    shared = (Path(spec.filename).parts[0] for spec in FORMATS if spec.shared)
    return frozenset(names | {first for first in shared if "{" not in first})


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
        raise UsageError(f"--format needs at least one of {', '.join(FORMATS.names())}")
    check_formats(names)
    return with_brought(names)


def with_brought(names: Iterable[str]) -> tuple[str, ...]:
    """The formats with those that they bring, each once.

    >>> with_brought(["csv", "csv"])
    ('csv',)
    """
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys((name, *with_brought(FORMATS.get(name).brings)))
    return tuple(found)


def check_formats(names: Iterable[str]) -> None:
    """Refuse what cannot be written before any work is done.

    Raises
    ------
    UsageError
        A name that is unknown, or a format whose module is not installed.
    """
    for name in names:
        extra = FORMATS.get(name).extra
        if extra is not None:
            extra.require(f"format {name}")


def write_format(name: str, table: Exportable, path: str | Path) -> None:
    """Write a table in one format to a file of any name, whole or not at all.

    Raises
    ------
    ValueError
        A table that the format makes no sense for.
    UsageError
        There is no such format, or its module is not installed.
    """
    spec = FORMATS.get(name)
    check_formats([name])
    if not spec.suits(table):
        lacks = "without a map" if spec.maps else "whose pixels are not square"
        what = table.kind if table.kind not in spec.kinds else f"{table.kind} {lacks}"
        raise ValueError(f"{table.name}: {what} cannot be written as {name}")
    with atomic_path(check_path("path", path)) as temporary:
        spec.write(table, temporary)

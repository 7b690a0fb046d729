"""What reads slides: the contract of a reader, and which reader a file is for.

A reader is a module of this folder that registers a :class:`ReaderSpec`; other packages bring
theirs by the entry point ``rl2qc.readers``, scripts call :func:`register_reader`. Every slide, for
whatever use, is opened by :func:`open_slide`: the one place for what all readers need around them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rl2qc.core.apart import is_apart
from rl2qc.core.arguments import Interval, check
from rl2qc.core.registry import Extra, Registry
from rl2qc.core.text import one_line
from rl2qc.errors import Rl2qcError, SlideError
from rl2qc.images.resolution import PLAUSIBLE_MPP
from rl2qc.images.sources.placeholders import is_regular, why_unreadable
from rl2qc.slides.readers.contract import (
    OpensSlides,
    Overview,
    ReaderDied,
    ReadsAhead,
    Region,
    SharedCache,
    SlideReader,
)
from rl2qc.slides.readers.isolated import IsolatedReader
from rl2qc.slides.readers.squared import OpensSquared
from rl2qc.slides.scenes import scene_path, split_scene

__all__ = [
    "READERS",
    "Overview",
    "ReaderDied",
    "ReaderSpec",
    "ReadsAhead",
    "Region",
    "SharedCache",
    "SlideReader",
    "is_ambiguous",
    "is_kept_beside",
    "is_slide",
    "is_slide_folder",
    "may_be_slide",
    "open_slide",
    "reader_of",
    "register_reader",
    "scenes_of",
]


def _never(path: Path) -> bool:
    return False


def _one(path: Path) -> int:
    return 1


def _itself(path: Path) -> list[Path]:
    return [path]


@dataclass(frozen=True)
class ReaderSpec:
    """A reader of slides.

    Attributes
    ----------
    name
        What it is called.
    open
        Opens a slide; imports what it needs when it is called.
    suffixes
        Ends of the names of files that are slides for it, whatever is in them; lower case, with
        the dot.
    ambiguous
        Ends that images of patches have, too: ``sniff`` tells.
    sniff
        Whether a file or folder is for it; asked where no suffix tells.
    files
        All files of a slide, for formats that spread one over many.
    folders
        Ends of the names of folders that are one slide each.
    beside
        Whether a folder of such a name is no slide but what a tool keeps beside slides.
    scenes
        How many slides a file holds; each is opened by a path of its own
        (:mod:`rl2qc.slides.scenes`).
    extra
        The module that it needs, and the extra that brings it.
    versions
        Versions of the libraries that pixels depend on, for the record.
    may_crash
        Whether a hostile file may end the process in its library.
    last_resort
        Takes what is for nobody, to say what is wrong with it.
    order
        Of two readers for one suffix, the one of the lower order opens it.

    Examples
    --------
    >>> def open_toy(path, *, mpp_override, icc, cache):
    ...     raise NotImplementedError
    >>> ReaderSpec("toy", open_toy, suffixes=frozenset({".toy"})).may_crash
    False
    """

    name: str
    open: OpensSlides
    suffixes: frozenset[str] = frozenset()
    ambiguous: frozenset[str] = frozenset()
    sniff: Callable[[Path], bool] = _never
    files: Callable[[Path], list[Path]] = _itself
    folders: frozenset[str] = frozenset()
    beside: Callable[[Path], bool] = _never
    scenes: Callable[[Path], int] = _one
    extra: Extra | None = None
    versions: Callable[[], Mapping[str, str]] = field(default=dict)
    may_crash: bool = False
    last_resort: bool = False
    order: int = 10


READERS: Registry[ReaderSpec] = Registry(
    "slide reader", room="rl2qc.slides.readers", group="rl2qc.readers"
)
"""All readers of slides, by name."""


def register_reader(spec: ReaderSpec, *, replace: bool = False) -> ReaderSpec:
    """Add a reader of slides; see :class:`ReaderSpec`.

    Raises
    ------
    UsageError
        There is one of that name.

    Examples
    --------
    >>> def open_toy(path, *, mpp_override, icc, cache):
    ...     raise NotImplementedError
    >>> _ = register_reader(ReaderSpec("toy", open_toy, suffixes=frozenset({".toy"})))
    >>> reader_of(Path("a.toy")).name
    'toy'
    >>> READERS.unregister("toy")
    """
    return READERS.register(spec, replace=replace)


def is_slide(path: Path) -> bool:
    """Whether a file is for a reader of slides rather than an image of one patch."""
    return _claimed(path) is not None


def may_be_slide(path: Path) -> bool:
    """Whether a file is for a reader of slides, or could be by its name."""
    return is_ambiguous(path) or is_slide(path)


def is_slide_folder(path: Path) -> bool:
    """Whether a folder is one slide by its name."""
    suffix = path.suffix.lower()
    return bool(suffix) and any(suffix in spec.folders for spec in READERS)


def is_kept_beside(path: Path) -> bool:
    """Whether a folder has the name of a slide, and is what a tool keeps beside slides."""
    return is_slide_folder(path) and path.is_dir() and any(s.beside(path) for s in READERS)


def scenes_of(path: Path) -> list[Path]:
    """The slides in a file or folder; itself where there is one."""
    if split_scene(path)[1] is not None:
        return [path]
    count = reader_of(path).scenes(path)
    return [scene_path(path, i) for i in range(count)] if count > 1 else [path]


def is_ambiguous(path: Path) -> bool:
    """Whether the name alone does not tell a slide from an image of a patch."""
    suffix = path.suffix.lower()
    return any(suffix in spec.ambiguous for spec in READERS)


def reader_of(path: Path) -> ReaderSpec:
    """The reader for a file or folder; for what nobody knows, the one that says why.

    Examples
    --------
    >>> reader_of(Path("case.svs")).name
    'openslide'
    """
    return _claimed(path) or next(spec for spec in READERS if spec.last_resort)


def open_slide(
    path: str | Path,
    *,
    mpp_override: float | None = None,
    icc: bool = False,
    cache: SharedCache | None = None,
    reader: str | None = None,
) -> SlideReader:
    """Open a slide by the reader that its name or its content asks for, in square pixels.

    Parameters
    ----------
    path
        A slide file, or a folder of one slide.
    mpp_override
        Microns per pixel at level 0, in place of what the slide records.
    icc
        Take colours through the slide's ICC profile to sRGB.
    cache
        For decoded blocks, shared by several slides; None gives this one a cache of its own.
    reader
        The name of another reader.

    Raises
    ------
    SlideError
        A file that cannot be read, or a slide without a resolution.
    UsageError
        There is no reader of that name, or its module is not installed.

    Examples
    --------
    >>> open_slide("nothing.svs")
    Traceback (most recent call last):
    rl2qc.errors.SlideError: nothing.svs cannot be opened as a slide: no such file
    """
    path = Path(check("path", path, str | Path))
    check("mpp_override", mpp_override, float | None, within=Interval(*PLAUSIBLE_MPP, unit="um/px"))
    check("icc", icc, bool)
    # A pipe would be waited for without end, and a pointer is no slide.
    file, _ = split_scene(path)
    if not file.is_dir() and (reason := why_unreadable(file)):
        raise SlideError(f"{path} cannot be opened as a slide: it {reason}")
    spec = reader_of(path) if reader is None else READERS.get(reader)
    if spec.extra is not None:
        spec.extra.require(f"reading {path.name}")
    opens = OpensSquared(spec.open)
    try:
        if spec.may_crash and is_apart():
            return IsolatedReader(opens, path, mpp_override=mpp_override, icc=icc, cache=cache)
        return opens(path, mpp_override=mpp_override, icc=icc, cache=cache)
    except (Rl2qcError, ImportError):
        raise
    # Whatever a damaged file brings about in a library.
    except Exception as error:
        raise SlideError(f"{path} cannot be opened as a slide: {one_line(error)}") from error


def _claimed(path: Path) -> ReaderSpec | None:
    file, _ = split_scene(path)
    if not is_regular(file) and not file.is_dir() and file.exists():
        return None
    suffix = file.suffix.lower()
    of_name = [s for s in READERS if suffix in (s.folders if file.is_dir() else s.suffixes)]
    # Of two, the one whose library is there.
    named = next((s for s in of_name if s.extra is None or s.extra.installed), None)
    named = named or next(iter(of_name), None)
    return named or next((spec for spec in READERS if spec.sniff(path)), None)

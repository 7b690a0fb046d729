"""What reads slides: the contract of a reader, and which reader a file is for.

A reader is a module of this folder that registers a :class:`ReaderSpec`; other packages bring
theirs by the entry point ``rl2qc.readers``, scripts call :func:`register_reader`. Every slide, for
whatever use, is opened by :func:`open_slide`: the one place for what all readers need around them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.registry import Extra, Registry
from rl2qc.errors import SlideError
from rl2qc.images.sources.placeholders import is_regular, why_unreadable
from rl2qc.slides.info import SlideInfo

__all__ = [
    "READERS",
    "Overview",
    "ReaderSpec",
    "Region",
    "SharedCache",
    "SlideReader",
    "is_ambiguous",
    "is_slide",
    "may_be_slide",
    "open_slide",
    "reader_of",
    "register_reader",
]


@dataclass(frozen=True)
class Region:
    """Pixels of a slide: ``rgb`` (h, w, 3) uint8 on the background colour; ``valid`` in [0, 1]
    is the share of them that was scanned."""

    rgb: NDArray[np.uint8]
    valid: float


@dataclass(frozen=True)
class Overview:
    """The scanned part of a slide at low resolution.

    Attributes
    ----------
    rgb
        (h, w, 3) uint8, area averages.
    valid
        (h, w) float32, the share of each pixel that was scanned.
    readable
        (h, w) bool, False where the file could not be read.
    downsample
        Level-0 px per pixel in x and in y.
    """

    rgb: NDArray[np.uint8]
    valid: NDArray[np.float32]
    readable: NDArray[np.bool_]
    downsample: tuple[float, float]


class SlideReader(Protocol):
    """An open slide. Threads share it, and it pickles: as its path, say, to be opened again.

    Examples
    --------
    >>> import tempfile
    >>> from rl2qc.synthetic.slide import write_pyramid
    >>> path = Path(tempfile.mkdtemp()) / "slide.tiff"
    >>> write_pyramid(path, np.full((512, 768, 3), 240, np.uint8), mpp=0.5)
    >>> with open_slide(path) as slide:
    ...     slide.info.mpp, slide.read_region(0, 0, (64, 32)).rgb.shape
    (0.5, (32, 64, 3))
    """

    @property
    def info(self) -> SlideInfo:
        """What the slide says about itself."""

    def read_region(
        self, x: int, y: int, size: tuple[int, int], *, level: int = 0, scale: float = 1.0
    ) -> Region:
        """Read the region whose top left corner is (x, y) at level 0.

        Parameters
        ----------
        x, y
            In level-0 px; what lies outside the slide is background.
        size
            Width and height of the result in px.
        level
            The level to read from.
        scale
            Pixels of the level per pixel of the result; 1 reads without resampling.

        Raises
        ------
        SlideError
            The file is damaged there. The reader stays usable.
        """

    def read_overview(self, downsample: float) -> Overview:
        """Read the scanned part (``info.bounds``) at about ``downsample`` level-0 px per pixel.

        Raises
        ------
        SlideError
            Nothing of it can be read.
        """

    def close(self) -> None:
        """Release the file."""

    def __enter__(self) -> Self:
        """The slide itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""


class SharedCache:
    """What the readers of several slides share, each reader a thing of its own.

    Examples
    --------
    >>> cache = SharedCache()
    >>> cache.get("blocks", list) is cache.get("blocks", list)
    True
    """

    def __init__(self) -> None:
        self._lock, self._held = threading.Lock(), dict[Hashable, Any]()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is held for ``key``, made on first use."""
        with self._lock:
            if key not in self._held:
                self._held[key] = make()
            return self._held[key]


class OpensSlides(Protocol):
    """Opens a slide; see :func:`open_slide`."""

    def __call__(
        self, path: Path, *, mpp_override: float | None, icc: bool, cache: SharedCache | None
    ) -> SlideReader:
        """The slide, or SlideError with the reason in one line."""


def _never(path: Path) -> bool:
    return False


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
) -> SlideReader:
    """Open a slide by the reader that its name or its content asks for.

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

    Raises
    ------
    SlideError
        A file that cannot be read, or a slide without a resolution.
    UsageError
        The reader's module is not installed.

    Examples
    --------
    >>> open_slide("nothing.svs")
    Traceback (most recent call last):
    rl2qc.errors.SlideError: nothing.svs cannot be opened as a slide: no such file
    """
    path = Path(path)
    # A pipe would be waited for without end, and a pointer is no slide.
    if not path.is_dir() and (reason := why_unreadable(path)):
        raise SlideError(f"{path} cannot be opened as a slide: it {reason}")
    spec = reader_of(path)
    if spec.extra is not None:
        spec.extra.require(f"reading {path.name}")
    return spec.open(path, mpp_override=mpp_override, icc=icc, cache=cache)


def _claimed(path: Path) -> ReaderSpec | None:
    if not is_regular(path) and not path.is_dir() and path.exists():
        return None
    suffix = path.suffix.lower()
    named = next((spec for spec in READERS if suffix in spec.suffixes), None)
    return named or next((spec for spec in READERS if spec.sniff(path)), None)

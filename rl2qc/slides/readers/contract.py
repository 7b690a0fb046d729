"""What a reader of slides gives: the contract, without the readers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import SlideError
from rl2qc.slides.info import SlideInfo

__all__ = [
    "OpensSlides",
    "Overview",
    "ReaderDied",
    "ReadsAhead",
    "Region",
    "SharedCache",
    "SlideReader",
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
    >>> from rl2qc.slides.readers.base import open_slide
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


class ReaderDied(SlideError):
    """A slide killed the process that reads it, twice; there is no use in trying again."""


@runtime_checkable
class ReadsAhead(Protocol):
    """A reader that likes to know what it will be asked for."""

    def expect(
        self,
        corners: NDArray[np.int64],
        size: tuple[int, int],
        *,
        level: int,
        scale: float,
        workers: int,
        window: int,
    ) -> None:
        """Regions that will be asked for in this order, by ``workers`` threads, each once, up to
        ``window`` ahead; see :meth:`SlideReader.read_region`."""


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

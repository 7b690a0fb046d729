"""A slide reader around another one, which is open in a process that may die.

Of tiles that are announced (:meth:`IsolatedReader.expect`), whole batches are read ahead there; any
other region is a call of its own.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.ahead import Ahead
from rl2qc.core.apart import TRIES, Call, Died, Helper, give, helper, take
from rl2qc.core.closing import Closing
from rl2qc.errors import SlideError
from rl2qc.slides.info import SlideInfo
from rl2qc.slides.readers.contract import (
    OpensSlides,
    Overview,
    ReaderDied,
    Region,
    SharedCache,
    SlideReader,
)

__all__ = ["IsolatedReader"]

# Slides that a helper has open, as many as a dataset has.
_OPEN_SLIDES = 16

_numbers = count()


@dataclass(frozen=True)
class _Slide:
    """What opens a slide in a helper; ``number`` tells open ones apart."""

    open: OpensSlides
    path: Path
    mpp_override: float | None
    icc: bool
    number: int = field(default_factory=lambda: next(_numbers))


class _Lease:
    """A helper as long as somebody holds this."""

    def __init__(self) -> None:
        self.helper: Helper = take()
        weakref.finalize(self, give, self.helper)


class IsolatedReader(Closing):
    """A :class:`~rl2qc.slides.readers.contract.SlideReader` whose work is done in a helper.

    If that dies, it is started again; a slide that kills it twice is given up.

    Parameters
    ----------
    open
        Opens the slide there.
    path, mpp_override, icc, cache
        As in :func:`~rl2qc.slides.readers.base.open_slide`; readers of one cache share a helper.

    Raises
    ------
    SlideError
        What the reader says against the slide.
    ReaderDied
        The slide killed its process twice.
    """

    def __init__(
        self,
        open: OpensSlides,
        path: Path,
        *,
        mpp_override: float | None = None,
        icc: bool = False,
        cache: SharedCache | None = None,
    ) -> None:
        self._slide = _Slide(open, path, mpp_override, icc)
        self._cache = cache
        self._lock = threading.Lock()
        self._lease: _Lease | None = None
        self._ahead: Ahead[_Asked, Region] | None = None
        self._deaths: set[int] = set()
        self._gave_up = ""
        self.info: SlideInfo = self._call(_info)

    def __reduce__(self) -> tuple[object, ...]:
        slide = self._slide
        return _reopen, (slide.open, slide.path, slide.mpp_override, slide.icc)

    def close(self) -> None:
        """Release the file; a later read opens it again."""
        with self._lock:
            lease, self._lease, self._ahead = self._lease, None, None
        if lease is not None:
            with suppress(Died):
                lease.helper.submit(_close, self._slide.number).result()

    def read_region(
        self, x: int, y: int, size: tuple[int, int], *, level: int = 0, scale: float = 1.0
    ) -> Region:
        """See :meth:`rl2qc.slides.readers.contract.SlideReader.read_region`."""
        ahead = self._ahead
        if ahead is not None:
            found = ahead.take((x, y, size, level, scale))
            if found is not None:
                return found
        region: Region = self._call(_read_region, x, y, size, level, scale)
        return region

    def read_overview(self, downsample: float) -> Overview:
        """See :meth:`rl2qc.slides.readers.contract.SlideReader.read_overview`."""
        overview: Overview = self._call(_read_overview, downsample)
        return overview

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
        """See :meth:`rl2qc.slides.readers.contract.ReadsAhead.expect`."""
        asked = [(x, y, size, level, scale) for x, y in corners.tolist()]

        def submit(some: list[_Asked]) -> Call:
            return self.submit(_read_regions, some, workers)

        def died(died: Died, some: list[_Asked]) -> None:
            self.note(died, alone=False)

        self._ahead = Ahead(asked, submit, window, died)

    def submit(self, function: Callable[..., Any], *args: Any) -> Call:
        """Have something done with the slide."""
        with self._lock:
            if self._gave_up:
                raise ReaderDied(self._gave_up)
            if self._lease is None:
                shared = self._cache
                self._lease = _Lease() if shared is None else shared.get(__name__, _Lease)
            lease = self._lease
        return lease.helper.submit(function, self._slide, *args)

    def note(self, died: Died, *, alone: bool) -> None:
        """Take note that the process died; ``alone`` with this slide, and it was tried before.

        Raises
        ------
        ReaderDied
            That was once too often.
        """
        with self._lock:
            if self._cache is None:
                self._deaths.add(died.process)
            if alone or len(self._deaths) >= TRIES:
                self._gave_up = (
                    f"{self._slide.path} killed the process that reads it twice "
                    f"({died.signal}): it is damaged, or takes more memory than there is"
                )
                raise ReaderDied(self._gave_up)

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return self.submit(function, *args).result()
        except MemoryError:
            raise SlideError(
                f"{self._slide.path} cannot be read: it is damaged, or takes more memory than "
                "there is"
            ) from None
        except Died as died:
            self.note(died, alone=False)
        # Others may have been at work in that process: alone, it is clear whose fault it is.
        try:
            with helper() as mine:
                return mine.submit(function, self._slide, *args).result()
        except Died as died:
            self.note(died, alone=True)
            raise


_Asked: TypeAlias = tuple[int, int, tuple[int, int], int, float]


def _reopen(open: OpensSlides, path: Path, mpp_override: float | None, icc: bool) -> IsolatedReader:
    return IsolatedReader(open, path, mpp_override=mpp_override, icc=icc)


# ------------------------------------------------------------ in the helper

_readers: OrderedDict[int, SlideReader] = OrderedDict()
_shared = SharedCache()
_pools: dict[int, ThreadPoolExecutor] = {}


def _reader(slide: _Slide) -> SlideReader:
    if slide.number not in _readers:
        _readers[slide.number] = slide.open(
            slide.path, mpp_override=slide.mpp_override, icc=slide.icc, cache=_shared
        )
        if len(_readers) > _OPEN_SLIDES:
            _readers.popitem(last=False)[1].close()
    _readers.move_to_end(slide.number)
    return _readers[slide.number]


def _close(number: int) -> None:
    reader = _readers.pop(number, None)
    if reader is not None:
        reader.close()


def _info(slide: _Slide) -> SlideInfo:
    return _reader(slide).info


def _read_overview(slide: _Slide, downsample: float) -> Overview:
    return _reader(slide).read_overview(downsample)


def _read_region(
    slide: _Slide, x: int, y: int, size: tuple[int, int], level: int, scale: float
) -> Region:
    return _reader(slide).read_region(x, y, size, level=level, scale=scale)


def _read_regions(slide: _Slide, asked: list[_Asked], workers: int) -> list[Region | SlideError]:
    reader = _reader(slide)

    def attempt(one: _Asked) -> Region | SlideError:
        x, y, size, level, scale = one
        try:
            return reader.read_region(x, y, size, level=level, scale=scale)
        except SlideError as error:
            return error

    if workers not in _pools:
        _pools[workers] = ThreadPoolExecutor(workers)
    return list(_pools[workers].map(attempt, asked))

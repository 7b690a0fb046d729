"""Pictures in files, decoded some batches ahead of whoever asks for them."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rl2qc.core.ahead import Ahead
from rl2qc.core.apart import Call, Died, give, is_apart, take
from rl2qc.errors import ImageError
from rl2qc.images.sources.base import read_with_about
from rl2qc.images.sources.decode import read_picture
from rl2qc.images.sources.files import are_files
from rl2qc.images.sources.images import About, Image

__all__ = ["PicturesAhead"]


class PicturesAhead:
    """Images by name, in the order in which they will be asked for.

    Pictures in files are decoded in a helper, many in a call; all others, and what is asked for out
    of turn, when it is asked for. Threads may share one.

    Parameters
    ----------
    names
        As results and sources have them.
    workers
        Threads that decode.
    window
        How many are read ahead.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import PIL.Image
    >>> files = [Path(tempfile.mkdtemp()) / f"{i}.png" for i in range(3)]
    >>> for i, file in enumerate(files):
    ...     PIL.Image.new("L", (8, 8), i).save(file)
    >>> ahead = PicturesAhead(files, workers=2, window=16)
    >>> [ahead.read(file)[0].max().item() for file in files]
    [0, 1, 2]
    """

    def __init__(self, names: Sequence[Path], *, workers: int, window: int) -> None:
        self._ahead: Ahead[Path, tuple[Image, About]] | None = None
        files = [name for name in names if are_files(name)] if is_apart() else []
        if not files:
            return
        helper = take()
        weakref.finalize(self, give, helper)

        def submit(some: list[Path]) -> Call:
            return helper.submit(_decode, some, workers)

        def died(died: Died, some: list[Path]) -> list[tuple[Image, About] | Exception]:
            # Each alone, so that it is clear which of them it was.
            return [_attempt(name) for name in some]

        self._ahead = Ahead(files, submit, window, died)

    def read(self, name: Path) -> tuple[Image, About | None]:
        """:func:`~rl2qc.images.sources.base.read_with_about`."""
        found = None if self._ahead is None else self._ahead.take(name)
        return read_with_about(name) if found is None else found


def _attempt(name: Path) -> tuple[Image, About] | Exception:
    try:
        return read_picture(name)
    except ImageError as error:
        return error


# ------------------------------------------------------------ in the helper

_pools: dict[int, ThreadPoolExecutor] = {}


def _decode(names: list[Path], workers: int) -> list[tuple[Image, About] | Exception]:
    if workers not in _pools:
        _pools[workers] = ThreadPoolExecutor(workers)
    return list(_pools[workers].map(_attempt, names))

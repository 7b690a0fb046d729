"""Pictures in files, decoded some batches ahead of whoever asks for them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from rl2qc.core.ahead import CHUNK, Ahead
from rl2qc.core.apart import Call, Died, give, is_apart, take
from rl2qc.errors import ImageError
from rl2qc.images.sources.base import PatchSource, read_with_about
from rl2qc.images.sources.decode import read_picture
from rl2qc.images.sources.files import Files, are_files
from rl2qc.images.sources.images import About, Image, Images

__all__ = ["PicturesAhead", "all_patches"]

# Threads that decode the files of a set.
_WORKERS = 2


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
    are_files
        Of which names it is true that they are pictures in files; by default each is asked.

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

    def __init__(
        self,
        names: Sequence[Path],
        *,
        workers: int,
        window: int,
        are_files: Callable[[Path], bool] = are_files,
    ) -> None:
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


def all_patches(source: PatchSource) -> Image:
    """All patches of a source, (n, size, size, 3) uint8; of files, many are decoded in a call.

    Raises
    ------
    ImageError
        One of them cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> all_patches(PatchSource(np.zeros((2, 80, 96, 3), np.uint8), 64, ("a", "b"))).shape
    (2, 64, 64, 3)
    """
    if isinstance(source.items, Files):
        source = replace(source, items=_FilesAhead(source.items.paths))
    return np.stack([source[row] for row in range(len(source))])


class _FilesAhead(Images):
    """Images in files that will be asked for in their order."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._ahead = PicturesAhead(
            paths, workers=_WORKERS, window=2 * CHUNK, are_files=lambda path: True
        )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Image:
        return self._ahead.read(self._paths[index])[0]


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

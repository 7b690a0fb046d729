"""Memory that two processes share, for what is too large to go through a pipe."""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np

__all__ = ["Block", "Packed", "pack", "unpack"]

# What is smaller goes through the pipe.
_SMALLEST = 2**15
_ALIGNED = 64
# Memory, where the system offers some as files.
_PLACE = "/dev/shm"


class Block:
    """Memory that a process makes and another one opens by its name.

    Who opens it takes the name away, so that nothing is left behind, whoever dies.

    Parameters
    ----------
    size
        Bytes. They are reserved: to write where there are none left would kill the writer.

    Raises
    ------
    OSError
        There is no room.
    """

    def __init__(self, size: int) -> None:
        place = _PLACE if os.access(_PLACE, os.W_OK) else None
        if os.name != "posix":
            raise OSError("files that are open keep their names here")
        number, self.path = tempfile.mkstemp(prefix="rl2qc-", dir=place)
        # If nobody opened it.
        weakref.finalize(self, _forget, self.path)
        with os.fdopen(number, "w+b") as file:
            file.write(bytes(size))
            file.flush()
            self.memory = mmap.mmap(number, size)
        self.size = size

    @staticmethod
    def opened(path: str) -> mmap.mmap:
        """The memory of another process's block, which has no name from now on."""
        with Path(path).open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        _forget(path)
        return memory


def _forget(path: str) -> None:
    with suppress(OSError):
        Path(path).unlink()


class Packed(tuple[bytes, tuple[tuple[int, int], ...], int]):
    """A value whose large arrays lie in a block: the rest of it, where they lie, and the bytes
    that a block needs to hold all of them."""

    __slots__ = ()


def pack(value: Any, memory: mmap.mmap | None) -> Packed:
    """Write the large arrays of a value to memory; what finds no room goes with the rest.

    Examples
    --------
    >>> import numpy as np
    >>> block = Block(2**20)
    >>> packed = pack([np.ones((200, 200), np.float32), "a"], block.memory)
    >>> len(packed[0]) < 1000, unpack(packed, block.memory)[0].sum()
    (True, np.float32(40000.0))
    """
    size = 0 if memory is None else len(memory)
    places: list[tuple[int, int]] = []
    end = needed = 0

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        nonlocal end, needed
        with buffer.raw() as raw:
            count = raw.nbytes
            if count < _SMALLEST:
                return True
            space = -(-count // _ALIGNED) * _ALIGNED
            needed += space
            if memory is None or end + space > size:
                return True
            memory[end : end + count] = raw
        places.append((end, count))
        end += space
        return False

    rest = pickle.dumps(value, protocol=5, buffer_callback=keep_in_band)
    return Packed((rest, tuple(places), needed))


def unpack(packed: Sequence[Any], memory: mmap.mmap | None) -> Any:
    """The value, its arrays copied: the memory is free again."""
    rest, places, _ = packed
    arrays = [
        np.frombuffer(cast(mmap.mmap, memory), np.uint8, count, start).copy()
        for start, count in places
    ]
    return pickle.loads(rest, buffers=arrays)

"""Work in a helper some batches ahead of whoever asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from rl2qc.core.apart import Call, Died

__all__ = ["CHUNK", "Ahead"]

CHUNK = 16
"""Items a call: of fewer, the way there and back would count."""

Item = TypeVar("Item", bound=Hashable)
Result = TypeVar("Result")


class _Chunk(Generic[Item, Result]):
    """Some items that are done in one call."""

    def __init__(self, items: list[Item], call: Call) -> None:
        self.items, self.call = items, call
        self.lock = threading.Lock()
        self.results: list[Result | Exception] | None = None
        self.left = len(items)


class Ahead(Generic[Item, Result]):
    """Items that will be asked for in this order, each done before.

    Threads may share one.

    Parameters
    ----------
    items
        What will be asked for.
    submit
        Has a list of items done in a helper: the call gives a result for each, or what was raised.
    window
        How many are done ahead.
    died
        Told when the helper died of some items: gives their results in another way, or None to have
        everything under way done by a new helper, or raises.

    Examples
    --------
    >>> from rl2qc.core.apart import Helper
    >>> helper = Helper()
    >>> ahead = Ahead([-1, -2, -3], lambda items: helper.submit(sorted, items), 2, lambda *_: None)
    >>> ahead.take(-1), ahead.take(5)
    (-3, None)
    >>> helper.close()
    """

    def __init__(
        self,
        items: Sequence[Item],
        submit: Callable[[list[Item]], Call],
        window: int,
        died: Callable[[Died, list[Item]], list[Result | Exception] | None],
    ) -> None:
        self._items, self._do, self._died = items, submit, died
        self._window = max(2, -(-window // CHUNK))
        self._places = {item: place for place, item in enumerate(items)}
        self._chunks: dict[int, _Chunk[Item, Result]] = {}
        self._next = 0
        self._lock = threading.Lock()

    def take(self, item: Item) -> Result | None:
        """The result of an item, once; None of others. Raises what doing it raised."""
        place = self._places.pop(item, None)
        if place is None:
            return None
        number, index = divmod(place, CHUNK)
        with self._lock:
            self._submit(number + self._window)
            chunk = self._chunks[number]
        with chunk.lock:
            while chunk.results is None:
                try:
                    chunk.results = chunk.call.result()
                except Died as died:
                    chunk.results = self._died(died, chunk.items)
                    if chunk.results is None:
                        self._start_again(died)
        result = chunk.results[index]
        with self._lock:
            chunk.left -= 1
            if not chunk.left:
                del self._chunks[number]
        if isinstance(result, Exception):
            raise result
        return result

    def _submit(self, until: int) -> None:
        while self._next < until and self._next * CHUNK < len(self._items):
            items = list(self._items[self._next * CHUNK : (self._next + 1) * CHUNK])
            self._chunks[self._next] = _Chunk(items, self._do(items))
            self._next += 1

    def _start_again(self, died: Died) -> None:
        """Have all that died with that process done by a new one."""
        with self._lock:
            for chunk in self._chunks.values():
                if chunk.results is None and chunk.call.process == died.process:
                    chunk.call = self._do(chunk.items)

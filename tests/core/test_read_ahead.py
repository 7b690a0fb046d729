from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from rl2qc.core.read_ahead import read_ahead


def test_reading_ahead_is_bounded_and_in_order() -> None:
    lock, started, taken, most = threading.Lock(), 0, 0, 0

    def read(item: int) -> int:
        nonlocal started, most
        with lock:
            started += 1
            most = max(most, started - taken)
        return item

    def items() -> Iterator[int]:
        yield from range(200)

    results = []
    for value in read_ahead(read, items(), workers=4, window=6):
        results.append(value)
        with lock:
            taken += 1
    assert results == list(range(200))
    assert most <= 7  # six ahead of the one in hand


def test_reading_ahead_does_read_ahead() -> None:
    third = threading.Event()

    def read(item: int) -> int:
        if item == 2:
            third.set()
        return item

    results = read_ahead(read, range(10), workers=2, window=4)
    next(results)
    assert third.wait(5)
    results.close()  # type: ignore[attr-defined]


def test_an_error_ends_the_reading() -> None:
    def read(item: int) -> int:
        if item == 3:
            raise RuntimeError("stop")
        return item

    with pytest.raises(RuntimeError, match="stop"):
        list(read_ahead(read, range(1000), workers=2, window=4))
    assert not [t for t in threading.enumerate() if t.name.startswith("rl2qc-read")]

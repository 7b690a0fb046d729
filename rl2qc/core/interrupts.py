"""Ctrl-C reaches every process of a terminal: the one that a person began decides what it means."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ignore_interrupts", "starting_processes"]

_HAS_MASKS = hasattr(signal, "pthread_sigmask")


@contextmanager
def starting_processes() -> Iterator[None]:
    """Hold Ctrl-C back where processes are started that call :func:`ignore_interrupts` first.

    They take over what is held back: between their start and that call, Python would end with a
    trace in the middle of an import. For this process, it comes when all is started.
    """
    if not _HAS_MASKS:
        yield
        return
    # It is started by the first process otherwise, and ends what holds Ctrl-C back. Here, since not
    # every system has it.
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _HAS_MASKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

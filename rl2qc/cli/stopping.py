"""Ctrl-C and SIGTERM: work is put down in order, and one line says what is done and what is left.

A signal becomes an exception, so that what is open is closed and locks are given back. A second
one ends the process at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from rl2qc.cli.console import say

__all__ = ["NOTHING_DONE", "Stopped", "catch_signals", "if_stopped"]

NOTHING_DONE = "nothing is finished: the same command begins anew"
_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
_SIGNALS = [getattr(signal, name) for name in _WORDS if hasattr(signal, name)]


class Stopped(SystemExit):
    """This process was asked to end; its exit code is 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number, self.said = number, False

    def say(self, what: str = NOTHING_DONE) -> None:
        """Say once what is done and what is left."""
        if not self.said:
            say(f"{_WORDS[signal.Signals(self.number).name]}: {what}")
        self.said = True


@contextmanager
def catch_signals() -> Iterator[None]:
    """Turn the signals that ask a process to end into :class:`Stopped`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    # Under nohup, and for jobs in the background, some are meant to be ignored.
    asked = [number for number, old in before.items() if old is not signal.SIG_IGN]
    try:
        for number in asked:
            signal.signal(number, _stop)
        yield
    finally:
        for number in asked:
            signal.signal(number, before[number])


@contextmanager
def if_stopped(tell: Callable[[], str]) -> Iterator[None]:
    """Where the work within is stopped, ``tell`` says what is done and what is left."""
    try:
        yield
    except Stopped as stopped:
        stopped.say(tell())
        raise
    except KeyboardInterrupt:
        interrupted = Stopped(signal.SIGINT)
        interrupted.say(tell())
        raise interrupted from None


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    for each in _SIGNALS:
        if signal.getsignal(each) is _stop:
            signal.signal(each, signal.SIG_DFL)
    raise Stopped(number)

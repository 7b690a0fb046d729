"""Ctrl-C and SIGTERM: work is put down in order, and one line says what is done and what is left.

A signal becomes an exception, so that what is open is closed and locks are given back. A second
one ends the process at once.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from rl2qc.cli.console import say
from rl2qc.cli.signals import NOTHING_DONE, give_back, signal_line, take_over

__all__ = ["NOTHING_DONE", "Stopped", "catch_signals", "if_stopped"]


class Stopped(SystemExit):
    """This process was asked to end; its exit code is 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number, self.said = number, False

    def say(self, what: str = NOTHING_DONE) -> None:
        """Say once what is done and what is left."""
        if not self.said:
            say(signal_line(self.number, what))
        self.said = True


@contextmanager
def catch_signals() -> Iterator[None]:
    """Turn the signals that ask a process to end into :class:`Stopped`."""
    before = take_over(_stop)
    try:
        yield
    finally:
        give_back(before)


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
    take_over(signal.SIG_DFL)
    raise Stopped(number)

"""The signals that ask a process to end; what a command sets before it imports anything large."""

from __future__ import annotations

import os
import signal

# Type checkers take the name for true; to import ``typing`` for it would take longer than the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import TypeAlias

    Handler: TypeAlias = Callable[[int, FrameType | None], object]
    Handlers: TypeAlias = dict[int, Handler | int | None]

__all__ = ["NOTHING_DONE", "end_at_once", "give_back", "signal_line", "take_over"]

NOTHING_DONE = "nothing is finished: the same command begins anew"
_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
_SIGNALS = [getattr(signal, name) for name in _WORDS if hasattr(signal, name)]


def signal_line(number: int, what: str = NOTHING_DONE) -> str:
    """What happened, and what is done and left."""
    return f"{_WORDS[signal.Signals(number).name]}: {what}"


def take_over(handler: Handler | int) -> Handlers:
    """Set the handler of these signals; gives those of before, none outside the main thread."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    # Under nohup, and for jobs in the background, some are meant to be ignored.
    asked = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    try:
        for number in asked:
            signal.signal(number, handler)
    except ValueError:
        return {}
    return asked


def give_back(before: Handlers) -> None:
    """Set the handlers of before."""
    for number, old in before.items():
        signal.signal(number, old)


def end_at_once(number: int, frame: object) -> None:
    """End the process where it stands, with a line.

    For the time in which modules are imported: nothing is open then that had to be closed, and an
    exception in the midst of an import is swallowed or dressed up by whoever imports.
    """
    try:
        os.write(2, f"rl2qc: {signal_line(number)}\n".encode())
    finally:
        os._exit(128 + number)

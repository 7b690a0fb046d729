"""Calls in a process of their own, which may die without harm to this one.

A hostile file can end a process within a C library, where no ``try`` helps. What opens files of
others therefore runs in a helper: a process of loky's, which is started on first use, stays for the
calls that follow, and is started again after it died. Large arrays come back through memory that
both share (:mod:`rl2qc.core.blocks`).
"""

from __future__ import annotations

import multiprocessing.util
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from rl2qc.core.blocks import Block, Packed, pack, unpack
from rl2qc.core.interrupts import ignore_interrupts, starting_processes
from rl2qc.errors import Rl2qcError

__all__ = ["ISOLATION_VARIABLE", "Call", "Died", "Helper", "apart", "helper", "is_apart"]

ISOLATION_VARIABLE = "RL2QC_ISOLATION"
"""An environment variable: "off" reads all files in this process."""

Result = TypeVar("Result")

_processes = count()

# How often a call is tried whose process dies.
TRIES = 2
# Bytes that a reply is expected to need, before there was one.
_ROOM = 2**20
# Blocks that a helper has open: more than there are calls under way.
_BLOCKS = 16
# A reply that needs more goes through the pipe.
_MOST_ROOM = 2**28
# Seconds between two looks whether the process that is helped is still there.
_LOOK_EVERY = 1.0


class Died(Exception):
    """The process of a call died.

    Attributes
    ----------
    signal
        Of what: "SIGABRT", say.
    process
        A number that tells it from those that were started later.
    """

    def __init__(self, signal: str, process: int) -> None:
        super().__init__(signal)
        self.signal, self.process = signal, process


class Call:
    """A call under way in a :class:`Helper`; ``process`` numbers what it runs in."""

    def __init__(
        self, helper: Helper, process: int, future: Future[Packed], block: Block | None
    ) -> None:
        self._helper, self._future, self._block = helper, future, block
        self.process = process

    def result(self) -> Any:
        """What it returned, once: waits for it, and raises what it raised.

        Raises
        ------
        Died
            The process died before it was done.
        """
        block, self._block = self._block, None
        needed = 0
        try:
            packed = self._future.result()
            needed = packed[2]
            return unpack(packed, None if block is None else block.memory)
        except Rl2qcError as error:
            # Where in the helper it came about is no news, nor whether it had to be waited for.
            raise error.with_traceback(None) from None
        except BrokenProcessPool as error:
            self._helper.bury(self.process)
            raise Died(_signal(error), self.process) from None
        finally:
            self._helper.give_back(block, needed, self.process)


class Helper:
    """A process that does one call after another. Threads may share it.

    Examples
    --------
    >>> helper = Helper()
    >>> calls = [helper.submit(abs, -1), helper.submit(abs, -2)]
    >>> [call.result() for call in calls]
    [1, 2]
    >>> helper.close()
    """

    def __init__(self) -> None:
        self._executor: Any = None
        self._process = -1
        self._lock = threading.Lock()
        self._blocks: list[Block] = []
        self._room = _ROOM

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Call:
        """Have a function called; it and what it takes and gives must pickle."""
        with self._lock:
            block = self._block()
            path = None if block is None else block.path
            asked = (_do, path, _here(), function, args)
            try:
                future = self._started().submit(*asked)
            except BrokenProcessPool:
                # Of an earlier call, whose result nobody took.
                self._end()
                future = self._started().submit(*asked)
            return Call(self, self._process, future, block)

    def bury(self, process: int) -> None:
        """Have the next call start a new process in place of one that died."""
        with self._lock:
            if process == self._process:
                self._end()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def give_back(self, block: Block | None, needed: int, process: int) -> None:
        """Take back a block, if it is large enough for a reply like the last."""
        with self._lock:
            while self._room < min(needed, _MOST_ROOM):
                self._room *= 2
            if block is not None and block.size >= self._room and process == self._process:
                self._blocks.append(block)

    def _block(self) -> Block | None:
        if self._blocks:
            return self._blocks.pop()
        with suppress(OSError):
            return Block(self._room)
        return None

    def _started(self) -> Any:
        if self._executor is None:
            # Here, since not every command needs it.
            from loky.process_executor import ProcessPoolExecutor

            # Without traces of C code on the terminal.
            environment = {"PYTHONFAULTHANDLER": ""}
            self._process = next(_processes)
            _end_at_exit(self)
            self._executor = ProcessPoolExecutor(
                1, initializer=_begin, initargs=(os.getpid(),), env=environment
            )
            with _allowed(), starting_processes():
                # Starts the process.
                self._executor.submit(int)
        return self._executor

    def _end(self) -> None:
        executor, self._executor = self._executor, None
        # Those that the process has open by now have no names.
        self._blocks.clear()
        if executor is not None:
            executor.shutdown(wait=False, kill_workers=True)


_alive: weakref.WeakSet[Helper] = weakref.WeakSet()
_alive_of = 0


def _end_at_exit(helper: Helper) -> None:
    """Have a helper end when this process does, which a process of multiprocessing's waits for."""
    global _alive_of
    if _alive_of != os.getpid():
        _alive.clear()
        _alive_of = os.getpid()
        # The finalizers of a process are not those of what is forked from it.
        multiprocessing.util.Finalize(None, _end_all, exitpriority=10)
    _alive.add(helper)


def _end_all() -> None:
    for helper in list(_alive):
        helper.close()


@contextmanager
def _allowed() -> Iterator[None]:
    """Let workers of a DataLoader, too, start processes: these end when their parent does."""
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    daemon = config.pop("daemon", None)
    try:
        yield
    finally:
        if daemon is not None:
            config["daemon"] = daemon


def _signal(error: BaseException) -> str:
    """What ended a process, from what loky says of it."""
    found = re.search(r"\b(SIG\w+)\(-\d+\)", str(error))
    if found:
        return found[1]
    code = re.search(r"EXIT\((\d+)\)", str(error))
    return f"exit code {code[1]}" if code else "the process is gone"


# ------------------------------------------------------------ in the helper

_within = False
_open: dict[str, Any] = {}


def _begin(parent: int) -> None:
    """What a helper does first."""
    global _within
    _within = True
    ignore_interrupts()
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """End with the process that is helped, even if that is killed."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(0)


def _here() -> str | None:
    """The folder that names are relative to; None where it is gone."""
    with suppress(OSError):
        return str(Path.cwd())
    return None


def _do(
    path: str | None, place: str | None, function: Callable[..., Any], args: tuple[Any, ...]
) -> Packed:
    # Names are relative to where the other process is now.
    if place is not None and place != _here():
        os.chdir(place)
    return pack(function(*args), None if path is None else _memory(path))


def _memory(path: str) -> Any:
    if path not in _open:
        with suppress(OSError):
            _open[path] = Block.opened(path)
        if len(_open) > _BLOCKS:
            # One that was too small.
            del _open[next(iter(_open))]
    return _open.get(path)


# ------------------------------------------------------------ outside

_idle: list[Helper] = []
_idle_of = 0
_idle_lock = threading.Lock()


@contextmanager
def helper() -> Iterator[Helper]:
    """A helper for one's own use, one that is at hand if there is any."""
    mine = take()
    try:
        yield mine
    finally:
        give(mine)


def take() -> Helper:
    """A helper to keep until it is given back."""
    global _idle_of
    with _idle_lock:
        if _idle_of != os.getpid():
            # Those of the process that this one was forked from are not ours.
            _idle.clear()
            _idle_of = os.getpid()
        return _idle.pop() if _idle else Helper()


def give(mine: Helper) -> None:
    """Leave a helper to others."""
    with _idle_lock:
        if _idle_of == os.getpid():
            _idle.append(mine)


def is_apart() -> bool:
    """Whether calls run apart: not where that is turned off, nor in a helper itself."""
    return not _within and os.environ.get(ISOLATION_VARIABLE, "").lower() not in ("off", "0", "no")


def apart(function: Callable[..., Result], /, *args: Any) -> Result:
    """Call a function in a process of its own; if that dies, once more.

    Raises
    ------
    Died
        It died again.

    Examples
    --------
    >>> apart(divmod, 7, 2)
    (3, 1)
    >>> import os
    >>> try:
    ...     apart(os.abort)
    ... except Died as error:
    ...     print(error.signal)
    SIGABRT
    """
    if not is_apart():
        return function(*args)
    for _ in range(TRIES):
        try:
            with helper() as mine:
                result: Result = mine.submit(function, *args).result()
                return result
        except Died as error:
            died = error
    raise died

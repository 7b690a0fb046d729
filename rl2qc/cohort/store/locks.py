"""Locks between processes that share an output folder, on one machine or on several.

A lock is a file whose content names its owner and whose age tells that the owner lives. An owner
that stood still for longer than :data:`STALE_AFTER`, its machine suspended, finds its lock taken
over and two processes at work on one result. That costs work: every file appears whole and is the
same whoever makes it, a failure of one does not remove what the other finished, and a record whose
files are not all there counts for nothing.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rl2qc.core.opening import read_file_text
from rl2qc.errors import WorkError

__all__ = ["HEARTBEAT", "STALE_AFTER", "join", "living", "try_lock", "wait_for_lock"]

HEARTBEAT = 15.0
"""Seconds between two signs of life of an owner."""
STALE_AFTER = 120.0
"""Seconds without one after which an owner that cannot be asked is taken for dead."""
_ATTEMPTS = 20
# What this process holds, by its token: noted before it is taken, so that whenever the process is
# stopped, all of it is given back.
_held: dict[str, Path] = {}


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Take the lock ``path``, if it is free or its owner is dead; whether it was taken.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.lock"
    >>> with try_lock(path) as mine, try_lock(path) as again:
    ...     mine, again
    (True, False)
    >>> path.exists()
    False
    """
    token = _take(path)
    if token is None:
        yield False
        return
    done = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, done), daemon=True, name="rl2qc-heartbeat")
    beat.start()
    try:
        yield True
    finally:
        done.set()
        beat.join()
        _give_back(token)


def _give_back(token: str) -> None:
    path = _held[token]
    # Only our own: after a long standstill another process may have taken over.
    if _owner(path).get("token") == token:
        path.unlink(missing_ok=True)
    del _held[token]


@atexit.register
def _give_all_back() -> None:
    """A signal may come between a lock and what would give it back."""
    for token, path in list(_held.items()):
        # A copy of this process that was made by a fork holds nothing.
        if _owner(path).get("pid") == os.getpid():
            with suppress(OSError):
                _give_back(token)
                path.parent.rmdir()


@contextmanager
def wait_for_lock(path: Path, seconds: float = 2 * STALE_AFTER) -> Iterator[None]:
    """Take the lock ``path`` as soon as it is free.

    Raises
    ------
    WorkError
        It is not free after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        with try_lock(path) as mine:
            if mine:
                yield
                return
        if time.monotonic() > deadline:
            raise WorkError(f"{path} stays locked: delete it if no other rl2qc is running")
        time.sleep(0.05)


@contextmanager
def join(path: Path, pattern: str) -> Iterator[list[Path]]:
    """Hold the lock ``path``, which nobody else asks for; all locks beside it that are held
    (:func:`living`).

    Announced before others are looked for: of two that begin at once, one sees the other at least.
    """
    with try_lock(path):
        yield living(path.parent, pattern)


def living(folder: Path, pattern: str) -> list[Path]:
    """The locks of a pattern in a folder that are held; those of dead owners are removed."""
    found = []
    for lock in folder.glob(pattern):
        with try_lock(lock) as dead:
            if not dead:
                found.append(lock)
    return found


def _take(path: Path) -> str | None:
    """Create the lock file, complete with its content; our token, or None."""
    token = secrets.token_hex(8)
    _held[token] = path
    for _ in range(_ATTEMPTS):
        # A run that ends cleans the folder up: it or our draft may go at any moment.
        with suppress(FileNotFoundError):
            if _try_to_take(path, token):
                return token
            break
    del _held[token]
    return None


def _try_to_take(path: Path, token: str) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        content = json.dumps({**_self(), "token": token})
        draft = path.parent / f".draft-{token}"
        try:
            draft.write_text(content, encoding="utf-8")
            # Unlike renaming, linking fails where the name is taken.
            os.link(draft, path)
            return True
        except FileExistsError:
            if not _break_if_stale(path, draft):
                return False
        except FileNotFoundError:
            raise
        except OSError:
            # A file system without links: here a lock may be seen before its content is there,
            # and counts as alive until it is old.
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write(content)
                return True
            except FileExistsError:
                if not _break_if_stale(path, draft):
                    return False
        finally:
            draft.unlink(missing_ok=True)
    return False


def _break_if_stale(path: Path, probe: Path) -> bool:
    """Remove the lock of a dead owner; ``probe`` is a file that was written just now."""
    owner = _owner(path)
    try:
        # Two times of one file system: the clocks of machines differ.
        age = probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return True
    if age < STALE_AFTER and not _is_dead(owner):
        return False
    aside = path.parent / f".stale-{secrets.token_hex(8)}"
    try:
        path.rename(aside)
    except FileNotFoundError:
        return True
    if _owner(aside) != owner:
        # Another process was faster, and this is its new lock: it goes back.
        with suppress(OSError):
            os.link(aside, path)
    aside.unlink(missing_ok=True)
    return True


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT):
        with suppress(OSError):
            os.utime(path)


def _self() -> dict[str, object]:
    pid = os.getpid()
    return {**_place(), "pid": pid, "born": _born(pid)}


def _place() -> dict[str, object]:
    """Where the number of a process means something: containers and machines may share a name."""
    boot = namespace = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    return {"host": socket.gethostname(), "boot": boot, "namespace": namespace}


def _owner(path: Path) -> dict[str, object]:
    try:
        content = json.loads(read_file_text(path))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_dead(owner: dict[str, object]) -> bool:
    """Whether the owner is a process that we would see, and is no more."""
    pid = owner.get("pid")
    if any(owner.get(k) != v for k, v in _place().items()) or not isinstance(pid, int):
        return False
    if os.name == "posix":
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
    # The number may belong to another process by now.
    born = _born(pid)
    return bool(born and owner.get("born") and born != owner["born"])


def _born(pid: int) -> str:
    """When a process began, as the kernel counts; "" where it does not say."""
    try:
        # The name of the program, in parentheses, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""

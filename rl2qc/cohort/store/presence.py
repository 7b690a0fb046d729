"""Processes at work in one folder of results: all of them with the same settings."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rl2qc.cohort.changes import differences, generally
from rl2qc.cohort.run import Run
from rl2qc.cohort.store.folder import LOCKS, RUN
from rl2qc.cohort.store.locks import try_lock
from rl2qc.core.files import read_json
from rl2qc.errors import UsageError

__all__ = ["at_work", "presence"]

_PREFIX = ".run-"


@contextmanager
def presence(run: Run) -> Iterator[None]:
    """Be known to be at work, from before the first result on.

    Raises
    ------
    UsageError
        A process with other settings is at work in the folder.
    WorkError
        The folder cannot be written to.
    """
    settings = generally(run.key(None), "slide")
    text = json.dumps(settings, sort_keys=True, default=str)
    ours = f"{_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:12]}-"
    try:
        with ExitStack() as held:
            try:
                # Announced before others are looked for: of two that begin at once, one sees the
                # other at least.
                name = f"{ours}{secrets.token_hex(4)}.lock"
                held.enter_context(try_lock(run.out / LOCKS / name))
                others = [lock for lock in at_work(run.out) if not lock.name.startswith(ours)]
            except OSError as error:
                raise run.disk_error(error) from error
            if others:
                raise UsageError(
                    f"another rl2qc filter is at work in {run.out} with other settings"
                    f"{_what_differs(run)}: choose another --out, or wait until it has ended"
                )
            yield
    finally:
        # Left to the last process.
        with suppress(OSError):
            (run.out / LOCKS).rmdir()


def at_work(out: Path) -> list[Path]:
    """The locks of all processes that are at work in ``out``; those of dead ones are removed."""
    found = []
    for lock in (out / LOCKS).glob(f"{_PREFIX}*.lock"):
        with try_lock(lock) as dead:
            if not dead:
                found.append(lock)
    return found


def _what_differs(run: Run) -> str:
    """As far as ``run.json`` tells, which the other process may not have written yet."""
    account = read_json(run.out / RUN)
    if not {"model", "settings"} <= account.keys():
        return ""
    old, new = (
        generally({"model": key["model"], "settings": key["settings"]}, "slide")
        for key in (account, run.key(None))
    )
    changed = ", ".join(differences(old, new))
    return f" ({changed})" if changed else ""

"""Who is at work in a folder of results, and what they leave behind."""

from __future__ import annotations

import hashlib
import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from rl2qc.cohort.changes import differences, generally
from rl2qc.cohort.store.locks import join, living, try_lock, wait_for_lock
from rl2qc.cohort.store.record import JOURNAL, TEMPORARY, ResultFolder
from rl2qc.errors import UsageError, WorkError

__all__ = ["FAILED", "LOCKS", "AtWork"]

FAILED, LOCKS = "failed", ".locks"
# Locks of processes at work, which name a hash of their settings.
_ACTIVE = ".run-"
_DECIDE = f"{_ACTIVE}decide.lock"


class AtWork(ABC):
    """A folder as the processes see it that work in it at the same time."""

    path: Path

    @abstractmethod
    def manifest(self) -> dict[str, Any]:
        """What ``run.json`` says."""

    @abstractmethod
    def check_shared_files(self, formats: Container[str] = ()) -> None:
        """Refuse files of others."""

    # ------------------------------------------------------------ locks

    def lock(self, name: str) -> Path:
        """What must be held to work on the result of that name."""
        return self.path / LOCKS / f"{name}.lock"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the files that all processes share: the manifest, the summary, the report."""
        with wait_for_lock(self.path / LOCKS / "..lock"):
            yield
        self.leave()

    def leave(self) -> None:
        """Remove the folder of locks, if this is the last process."""
        with suppress(OSError):
            (self.path / LOCKS).rmdir()

    # ------------------------------------------------------------ active processes

    @contextmanager
    def active(self, key: Mapping[str, Any]) -> Iterator[None]:
        """Be known to be at work with the settings of ``key``, from before the first result on.

        Parameters
        ----------
        key
            "model" and "settings" of all results (:class:`rl2qc.cohort.job.Plan`).

        Raises
        ------
        UsageError
            A process with other settings is at work here, or a file of another tool is in the way.
        WorkError
            The folder cannot be written to.
        """
        self.check_shared_files(key["settings"]["formats"])
        text = json.dumps(key, sort_keys=True, default=str)
        ours = f"{_ACTIVE}{hashlib.sha256(text.encode()).hexdigest()[:12]}-"
        lock = self.path / LOCKS / f"{ours}{secrets.token_hex(4)}.lock"
        try:
            with ExitStack() as held:
                try:
                    known = held.enter_context(join(lock, f"{_ACTIVE}*.lock"))
                except OSError as error:
                    raise self.disk_error(error) from error
                if any(lock.name == _DECIDE for lock in known):
                    raise UsageError(
                        f"rl2qc decide is at work in {self.path}: wait until it has ended"
                    )
                if any(not other.name.startswith(ours) for other in known):
                    raise UsageError(
                        f"another rl2qc filter is at work in {self.path} with other settings"
                        f"{self._what_differs(key)}: choose another --out, or wait until it has "
                        "ended"
                    )
                yield
        finally:
            self.leave()

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Be the only process at work here.

        Raises
        ------
        UsageError
            Another one is.
        WorkError
            The folder cannot be written to.
        """
        ours = self.path / LOCKS / _DECIDE
        try:
            with try_lock(ours) as mine:
                if not mine:
                    raise UsageError(
                        f"another rl2qc decide is at work in {self.path}: wait until it has ended"
                    )
                # A run is announced before it looks for others, too: one sees the other at least.
                if [lock for lock in self.active_processes() if lock != ours]:
                    raise UsageError(
                        f"rl2qc filter is at work in {self.path}: wait until it has ended"
                    )
                yield
        finally:
            self.leave()

    def active_processes(self) -> list[Path]:
        """The locks of all processes that are at work here."""
        return living(self.path / LOCKS, f"{_ACTIVE}*.lock")

    def _what_differs(self, key: Mapping[str, Any]) -> str:
        """As far as the manifest tells, which the other process may not have written yet."""
        manifest = self.manifest()
        if not {"model", "settings"} <= manifest.keys():
            return ""
        changed = differences(generally(manifest, "slide"), generally(key, "slide"))
        return f" ({', '.join(changed)})" if changed else ""

    # ------------------------------------------------------------ clean up

    def clean_up(self) -> None:
        """Remove what killed processes and locks leave behind, if nobody is at work."""
        # Looked for before the locks are: what a living process has under way, it began under a
        # lock.
        out, locks = self.path, self.path / LOCKS
        debris = [path for pattern in (".draft-*", ".stale-*") for path in locks.glob(pattern)]
        debris += [path for place in (".", "*", "*/*") for path in out.glob(f"{place}/{TEMPORARY}")]
        debris += [p for p in out.glob(f"*/{JOURNAL}") if ResultFolder(p.parent).is_settled()]
        for lock in locks.glob("*.lock"):
            # That of a process that was killed when its result was finished is nobody's to take.
            with try_lock(lock) as dead:
                if not dead:
                    return
        for path in debris:
            if path.is_file():
                with suppress(OSError):
                    path.unlink()
        for folder in (locks, out / FAILED):
            with suppress(OSError):
                folder.rmdir()

    def disk_error(self, error: OSError) -> WorkError:
        """What to say of an error of the disk that the folder is on."""
        return WorkError(
            f"cannot write to {self.path}: {error.strerror or error}; what is finished is kept: "
            "run the same command again when that is settled"
        )

"""Things that are found by name: metrics, detectors, formats, sources, extractors, readers, ...

One :class:`Registry` an extension point. What comes with the package lies in a folder of its own, a
module a thing, and is imported on first use; other packages bring theirs by entry points; scripts
call :meth:`Registry.register`. Nothing anywhere branches on a name.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import ModuleType
from typing import Generic, Protocol, TypeVar

from rl2qc.core.text import brief
from rl2qc.errors import UsageError

__all__ = ["Extra", "Named", "Registry", "nearest"]


class Named(Protocol):
    """What a registry holds: a spec that has a name."""

    @property
    def name(self) -> str:
        """What it is asked for by."""


S = TypeVar("S", bound=Named)


@dataclass(frozen=True)
class Extra:
    """A module that only some specs need, and what pip installs it by.

    Examples
    --------
    >>> Extra("no_such_module", "rl2qc[h5]").require("format clam")
    Traceback (most recent call last):
    rl2qc.errors.UsageError: format clam needs no_such_module: pip install 'rl2qc[h5]'
    """

    module: str
    package: str

    @property
    def installed(self) -> bool:
        """Whether the module is there."""
        return importlib.util.find_spec(self.module) is not None

    def require(self, what: str) -> None:
        """UsageError with the way out if the module is not installed; ``what`` needs it."""
        if not self.installed:
            raise UsageError(f"{what} needs {self.module}: pip install {self.package!r}")


class Registry(Generic[S]):
    """Specs by name, in the order in which they were registered.

    Parameters
    ----------
    what
        What is registered, in the singular, for messages: "metric".
    room
        The package whose modules register what comes with rl2qc when they are imported.
    group
        The group of entry points by which other packages add theirs. An entry point names a
        module that registers some when it is imported, a spec, or a function without parameters
        that registers some.
    aliases
        Old names of specs, by old name: still understood, no longer shown.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> tools: Registry[SimpleNamespace] = Registry("tool")
    >>> _ = tools.register(SimpleNamespace(name="hammer"))
    >>> tools.get("hammer").name, "saw" in tools, tools.names()
    ('hammer', False, ('hammer',))
    >>> tools.get("hamer")
    Traceback (most recent call last):
    rl2qc.errors.UsageError: no tool 'hamer', perhaps 'hammer'? Choose from hammer
    """

    def __init__(
        self,
        what: str,
        *,
        room: str | None = None,
        group: str | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.what, self._room, self._group = what, room, group
        self.aliases = dict(aliases or {})
        self._specs: dict[str, S] = {}
        self._complete = room is None and group is None
        self._lock = threading.RLock()

    def register(self, spec: S, *, replace: bool = False) -> S:
        """Add a spec; returned as it is.

        Raises
        ------
        UsageError
            One of that name is there already and ``replace`` is False, or its name is empty.
        """
        if not isinstance(spec.name, str) or not spec.name:
            raise UsageError(f"a {self.what} needs a name, got {spec.name!r}")
        with self._lock:
            known = self._specs.get(spec.name)
            if known is not None and known is not spec and not replace:
                raise UsageError(
                    f"there is a {self.what} {spec.name!r} already: choose another name"
                )
            self._specs[spec.name] = spec
        return spec

    def unregister(self, name: str) -> None:
        """Take a spec out again, as tests do; nothing happens where there is none."""
        self._specs.pop(name, None)

    def get(self, name: str) -> S:
        """The spec of that name, or of that old name.

        Raises
        ------
        UsageError
            There is none; the message names the nearest.
        """
        self._load()
        name = self.aliases.get(name, name)
        if name not in self._specs:
            raise UsageError(
                f"no {self.what} {brief(name)!r}{nearest(name, self._specs)} "
                f"Choose from {', '.join(self.names())}"
            )
        return self._specs[name]

    def names(self) -> tuple[str, ...]:
        """All names, in the order of :meth:`__iter__`."""
        return tuple(spec.name for spec in self)

    def __iter__(self) -> Iterator[S]:
        """All specs: by their ``order`` where they have one, then as they were registered."""
        self._load()
        return iter(sorted(self._specs.values(), key=lambda spec: getattr(spec, "order", 0)))

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._specs or name in self.aliases

    def __len__(self) -> int:
        self._load()
        return len(self._specs)

    def _load(self) -> None:
        """Import what comes with the package, then what other packages bring."""
        if self._complete:
            return
        with self._lock:
            if self._complete:
                return
            # Before the imports: modules that are being imported may ask for names, too.
            self._complete = True
            if self._room is not None:
                try:
                    room = importlib.import_module(self._room)
                    for module in pkgutil.iter_modules(room.__path__, f"{self._room}."):
                        importlib.import_module(module.name)
                except BaseException:
                    self._complete = False
                    raise
            self._load_entry_points()

    def _load_entry_points(self) -> None:
        if self._group is None:
            return
        for point in importlib.metadata.entry_points(group=self._group):
            # Somebody else's package must not stop those who do not ask for it.
            try:
                found = point.load()
                if isinstance(found, ModuleType):
                    continue
                if hasattr(found, "name"):
                    self.register(found)
                else:
                    found()
            except Exception as error:
                warnings.warn(
                    f"the {self.what} {point.name} of another package cannot be used: {error}",
                    stacklevel=2,
                )


def nearest(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """ ", perhaps 'x'?" with the known word nearest to ``word``, or ":" where none is near.

    Examples
    --------
    >>> nearest("alhpa", ("alpha", "mpp")), nearest("q", ("alpha",))
    (", perhaps 'alpha'?", ':')
    """
    found = get_close_matches(word, list(known), n=1)
    return f", perhaps {found[0]!r}?" if found else ":"

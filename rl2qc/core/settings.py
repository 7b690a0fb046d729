"""Settings of a call: frozen objects whose fields say all there is to know of an option.

A field made by :func:`option` is everything: the keyword of the public call, the option of the
command line with its help, its check, and what records are asked of it (its phase). A new option is
one field; records of before lack it and hold its value of that day (``before``), so it changes no
key of old results.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, TypeVar, get_type_hints

from rl2qc.core.arguments import Interval, check
from rl2qc.core.registry import nearest
from rl2qc.errors import UsageError

__all__ = ["Interval", "Option", "Phase", "Settings", "option", "option_of", "share_out"]

Phase: TypeAlias = Literal["pixels", "decision", "speed"]
"""What depends on an option: what is measured of pixels, only what is decided from that, or nothing
but time and memory."""


# Stands for "what the default is", since None may be a value.
_AS_DEFAULT: Any = object()


@dataclass(frozen=True)
class Option:
    """What a field says of its option; see :func:`option`."""

    help: str
    phase: Phase = "pixels"
    before: Any = _AS_DEFAULT
    within: Interval | None = None
    choices: Sequence[str] | Callable[[], Sequence[str]] = ()
    flags: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    metavar: str | None = None
    show_default: bool | str = True
    parse: Callable[[str], Any] | None = None
    per_input: bool = False
    repeated: bool = False
    on_command_line: bool = True

    def known_choices(self) -> tuple[str, ...]:
        """The words that it may be; empty where any will do."""
        return tuple(self.choices() if callable(self.choices) else self.choices)


def option(
    default: Any = MISSING,
    *,
    help: str,
    default_factory: Any = MISSING,
    **about: Any,
) -> Any:
    """A field of a settings object, and all that is to be known of its option.

    Parameters
    ----------
    default, default_factory
        As in :func:`dataclasses.field`.
    help
        One sentence for ``--help``.
    phase
        What depends on it: "pixels" (results must be made anew), "decision" (they can be decided
        again), "speed" (they stay as they are).
    before
        What results hold whose record lacks the option; the default by default.
    within
        The :class:`Interval` of its numbers.
    choices
        The words that it may be, or a function that names them (asked when ``--help`` is shown).
    flags
        Names on the command line; ``--`` and the field's name by default.
    old
        Names of before, without dashes for keywords and records, with dashes for the command
        line: understood and not shown.
    metavar, show_default
        As :func:`typer.Option` has them.
    parse
        Makes the value of the text of the command line.
    per_input
        May differ from input to input of one folder of results.
    repeated
        May be given several times on the command line: the value is a tuple of texts.
    on_command_line
        False for what Python alone can give.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Painting(Settings):
    ...     coats: int = option(2, help="Layers of paint.", within=Interval(1))
    >>> Painting(coats=3).record(), Painting.resolve(None, {"coats": 1}).coats
    ({'coats': 3}, 1)
    >>> Painting(coats=0)
    Traceback (most recent call last):
    rl2qc.errors.UsageError: coats must be at least 1, got 0
    """
    metadata = {"option": Option(help, **about)}
    if default_factory is not MISSING:
        return field(default_factory=default_factory, metadata=metadata)
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


class Settings:
    """Base of frozen dataclasses whose fields are made by :func:`option`."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in _options(type(self)):
            about = option_of(f)
            check(
                f.name,
                getattr(self, f.name),
                hints[f.name],
                within=about.within,
                choices=about.known_choices(),
            )

    def changes(self, **values: Any) -> Self:
        """The same with other values.

        Raises
        ------
        UsageError
            A word that is no option (the nearest is named), or a value out of range.
        """
        known = {f.name: f for f in _options(type(self))}
        old = {name: f.name for f in known.values() for name in option_of(f).old}
        renamed = {}
        for name, value in values.items():
            if name in old:
                warnings.warn(f"{name} is called {old[name]} now", DeprecationWarning, stacklevel=3)
            elif name not in known:
                raise UsageError(
                    f"no option {name!r}{nearest(name, known)} Choose from {', '.join(known)}"
                )
            renamed[old.get(name, name)] = value
        return replace(self, **renamed)  # type: ignore[type-var]

    @classmethod
    def resolve(cls, settings: Self | None, changes: Mapping[str, Any]) -> Self:
        """What a public call was given: a settings object, single options, or both."""
        if settings is not None and not isinstance(settings, cls):
            raise UsageError(f"settings must be {cls.__name__}, got {type(settings).__name__}")
        if settings is None:
            required = {f.name for f in _options(cls) if _default(f) is MISSING}
            base = cls(**{name: changes[name] for name in required & changes.keys()})
        else:
            base = settings
        return base.changes(**changes) if changes else base

    def record(self) -> dict[str, Any]:
        """All that results depend on, as plain data for a record."""
        return {
            f.name: _plain(getattr(self, f.name))
            for f in _options(type(self))
            if option_of(f).phase != "speed"
        }

    @classmethod
    def complete(cls, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record of any day, with what it lacks as it was before the option came.

        Old names become today's; entries that are no options stay.
        """
        known = dict(record)
        for f in _options(cls):
            about = option_of(f)
            for name in about.old:
                if name in known and f.name not in known:
                    known[f.name] = known.pop(name)
            if about.phase != "speed" and f.name not in known:
                value = _default(f) if about.before is _AS_DEFAULT else about.before
                if value is not MISSING:
                    known[f.name] = _plain(value)
        return known

    @classmethod
    def names(cls, phase: Phase | None = None, *, per_input: bool | None = None) -> tuple[str, ...]:
        """Names of the options, of one phase, or of those that may differ from input to input."""
        return tuple(
            f.name
            for f in _options(cls)
            if (phase is None or option_of(f).phase == phase)
            and (per_input is None or option_of(f).per_input == per_input)
        )


A = TypeVar("A", bound=Settings)
B = TypeVar("B", bound=Settings)


def share_out(changes: Mapping[str, Any], first: A, second: B) -> tuple[A, B]:
    """Two settings objects of one call, each with those of ``changes`` that are its options.

    Raises
    ------
    UsageError
        A word that is no option of either (the nearest is named), or a value out of range.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Brush(Settings):
    ...     width: int = option(3, help="Of its hair.")
    >>> @dataclass(frozen=True)
    ... class Paint(Settings):
    ...     coats: int = option(2, help="Layers.")
    >>> share_out({"coats": 1}, Brush(), Paint())
    (Brush(width=3), Paint(coats=1))
    """
    known = [_words(type(settings)) for settings in (first, second)]
    words = {word: None for names in known for word in names}
    for name in changes:
        if name not in words:
            today = [n for settings in (first, second) for n in settings.names()]
            raise UsageError(
                f"no option {name!r}{nearest(name, tuple(today))} Choose from {', '.join(today)}"
            )
    one, two = ({n: v for n, v in changes.items() if n in names} for names in known)
    return first.changes(**one) if one else first, second.changes(**two) if two else second


def _words(cls: type[Settings]) -> set[str]:
    """Names of the options, old ones among them."""
    return {word for f in _options(cls) for word in (f.name, *option_of(f).old)}


def option_of(f: Any) -> Option:
    """What a field of a settings object says of its option."""
    about: Option = f.metadata["option"]
    return about


def _options(cls: type) -> tuple[Any, ...]:
    return tuple(f for f in fields(cls) if "option" in f.metadata)


def _default(f: Any) -> Any:
    return f.default_factory() if f.default_factory is not MISSING else f.default


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value

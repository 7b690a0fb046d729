"""Old names of keywords and attributes: still understood until 1.0, no longer shown."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

__all__ = ["OldNames", "old_keyword", "renamed"]

F = TypeVar("F", bound=Callable[..., Any])


def renamed(**old: str) -> Callable[[F], F]:
    """Let a function understand old keywords, by today's: ``@renamed(held_out="unseen")``.

    Examples
    --------
    >>> @renamed(hight="height")
    ... def area(width, height):
    ...     return width * height
    >>> with warnings.catch_warnings(record=True) as said:
    ...     area(2, hight=3), str(said[0].message)
    (6, 'hight is called height now')
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*arguments: Any, **keywords: Any) -> Any:
            for name in [name for name in keywords if name in old]:
                _warn(name, old[name])
                keywords[old[name]] = keywords.pop(name)
            return function(*arguments, **keywords)

        return call  # type: ignore[return-value]

    return decorate


def old_keyword(old: str, new: str, keywords: dict[str, Any]) -> Any:
    """Take what an old keyword was given out of those that are left, with a word about it."""
    _warn(old, new)
    return keywords.pop(old)


class OldNames:
    """Base of classes with attributes that were called otherwise: ``old_names``, by old name.

    Examples
    --------
    >>> class Box(OldNames):
    ...     old_names = {"hight": "height"}
    ...     height = 3
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     Box().hight
    3
    """

    old_names: ClassVar[Mapping[str, str]] = {}

    if not TYPE_CHECKING:  # type checkers know today's names alone

        def __getattr__(self, name: str) -> Any:
            new = type(self).old_names.get(name)
            if new is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            _warn(name, new)
            return getattr(self, new)


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is called {new} now", DeprecationWarning, stacklevel=3)

"""Help that names what can be chosen, asked of the registries when it is shown and not before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from rl2qc.errors import shortened

__all__ = ["CommandWithNames", "Subcommands", "fill_in"]

# Typer's parser is its own or another package's, by its version: its errors by one that it names.
_FrameError: type[Any] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)


def _formats() -> Iterable[str]:
    from rl2qc.filtering.exports.registry import FORMATS

    return (spec.name for spec in FORMATS if spec.listed)


def _formats_without_pixels() -> Iterable[str]:
    from rl2qc.filtering.exports.registry import FORMATS

    return (spec.name for spec in FORMATS if spec.listed and spec.sort is None)


# What stands in braces in the help of an option, and where its names are.
_NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "{formats}": _formats,
    "{formats that need no pixels}": _formats_without_pixels,
}
_PLACE = re.compile("|".join(map(re.escape, _NAMES)))


def fill_in(text: str) -> str:
    """Names in place of what stands in braces.

    Examples
    --------
    >>> fill_in("Any of {formats}.")[:24]
    'Any of csv, parquet, geo'
    """
    return _PLACE.sub(lambda place: ", ".join(_NAMES[place[0]]()), text)


class CommandWithNames(TyperCommand):
    """A command whose options' help is filled in (:func:`fill_in`) when it is shown."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        for parameter in self.params:
            if text := getattr(parameter, "help", None):
                parameter.help = fill_in(text)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


class Subcommands(TyperGroup):
    """The commands; what the frame itself finds wrong with a call is said in short, too."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read what stands before the command."""
        with _in_short():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Read the rest, and run the command."""
        with _in_short():
            return super().invoke(ctx)


@contextmanager
def _in_short() -> Iterator[None]:
    try:
        yield
    except _FrameError as error:
        error.message = shortened(error.message)
        raise

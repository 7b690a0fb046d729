"""Help that names what can be chosen, asked of the registries when it is shown and not before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from typer.core import TyperCommand

__all__ = ["CommandWithNames", "fill_in"]


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

"""Options of a command, made of the fields of a settings object."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import typer

from rl2qc.core.settings import Option, Settings, option_of

__all__ = ["with_settings"]

F = TypeVar("F", bound=Callable[..., Any])


def with_settings(command: F) -> F:
    """Replace a command's parameter of a :class:`Settings` type by an option for each field.

    The command is written with one parameter, ``settings: FilterSettings``, and is called with the
    object that the options make. Old names (:attr:`Option.old`) become hidden options. Where a
    parameter of the command has a field's name, that field is the command's to ask for, and the
    settings keep its default.
    """
    hints = get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)
    objects = {
        name: hint
        for name, hint in hints.items()
        if isinstance(hint, type) and issubclass(hint, Settings)
    }
    parameters: list[inspect.Parameter] = []
    # parameter -> object, field, what it says, how its default is shown
    made: dict[str, tuple[str, str, Option, Any]] = {}
    for name, parameter in signature.parameters.items():
        if name not in objects:
            parameters.append(parameter.replace(annotation=hints[name]))
            continue
        for f in fields(objects[name]):  # type: ignore[arg-type]
            if "option" not in f.metadata:
                continue
            about = option_of(f)
            if f.name in signature.parameters or not about.on_command_line:
                continue
            kind = get_type_hints(objects[name])[f.name]
            default = f.default_factory() if f.default_factory is not MISSING else f.default
            parameters.append(_parameter(f.name, kind, default, about))
            made[f.name] = name, f.name, about, _shown(default, about)
            for old in about.old:
                hidden = _hidden(old, _on_command_line(kind, about))
                parameters.append(hidden)
                made[hidden.name] = name, f.name, about, None

    def run(**values: Any) -> Any:
        given: dict[str, dict[str, Any]] = {name: {} for name in objects}
        # Old names last: they count where they are given, and are None where not.
        for parameter, (name, field_name, about, default) in made.items():
            value = values.pop(parameter)
            # What was not asked for stays as it is: its text need not be one that can be parsed.
            if value == default:
                continue
            given[name][field_name] = _value(value, about)
        for name, kind in objects.items():
            values[name] = kind(**given[name])
        return command(**values)

    # Defaults before none: the command line knows its options by name.
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    run.__signature__ = signature.replace(parameters=keyword)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in keyword}
    run.__doc__, run.__name__, run.__module__ = command.__doc__, command.__name__, __name__
    return run  # type: ignore[return-value]


def _parameter(name: str, kind: Any, default: Any, about: Option) -> inspect.Parameter:
    flags = about.flags or ((f"--{name.replace('_', '-')}",) if kind is bool else ())
    metavar = about.metavar
    # To know the choices may take large libraries: they are asked for where they are shown.
    if metavar is None and about.parse is None and (choices := about.known_choices()):
        metavar = "|".join(choices)
    option = typer.Option(
        *flags,
        help=about.help,
        metavar=metavar,
        show_default=False
        if default is None and about.show_default is True
        else about.show_default,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is MISSING else _shown(default, about),
        annotation=Annotated[_on_command_line(kind, about), option],
    )


def _hidden(old: str, kind: Any) -> inspect.Parameter:
    """An option of before: None tells that it was not given."""
    option = typer.Option(f"--{old.replace('_', '-')}", hidden=True)
    return inspect.Parameter(
        f"old_{old}",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _on_command_line(kind: Any, about: Option) -> Any:
    """The type that the command line reads: text where the option parses it itself."""
    arguments = [a for a in get_args(kind) if a is not type(None)]
    optional = type(None) in get_args(kind)
    if about.repeated:
        return list[str]
    if about.parse is not None:
        plain: Any = str
    elif get_origin(kind) in (Union, UnionType):
        plain = next((a for a in (bool, int, float, Path, str) if a in arguments), str)
    else:
        plain = kind if kind in (bool, int, float, str, Path) else str
    return plain | None if optional else plain


def _shown(default: Any, about: Option) -> Any:
    if about.repeated:
        return list(default)
    if about.parse is not None and isinstance(default, tuple | list):
        return ",".join(map(str, default))
    return default


def _value(value: Any, about: Option) -> Any:
    if about.repeated:
        return tuple(value)
    return about.parse(value) if about.parse is not None and isinstance(value, str) else value

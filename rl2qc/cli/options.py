"""Options and helpers that the commands on image sets share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from rl2qc.cli.console import say

__all__ = [
    "JsonOption",
    "ModelOption",
    "OverwriteOption",
    "RealOption",
    "print_warnings",
]

RealOption: TypeAlias = Annotated[
    list[str],
    typer.Option("--real", "-r", help="Folder, file or glob of real images; may be repeated."),
]
JsonOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="Also write everything here; - is standard output."
    ),
]
OverwriteOption: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that are there.")
]
ModelOption: TypeAlias = Annotated[
    str, typer.Option("--model", "-m", help="Model file or a shipped model's name.")
]


def print_warnings(warnings: Iterable[str]) -> None:
    """One line each, on stderr."""
    for warning in warnings:
        say(f"warning: {warning}")

"""Options and helpers that the commands on image sets share."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from rl2qc.errors import UsageError

__all__ = [
    "AlphaOption",
    "JsonOption",
    "ModelOption",
    "MppOption",
    "RealOption",
    "SeedOption",
    "check_targets",
    "print_text",
    "print_warnings",
    "split_names",
    "write_files",
]

RealOption: TypeAlias = Annotated[
    list[str],
    typer.Option("--real", "-r", help="Folder, file or glob of real images; may be repeated."),
]
JsonOption: TypeAlias = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write everything here.")
]
ModelOption: TypeAlias = Annotated[
    str, typer.Option("--model", "-m", help="Model file or a shipped model's name.")
]
MppOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="Microns per pixel of the images, to be held against the model's.",
        show_default="taken to be the model's",
    ),
]
AlphaOption: TypeAlias = Annotated[
    float, typer.Option(help="The filter keeps images with a p-value above this.")
]
SeedOption: TypeAlias = Annotated[int, typer.Option(help="Of every random draw.")]


def check_targets(files: dict[str, Path | None]) -> None:
    """UsageError for a file to write that is a folder."""
    for option, file in files.items():
        if file is not None and file.is_dir():
            raise UsageError(f"{option} {file} is a folder: name a file in it")


def split_names(names: str | None) -> tuple[str, ...] | None:
    """Comma-separated names without blanks; None stays None."""
    if names is None:
        return None
    return tuple(name.strip() for name in names.split(",") if name.strip())


def print_text(text: str) -> None:
    """Print text with arrows, replaced where the terminal's encoding has none."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    print(text)


def print_warnings(warnings: Iterable[str]) -> None:
    """One line each, on stderr."""
    for warning in warnings:
        print(f"rl2qc: warning: {warning}", file=sys.stderr)


def write_files(*files: tuple[str, Path | None, Callable[[Path], None]]) -> None:
    """Write what is asked for, and say where: what it is called, its file, what writes it."""
    asked = [(title, file, write) for title, file, write in files if file is not None]
    width = max((len(title) for title, _, _ in asked), default=0)
    for _, file, write in asked:
        write(file)
    if asked:
        print()
    for title, file, _ in asked:
        print(f"{title:<{width}}  {file}")

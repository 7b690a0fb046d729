"""Count what keeps the house small: lines of functions and files, parameters, headings.

    python scripts/check_house.py

names each function above 60 lines (signature and docstring apart), each signature above 8
parameters, each file above 350 lines (of tests: 500), each docstring heading that is not NumPy's,
each word of a docstring in single backticks, each name that two files of tests share (they are
modules without packages: pytest collects one), and ends with 1 if there is one. Commands of the
command line may have more parameters: each is an option.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("rl2qc", "scripts", "tests")
LINES_OF_FUNCTION = 60
PARAMETERS = 8
LINES_OF_FILE = 350
LINES_OF_TESTS = 500
HEADINGS = {
    "Attributes",
    "Examples",
    "Notes",
    "Parameters",
    "Raises",
    "References",
    "Returns",
    "Warns",
    "Yields",
}
HEADING = re.compile(r"^ *(\w[\w ]*)\n *-{3,}$", re.MULTILINE)
# What backticks are for: code, links, and roles such as :func:`score`.
MARKED = re.compile(r"``.+?``|:\w+:`.+?`|`[^`]+`__?", re.DOTALL)
BARE = re.compile(r"`[^`\n]+`")

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def check(root: Path) -> list[str]:
    """A line for each thing that is too large, or misnamed."""
    files = [file for folder in FOLDERS for file in sorted((root / folder).rglob("*.py"))]
    return [
        *(line for file in files for line in check_file(file, file.relative_to(root))),
        *check_names([file.relative_to(root) for file in files if file.name != "conftest.py"]),
    ]


def check_names(places: list[Path]) -> Iterator[str]:
    """The files of tests, and their helpers, that have the name of another."""
    first: dict[str, Path] = {}
    for place in places:
        if place.parts[0] == "tests" and first.setdefault(place.name, place) != place:
            yield f"{place}: {first[place.name]} has this name, give it one of its own"


def check_file(file: Path, place: Path) -> Iterator[str]:
    text = file.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    allowed = LINES_OF_TESTS if place.parts[0] == "tests" else LINES_OF_FILE
    if lines > allowed:
        yield f"{place}: {lines} lines, at most {allowed}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function):
            yield from check_function(node, place)
        if isinstance(node, Function | ast.ClassDef | ast.Module):
            yield from check_docstring(node, place)


def check_docstring(node: Function | ast.ClassDef | ast.Module, place: Path) -> Iterator[str]:
    text, line = ast.get_docstring(node) or "", getattr(node, "lineno", 1)
    for heading in HEADING.findall(text):
        if heading not in HEADINGS:
            yield f"{place}:{line}: no heading {heading!r} in docstrings"
    for word in BARE.findall(MARKED.sub("", text)):
        yield f"{place}:{line}: write `{word}` or a role for {word}"


def check_function(function: Function, place: Path) -> Iterator[str]:
    lines, parameters = lines_of(function), parameters_of(function)
    if lines > LINES_OF_FUNCTION:
        yield (
            f"{place}:{function.lineno}: {function.name} has {lines} lines, "
            f"at most {LINES_OF_FUNCTION}"
        )
    is_command = place.parts[:2] == ("rl2qc", "cli") and function.name.endswith("_command")
    if parameters > PARAMETERS and not is_command:
        yield (
            f"{place}:{function.lineno}: {function.name} has {parameters} parameters, "
            f"at most {PARAMETERS}"
        )


def lines_of(function: Function) -> int:
    """From the first statement after the docstring to the last line."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    if not body:
        return 0
    return (function.end_lineno or 0) - body[0].lineno + 1


def parameters_of(function: Function) -> int:
    """Those that a caller sees: ``self`` is none."""
    known = function.args
    named = [*known.posonlyargs, *known.args]
    bound = bool(named) and named[0].arg in {"self", "cls"}
    stars = [star for star in (known.vararg, known.kwarg) if star is not None]
    return len(named) + len(known.kwonlyargs) + len(stars) - bound


def main() -> None:
    found = check(ROOT)
    print("\n".join(found) or "nothing is too large")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

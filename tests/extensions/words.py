"""The code of the documents, by the file that it says it belongs to.

A block begins with ``# path/of/the/file.py``. A block for a class that is there already begins with
``# path/of/the/file.py, in NameOfClass`` and is added to its end.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import indent

__all__ = ["ROOT", "add_to_class", "blocks", "sections", "write"]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```\w+\n# (\S+\.\w+)(?:, in (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sections(page: str, begins: str = "") -> dict[str, str]:
    """The text below each heading of the second level that begins with ``begins``."""
    text = (ROOT / page).read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return {
        title: body
        for title, body in zip(parts[1::2], parts[2::2], strict=True)
        if title.startswith(begins)
    }


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Path, class ("" for a whole file) and code of each block."""
    return BLOCK.findall(text)


def write(text: str, home: Path) -> list[str]:
    """Follow the text: write its files in ``home``; their paths as they stand in the text."""
    for path, name, code in blocks(text):
        file = home / path
        if name:
            file.write_text(add_to_class(file.read_text(), name, code))
        else:
            assert not file.exists(), f"{path} is there already"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code)
    return [path for path, _, _ in blocks(text)]


def add_to_class(source: str, name: str, code: str) -> str:
    """The source with the code behind the last field of a class.

    >>> print(add_to_class("class A:\\n    a: int = 1\\n\\nc = 3", "A", "b: int = 2"), end="")
    class A:
        a: int = 1
        b: int = 2
    <BLANKLINE>
    c = 3
    """
    nodes = [n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == name]
    last = max(n.end_lineno or 0 for n in nodes[0].body if isinstance(n, ast.AnnAssign))
    lines = source.splitlines()
    return "\n".join([*lines[:last], indent(code.rstrip(), "    "), *lines[last:], ""])

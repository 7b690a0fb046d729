"""Judge histopathology images: filter slide tiles and score generated sets with one model.

The public names stand in ``__init__.pyi``, once, for type checkers and for this module, which
imports each on first use, so that ``rl2qc --help`` does not wait for torch.
"""

from __future__ import annotations

__version__ = "0.2.0"

_homes: dict[str, str] = {}


def _names() -> dict[str, str]:
    """The module of each public name, read when one is asked for: a command starts sooner."""
    if not _homes:
        import ast
        from pathlib import Path

        stub = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
        _homes.update(
            (alias.name, str(node.module))
            for node in ast.parse(stub).body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        )
    return _homes


def __getattr__(name: str) -> object:
    if name == "__all__":
        return __dir__()
    if name not in _names():
        import sys

        message = f"module 'rl2qc' has no attribute {name!r}"
        raise AttributeError(message, name=name, obj=sys.modules[__name__])
    from importlib import import_module

    return getattr(import_module(_names()[name]), name)


def __dir__() -> list[str]:
    return sorted([*_names(), "__version__"])

"""The JSON Schemas in ``schemas/``, one for each kind of result."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

__all__ = ["load_schema"]


def load_schema(name: str) -> dict[str, Any]:
    """Read ``schemas/<name>.schema.json``.

    Example
    -------
    >>> load_schema("scorecard")["type"]
    'object'
    """
    file = resources.files("rl2qc.reports") / "schemas" / f"{name}.schema.json"
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded

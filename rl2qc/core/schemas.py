"""The JSON Schemas of results, each in the folder ``schemas/`` of its room."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

__all__ = ["load_schema"]


def load_schema(room: str, name: str) -> dict[str, Any]:
    """Read ``rl2qc/<room>/schemas/<name>.schema.json``.

    Examples
    --------
    >>> load_schema("scoring", "scorecard")["type"]
    'object'
    """
    file = resources.files("rl2qc") / room / "schemas" / f"{name}.schema.json"
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded

"""What is known about finished work: whose result it is, by which model, with which settings.

A record is written last of all files of a slide, so that one stands for a complete result.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl2qc.core.files import write_json

__all__ = ["RECORD", "Record", "read_record", "write_record"]

RECORD = "record.json"


@dataclass(frozen=True)
class Record:
    """The record of one finished input.

    Attributes
    ----------
    key
        "input" (:func:`identify`), "model" and "settings": equal keys, equal results.
    row
        Its row in ``summary.csv``.
    slide
        What its table of tiles says beside the columns of ``tiles.csv``.
    files
        Names of the files in its folder.
    """

    key: dict[str, Any]
    row: dict[str, Any]
    slide: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def read_record(folder: Path) -> Record | None:
    """The record of a result folder; None without one, or if one of its files is missing."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        record = Record(content["key"], content["row"], content["slide"], tuple(content["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if all((folder / name).exists() for name in record.files) else None


def write_record(folder: Path, record: Record) -> None:
    """Write the record of a result folder, whose files must all be there."""
    content = {
        "key": record.key,
        "row": record.row,
        "slide": record.slide,
        "files": list(record.files),
    }
    write_json(folder / RECORD, content)

"""What is known about finished work: whose result it is, by which model, with which settings.

A record is written last of all files of a slide, so that one stands for a complete result.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl2qc.atomic import atomic_path
from rl2qc.images.sources import IMAGE_SUFFIXES
from rl2qc.slides.companions import slide_files
from rl2qc.slides.jobs import Job

__all__ = [
    "RECORD",
    "Record",
    "changes",
    "identify",
    "read_json",
    "read_record",
    "write_json",
    "write_record",
]

RECORD = "record.json"
# Bytes at the beginning, the middle and the end of a file that stand for all of it.
_SAMPLE = 2**16


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


def identify(job: Job) -> dict[str, Any]:
    """Size, time of the last change and a quick hash of an input, all its files together.

    Slides are hashed by samples of 64 KiB, sets of images by the names, sizes and times of their
    files. Where an input lies is no part of it: results stay valid when a disk moves.

    Raises
    ------
    OSError
        It is not there, or cannot be read.
    """
    digest, size, newest = hashlib.sha256(), 0, 0
    for file in _files(job):
        status = file.stat()
        size, newest = size + status.st_size, max(newest, status.st_mtime_ns)
        digest.update(os.fsencode(file.name) + b"\0" + str(status.st_size).encode() + b"\0")
        if job.kind == "slide":
            with file.open("rb") as opened:
                last = max(0, status.st_size - _SAMPLE)
                for start in sorted({0, last // 2, last}):
                    opened.seek(start)
                    digest.update(opened.read(_SAMPLE))
        else:
            digest.update(str(status.st_mtime_ns).encode() + b"\0")
    return {"size": size, "mtime_ns": newest, "sha256": digest.hexdigest()}


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two mappings, for a person to read.

    Example
    -------
    >>> changes({"alpha": 0.05, "stride": None}, {"alpha": 0.01, "stride": None})
    ['alpha 0.05 -> 0.01']
    """
    return [
        f"{name} {_text(old.get(name))} -> {_text(new.get(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


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


def read_json(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds; {} where it holds none, or is not there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file; numbers that are not finite become null."""
    with atomic_path(path) as temporary:
        text = json.dumps(_plain(content), indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _files(job: Job) -> Iterable[Path]:
    """Every file that belongs to an input."""
    if job.images:
        return job.images
    if job.kind == "patches":
        return sorted(p for p in job.path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    return slide_files(job.path)


def _text(value: Any) -> str:
    if value is None:
        return "default"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

"""The sets of images that a training run leaves, one a checkpoint."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from rl2qc.errors import WorkError
from rl2qc.images.sources.base import SOURCES, source_of

__all__ = ["CheckpointSet", "find_sets", "stamp_of"]

_NUMBER = re.compile(r"\d+")
# What lies in a folder that rl2qc wrote, by watch, filter and benchmark.
_OURS = ("watch.json", "run.json", "benchmark.json")
# What a set that is being written is called, in part.
_UNFINISHED = (".tmp", ".part", ".partial", ".incomplete")


class CheckpointSet(NamedTuple):
    """The images of one checkpoint.

    Attributes
    ----------
    name
        Of the folder or archive in the run's.
    step
        The last number in the name; the place among the names where they have none.
    path
    """

    name: str
    step: int
    path: Path


def find_sets(run: Path, *apart: Path) -> list[CheckpointSet]:
    """Folders and archives of images in ``run``, by step; hidden and unfinished ones aside, and
    what rl2qc wrote, and the places ``apart``.

    Raises
    ------
    WorkError
        The folder is not there any more.

    Examples
    --------
    >>> import tempfile
    >>> run = Path(tempfile.mkdtemp())
    >>> for name in ("step_1000", "step_200", "notes.txt.tmp", ".cache"):
    ...     (run / name).mkdir()
    >>> [(found.name, found.step) for found in find_sets(run)]
    [('step_200', 200), ('step_1000', 1000)]
    """
    try:
        places = sorted(run.iterdir())
    except OSError as error:
        raise WorkError(f"{run} is gone ({error.strerror})") from error
    others = {place.resolve() for place in apart}
    places = [place for place in places if _may_be(place) and place.resolve() not in others]
    found = []
    for number, place in enumerate(places):
        numbers = _NUMBER.findall(place.stem if place.is_file() else place.name)
        found.append(CheckpointSet(place.name, int(numbers[-1]) if numbers else number, place))
    return sorted(found, key=lambda one: (one.step, one.name))


def _may_be(place: Path) -> bool:
    if place.name.startswith(".") or place.name.lower().endswith(_UNFINISHED):
        return False
    if place.is_dir():
        return not any((place / name).is_file() for name in _OURS)
    # A file of many images; single ones belong to no checkpoint.
    name = place.name.lower()
    return any(spec.suffixes and name.endswith(spec.suffixes) for spec in SOURCES) and not (
        source_of(place).on_disk
    )


def stamp_of(path: Path) -> str:
    """What changes while a set is written: how many files it has, their size and latest change."""
    # os.walk passes over folders that vanish meanwhile; rglob does not in every Python.
    inner = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    files = [path] if path.is_file() else [place for place in inner if place.is_file()]
    sizes, latest = 0, 0
    for file in files:
        try:
            about = file.stat()
        except OSError:
            continue  # renamed meanwhile
        sizes, latest = sizes + about.st_size, max(latest, about.st_mtime_ns)
    return f"{len(files)} {sizes} {latest}"

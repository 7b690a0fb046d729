"""One input of a run: what it is, what it is called, whose results are its own."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rl2qc.cohort.inputs.discovery import real_path
from rl2qc.errors import UsageError
from rl2qc.images.sources.files import IMAGE_SUFFIXES
from rl2qc.slides.coords import _look_up, read_coords
from rl2qc.slides.files import slide_files, slide_name

__all__ = ["RESERVED_NAMES", "Job", "identify", "match_coords"]


RESERVED_NAMES = (
    "summary.csv",
    "run.json",
    "report.html",
    "results.tsv",
    "failed",
    ".locks",
    "patches",
    "model-outputs-csv",
)
"""What the output folder holds beside a folder for each job, the folders of CLAM and wsinfer among
it."""


@dataclass(frozen=True)
class Job:
    """One input to filter.

    Attributes
    ----------
    name
        Its folder in the output, unlike that of any other job.
    kind
        "slide", or "patches" for a set of images.
    path
        The slide, or the folder of the images.
    images
        The images that were named one by one; empty for the whole folder.
    mpp
        Microns per pixel at level 0 that a list gives for this slide, None without one.
    coords
        The file of this slide's coordinates in a folder of many, None without one.
    """

    name: str
    kind: Literal["slide", "patches"]
    path: Path
    images: tuple[Path, ...] = ()
    mpp: float | None = None
    coords: str | None = None


def _unique_names(jobs: Sequence[Job]) -> list[str]:
    """A folder name for each job: its own name, and more of its path where two are alike."""
    names = [job.name for job in jobs]
    longer: list[Callable[[Job], str]] = [
        lambda job: f"{real_path(job.path).parent.name}__{job.name}",
        lambda job: f"{real_path(job.path).parent.name}__{job.path.name}",
        lambda job: f"{job.name}-{_digest(job)}",
    ]
    for make in longer:
        # Some file systems do not tell upper from lower case.
        counts = Counter([*RESERVED_NAMES, *(name.casefold() for name in names)])
        names = [
            make(job) if counts[name.casefold()] > 1 else name
            for job, name in zip(jobs, names, strict=True)
        ]
    return [
        name if len(os.fsencode(name)) <= 200 else f"{name[:40]}-{_digest(job)}"
        for job, name in zip(jobs, names, strict=True)
    ]


def _digest(job: Job) -> str:
    return hashlib.sha256(os.fsencode(real_path(job.path))).hexdigest()[:8]


# Bytes at the beginning, the middle and the end of a file that stand for all of it.
_SAMPLE = 2**16


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


def _files(job: Job) -> Iterable[Path]:
    """Every file that belongs to an input."""
    if job.images:
        return job.images
    if job.kind == "patches":
        return sorted(p for p in job.path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    return slide_files(job.path)


def match_coords(place: str | Path, jobs: Sequence[Job]) -> list[Job]:
    """The jobs, each slide with its file in the folder ``place``, before any work is done.

    A file goes by the slide's name in the output or by its own. That there is none is for the
    reader of the slide to say.

    Raises
    ------
    UsageError
        Coordinates of one slide for several, or no coordinates at all.
    """
    place = Path(place)
    count = sum(job.kind == "slide" for job in jobs)
    if not place.is_dir():
        read_coords(place)
        if count > 1:
            raise UsageError(
                f"--coords {place} holds the tiles of one slide and there are {count}: "
                "name the folder of their files"
            )
        return list(jobs)
    matched, taken = [], dict[Path, Job]()
    for job in jobs:
        file = _look_up(place, job.name, slide_name(job.path)) if job.kind == "slide" else None
        if file is not None and (other := taken.setdefault(file, job)) is not job:
            raise UsageError(
                f"{file} may be of {other.path} or of {job.path}: call their files "
                f"{other.name}_patches.h5 and {job.name}_patches.h5"
            )
        # Absolute, since other machines need not start where we are.
        matched.append(replace(job, coords=str(file.absolute()) if file is not None else None))
    return matched

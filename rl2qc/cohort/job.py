"""One input of a run, resolved once: everything that is to be known before a pixel is read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rl2qc.cohort.inputs.input import Input
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.record import ResultFolder
from rl2qc.errors import UsageError
from rl2qc.filtering.exports.files import PlannedFile
from rl2qc.filtering.measure import TileModel
from rl2qc.filtering.settings import FilterSettings
from rl2qc.images.resolution import target_mpp
from rl2qc.images.sources.base import image_identity, source_of
from rl2qc.slides.coords import Coords, find_coords, look_up_coords, read_coords
from rl2qc.slides.files import slide_name
from rl2qc.slides.readers.base import reader_of

__all__ = ["Job", "identify", "key_of", "match_coords", "resolve_jobs"]

# Bytes at the beginning, the middle and the end of a file that stand for all of it.
_SAMPLE = 2**16


@dataclass(frozen=True)
class Job:
    """One input, and what is to be done with it.

    Attributes
    ----------
    input
        What it is: name, kind, path, images.
    settings
        How it is filtered, with what a list gives for it alone.
    key
        What its results are made with: "model" and "settings", as in a record.
    result
        The folder of its results.
    planned
        The files that it will have, as far as can be told without its pixels.
    coords
        Where its tiles lie; None for a grid.
    problem
        Why there are no coordinates for it, which it fails with.
    """

    input: Input
    settings: FilterSettings
    key: Mapping[str, Any]
    result: ResultFolder
    planned: tuple[PlannedFile, ...] = ()
    coords: Coords | None = None
    problem: UsageError | None = None

    @property
    def name(self) -> str:
        """The name of the input and of its folder."""
        return self.input.name

    @property
    def kind(self) -> str:
        """What it is: slide or patches."""
        return self.input.kind

    @property
    def path(self) -> Path:
        """Where the input is."""
        return self.input.path

    @cached_property
    def identity(self) -> dict[str, Any]:
        """:func:`identify`, asked once; {} where it cannot be read, which is for its reader to
        say."""
        with suppress(OSError):
            return identify(self.input)
        return {}

    def absolute(self) -> Job:
        """The same from anywhere: workers need not start where we are."""
        coords = self.coords
        if coords is not None:
            coords = replace(coords, path=coords.path.absolute())
        result = ResultFolder(self.result.path.absolute())
        # Plans are checked before work begins, and hold functions that do not travel.
        return replace(self, input=self.input.absolute(), coords=coords, result=result, planned=())


@dataclass(frozen=True)
class _Plan:
    """What tells where the files of a job will lie, before there is a table of its tiles."""

    name: str
    path: Path
    kind: str
    mpp: float | None
    tile_size: int | None
    overlap: int
    coords: dict[str, Any] | None
    maps: bool


def resolve_jobs(
    inputs: Sequence[Input],
    folder: RunFolder,
    model: TileModel,
    settings: FilterSettings,
    formats: Sequence[str],
) -> list[Job]:
    """Find out once what is to be known of each input.

    Parameters
    ----------
    inputs
        What is to be filtered.
    folder
        Where the results go.
    model, settings, formats
        How it is filtered, and what is written.

    Raises
    ------
    UsageError
        An ``mpp`` that is far from the model's.
    """
    mpp, _ = target_mpp(model.mpp, settings.mpp, any_mpp=settings.any_mpp)
    return [_resolve(item, folder, model, settings, formats, mpp) for item in inputs]


def _resolve(
    item: Input,
    folder: RunFolder,
    model: TileModel,
    settings: FilterSettings,
    formats: Sequence[str],
    mpp: float,
) -> Job:
    coords, problem = None, None
    if item.kind == "slide":
        settings = settings.changes(mpp_override=item.mpp or settings.mpp_override)
        try:
            coords = _coords_of(item, settings.coords)
        except UsageError as error:
            problem = error
    key = key_of(model, settings, formats)
    if settings.coords is not None:
        # What the file says counts, and not where it lies.
        key["settings"]["coords"] = coords.identity if coords is not None else None
    size, stride = model.patch_size, settings.stride or model.patch_size
    plan = _Plan(
        name=item.name,
        path=item.path,
        kind=item.kind,
        mpp=mpp,
        tile_size=size,
        overlap=max(0, size - stride) if coords is None else 0,
        coords=None if coords is None else coords.about,
        maps=model.prior is not None,
    )
    result = folder.result(item.name)
    # Where coordinates cannot be read, nothing is written.
    planned = () if problem is not None else tuple(result.plan(plan, formats))
    return Job(item, settings, key, result, planned, coords, problem)


def key_of(
    model: TileModel, settings: FilterSettings, formats: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """What results are made with: records of equal keys hold equal results."""
    return {
        "model": {"name": model.name, "sha256": model.sha256},
        "settings": {**settings.record(), "formats": sorted(formats)},
    }


def match_coords(place: str | Path | None, inputs: Sequence[Input]) -> list[Input]:
    """The inputs, each slide with its file in the folder ``place``, before any work is done.

    A file goes by the slide's name in the output or by its own. That there is none is for the
    slide to fail with.

    Raises
    ------
    UsageError
        Coordinates of one slide for several, or no coordinates at all.
    """
    if place is None:
        return list(inputs)
    place = Path(place)
    count = sum(item.kind == "slide" for item in inputs)
    if not place.is_dir():
        read_coords(place)
        if count > 1:
            raise UsageError(
                f"--coords {place} holds the tiles of one slide and there are {count}: "
                "name the folder of their files"
            )
        return list(inputs)
    matched, taken = [], dict[Path, Input]()
    for item in inputs:
        is_slide = item.kind == "slide"
        file = look_up_coords(place, item.name, slide_name(item.path)) if is_slide else None
        if file is not None and (other := taken.setdefault(file, item)) is not item:
            raise UsageError(
                f"{file} may be of {other.path} or of {item.path}: call their files "
                f"{other.name}_patches.h5 and {item.name}_patches.h5"
            )
        matched.append(replace(item, coords=file))
    return matched


def _coords_of(item: Input, place: str | Path | None) -> Coords | None:
    if place is None:
        return None
    return read_coords(item.coords or find_coords(place, slide_name(item.path)))


def identify(item: Input) -> dict[str, Any]:
    """Size, time of the last change and a quick hash of an input, all its files together.

    Slides are hashed by samples of 64 KiB, sets of images by the names, sizes and times of their
    files. Where an input lies is no part of it: results stay valid when a disk moves.

    Raises
    ------
    OSError
        It is not there, or cannot be read.
    """
    digest, size, newest = hashlib.sha256(), 0, 0
    files = item.images if item.kind == "patches" else reader_of(item.path).files(item.path)
    for file in files:
        if item.kind == "patches" and not source_of(file).on_disk:
            digest.update(os.fsencode(file.name) + b"\0" + image_identity(file).encode() + b"\0")
            continue
        status = file.stat()
        size, newest = size + status.st_size, max(newest, status.st_mtime_ns)
        digest.update(os.fsencode(file.name) + b"\0" + str(status.st_size).encode() + b"\0")
        if item.kind == "slide":
            with file.open("rb") as opened:
                last = max(0, status.st_size - _SAMPLE)
                for start in sorted({0, last // 2, last}):
                    opened.seek(start)
                    digest.update(opened.read(_SAMPLE))
        else:
            digest.update(str(status.st_mtime_ns).encode() + b"\0")
    return {"size": size, "mtime_ns": newest, "sha256": digest.hexdigest()}

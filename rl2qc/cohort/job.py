"""One input of a run, resolved once: everything that is to be known before a pixel is read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rl2qc.cohort.changes import is_asked
from rl2qc.cohort.inputs.input import Input
from rl2qc.cohort.store.naming import Naming
from rl2qc.cohort.store.record import ResultFolder
from rl2qc.core.files import file_digest
from rl2qc.errors import ImageError, Rl2qcError, UsageError, WorkError
from rl2qc.filtering.exports.registry import PlannedFile
from rl2qc.filtering.measure import TileModel
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.tissue import mask_of, rule_of
from rl2qc.images.resolution import target_mpp
from rl2qc.images.sources.base import image_identity, source_of
from rl2qc.slides.coords import Coords, find_coords, read_coords
from rl2qc.slides.readers.base import reader_of

__all__ = ["Job", "Plan", "identify", "patch_mpp", "resolve_jobs"]

# Bytes at the beginning, the middle and the end of a file that stand for all of it.
_SAMPLE = 2**16


@dataclass(frozen=True)
class Job:
    """One input, and what is to be done with it.

    Attributes
    ----------
    name
        The name of the input and of its folder.
    input
        What it is: kind, path, images.
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
        Why it cannot be done, which it fails with: there are no coordinates or no mask for it, or
        what they say leads out of the folder.
    patch_mpp
        Microns per pixel that the user gives for the images of a set.
    """

    name: str
    input: Input
    settings: FilterSettings
    key: Mapping[str, Any]
    result: ResultFolder
    planned: tuple[PlannedFile, ...] = ()
    coords: Coords | None = None
    problem: Rl2qcError | None = None
    patch_mpp: float | None = None

    @property
    def kind(self) -> str:
        """What it is: slide or patches."""
        return self.input.kind

    @property
    def path(self) -> Path:
        """Where the input is."""
        return self.input.path

    @property
    def mask(self) -> Path | None:
        """The file of its tissue, if that is not to be found on the slide."""
        place = self.settings.tissue_mask
        return place if isinstance(place, Path) and self.kind == "slide" else None

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
        settings = self.settings
        if self.mask is not None:
            settings = settings.changes(tissue_mask=self.mask.absolute())
        # Plans are checked before work begins, and hold functions that do not travel.
        return replace(
            self,
            input=self.input.absolute(),
            settings=settings,
            coords=coords,
            result=ResultFolder(self.result.path.absolute()),
            planned=(),
        )


@dataclass(frozen=True)
class _Sketch:
    """What tells where the files of a job will lie, before there is a table of its tiles."""

    name: str
    path: Path
    kind: str
    mpp: float | None
    tile_size: int | None
    overlap: int
    coords: dict[str, Any] | None
    maps: bool
    stretch: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes
    ----------
    key
        What any of its results are made with, but for what single inputs have of their own.
    jobs
        One for each input.
    """

    key: Mapping[str, Any]
    jobs: tuple[Job, ...]


def resolve_jobs(
    inputs: Sequence[Input],
    out: Path,
    model: TileModel,
    settings: FilterSettings,
    formats: Sequence[str],
) -> Plan:
    """Find out once what is to be known of each input.

    Parameters
    ----------
    inputs
        What is to be filtered.
    out
        The folder that the results go to.
    model, settings, formats
        How it is filtered, and what is written.

    Raises
    ------
    UsageError
        An ``mpp`` that is far from the model's.
    """
    mpp, _ = target_mpp(model.mpp, settings.mpp, any_mpp=settings.any_mpp)
    # Of what single inputs may have of their own, only whether there are files of it counts.
    known = {n: v for n, v in settings.record().items() if n in settings.names(per_input=False)}
    known["coords"] = None if settings.coords is None else "given"
    known["tissue_mask"] = rule_of(settings.tissue_mask)
    jobs = (_resolve(item, out, model, settings, formats, mpp) for item in inputs)
    told = (replace(job, patch_mpp=patch_mpp(job.input, inputs, settings)) for job in jobs)
    return Plan(_key(model, known, formats), tuple(told))


def patch_mpp(item: Input, inputs: Sequence[Input], settings: FilterSettings) -> float | None:
    """Microns per pixel that the user gives for the images of a set; None for a slide."""
    if item.kind == "slide":
        return None
    # Where there are slides, mpp_override is about them.
    beside_slides = any(other.kind == "slide" for other in inputs)
    return item.mpp or (None if beside_slides else settings.mpp_override) or settings.mpp


def _resolve(
    item: Input,
    out: Path,
    model: TileModel,
    settings: FilterSettings,
    formats: Sequence[str],
    mpp: float,
) -> Job:
    coords: Coords | None = None
    problem: Rl2qcError | None = None
    if item.kind == "slide":
        settings = settings.changes(mpp_override=item.mpp or settings.mpp_override, **item.own)
        try:
            coords = _coords_of(item, settings.coords)
            mask = item.mask or mask_of(settings.tissue_mask, item.path)
            settings = settings.changes(tissue_mask=mask)
        except UsageError as error:
            problem = error
    # What files say counts, and not where they lie.
    known, private = settings.record(), Naming(out).private
    if settings.coords is not None:
        known["coords"] = None
        if coords is not None:
            known["coords"] = _told(item, coords.path, coords.sha256, private)
    known["tissue_mask"] = _mask_identity(item, settings.tissue_mask, private)
    was = FilterSettings.complete({})
    known |= {n: was[n] for n in ("edges", "covering") if not _is_asked(n, item, known)}
    size, stride = model.patch_size, settings.stride or model.patch_size
    sketch = _Sketch(
        name=item.name,
        path=item.path,
        kind=item.kind,
        mpp=mpp,
        tile_size=size,
        overlap=max(0, size - stride) if coords is None else 0,
        coords=None if coords is None else coords.about,
        maps=model.prior is not None,
    )
    result = ResultFolder(out / item.name)
    # Where coordinates cannot be read, nothing is written.
    planned: tuple[PlannedFile, ...] = ()
    if problem is None:
        try:
            planned = tuple(result.plan(sketch, formats))
        except WorkError as error:
            problem = error
    return Job(
        item.name, item, settings, _key(model, known, formats), result, planned, coords, problem
    )


def _key(
    model: TileModel, settings: Mapping[str, Any], formats: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """What results are made with: records of equal keys hold equal results."""
    return {
        "model": {"name": model.name, "sha256": model.sha256},
        "settings": {**settings, "formats": sorted(formats)},
    }


def _told(item: Input, file: Path, sha256: str, private: bool) -> str:
    """A file that belongs to an input, by its name and hash; among codes, by the input's."""
    return f"{item.name + file.suffix if private else file.name} ({sha256[:12]})"


def _is_asked(name: str, item: Input, settings: Mapping[str, Any]) -> bool:
    """Whether an input's results depend on an option; of others the record stays that of before."""
    return item.kind == "slide" and is_asked(name, settings)


def _mask_identity(item: Input, place: str | Path | None, private: bool) -> str | None:
    """What a record says of the mask; patches have none, as in records of before."""
    if item.kind != "slide":
        return str(FilterSettings.complete({})["tissue_mask"])
    if not isinstance(place, Path):
        return rule_of(place)
    with suppress(OSError):
        return _told(item, place, file_digest(place), private)
    return None


def _coords_of(item: Input, place: str | Path | None) -> Coords | None:
    if place is None:
        return None
    return read_coords(item.coords or find_coords(place, item.own_name))


def _content(image: Path) -> bytes:
    """What changes when an image does that is no file. One that is damaged fails by name when it is
    measured, and costs none of the others."""
    try:
        return image_identity(image).encode()
    except ImageError:
        return b"damaged"


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
            digest.update(os.fsencode(file.name) + b"\0" + _content(file) + b"\0")
            continue
        status = file.stat()
        size, newest = size + status.st_size, max(newest, status.st_mtime_ns)
        digest.update(os.fsencode(file.name) + b"\0" + str(status.st_size).encode() + b"\0")
        if item.kind == "slide" and not stat.S_ISREG(status.st_mode):
            # A pipe would be waited for without end.
            raise OSError(f"{file} is no file")
        if item.kind == "slide":
            with file.open("rb") as opened:
                last = max(0, status.st_size - _SAMPLE)
                for start in sorted({0, last // 2, last}):
                    opened.seek(start)
                    digest.update(opened.read(_SAMPLE))
        else:
            digest.update(str(status.st_mtime_ns).encode() + b"\0")
    return {"size": size, "mtime_ns": newest, "sha256": digest.hexdigest()}

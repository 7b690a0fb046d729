"""Filter many slides and patch folders into one folder: every one is attempted.

The output folder holds a folder for each input, ``summary.csv`` with a row for each, ``run.json``
that says how it was made, and ``failed/`` with the traceback of each that failed.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import re
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openslide

from rl2qc.atomic import atomic_path
from rl2qc.errors import Rl2qcError, UsageError
from rl2qc.images.sources import IMAGE_SUFFIXES
from rl2qc.slides.exports import DEFAULT_FORMATS, FORMATS, export
from rl2qc.slides.filtering import (
    FilterSettings,
    TileModel,
    TileTable,
    filter_patches,
    filter_slide,
)

__all__ = [
    "CohortProgress",
    "Job",
    "SummaryRow",
    "find_jobs",
    "is_slide",
    "prepare_output",
    "run_cohort",
]

SLIDE_SUFFIXES = frozenset(
    {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".dcm", ".vms", ".vmu", ".svslide", ".czi"}
)
_SUMMARY, _RUN, _FAILED, _FAILURES = "summary.csv", "run.json", "failed", "failures.csv"
# DICOM's Series Instance UID as it stands in a file; the header precedes all pixels.
_DICOM_SERIES = re.compile(rb"\x20\x00\x0e\x00UI(..)([0-9.]{1,64})", re.DOTALL)
_DICOM_HEADER = 2**16


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
    """

    name: str
    kind: Literal["slide", "patches"]
    path: Path
    images: tuple[Path, ...] = ()


@dataclass(frozen=True)
class SummaryRow:
    """What became of a job; ``status`` is "done", "partial" (images that cannot be used were
    left out) or "failed"."""

    name: str
    kind: str
    status: str
    tiles: int = 0
    kept: int = 0
    kept_share: float = math.nan
    median_log_likelihood: float = math.nan
    mpp: float | None = None
    level: int | None = None
    tissue_share: float | None = None
    unreadable: int = 0
    seconds: float = 0.0
    error: str = ""
    warnings: tuple[str, ...] = ()
    path: str = ""


CohortProgress = Callable[[int, Job, int, int], None]
"""Called with the number of the job (from 0), the job, and its tiles done and in all."""


def find_jobs(inputs: Sequence[str | Path]) -> tuple[list[Job], list[str]]:
    """Tell slides, patch folders and images apart.

    Parameters
    ----------
    inputs
        Slides, folders of slides or of patches, DICOM folders, image files, globs.

    Returns
    -------
    The jobs in the order of the inputs, each once, and warnings about what is left out.

    Raises
    ------
    UsageError
        An input that does not exist, or a folder that holds neither slides nor images.
    """
    slides: dict[Path, Path] = {}  # where it really is -> as it was named
    folders: dict[Path, Path] = {}
    loose: defaultdict[Path, dict[Path, None]] = defaultdict(dict)
    warnings: list[str] = []
    for path in _expand(inputs):
        if not path.is_dir():
            if is_slide(path):
                slides.setdefault(_real(path), path)
            else:
                loose[path.parent][path] = None
            continue
        found, images = _look_into(path)
        for file in found:
            slides.setdefault(_real(file), file)
        if found and images:
            warnings.append(
                f"{images} images beside the slides in {path} are left out: "
                "name them as inputs of their own to filter them"
            )
        elif images:
            folders.setdefault(_real(path), path)
        elif not found:
            raise UsageError(f"no slides and no images in folder {path}")

    drafts = [
        *_slide_jobs(slides.values()),
        *(Job(_real(path).name, "patches", path) for path in folders.values()),
        *(
            Job(_real(folder).name, "patches", folder, tuple(images))
            for folder, images in loose.items()
        ),
    ]
    names = _unique_names(drafts)
    return [replace(job, name=name) for job, name in zip(drafts, names, strict=True)], warnings


def is_slide(path: Path) -> bool:
    """Whether a file is for OpenSlide rather than an image of one patch.

    Names decide, except that of TIFF files only those that OpenSlide knows are slides.
    """
    suffix = path.suffix.lower()
    if suffix in {".tif", ".tiff"}:
        return openslide.OpenSlide.detect_format(path) is not None
    return suffix in SLIDE_SUFFIXES


def prepare_output(out: Path, jobs: Sequence[Job], *, overwrite: bool = False) -> None:
    """Make the output folder, or refuse one that holds results.

    Raises
    ------
    UsageError
        ``out`` is a file, or holds results and ``overwrite`` is False.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file: name a folder")
    for name in (_RUN, _SUMMARY, *(job.name for job in jobs)):
        if (out / name).exists() and not overwrite:
            raise UsageError(
                f"{out} holds results already ({name}): choose another --out or pass --overwrite"
            )
    out.mkdir(parents=True, exist_ok=True)


def run_cohort(
    jobs: Sequence[Job],
    model: TileModel,
    out: Path,
    settings: FilterSettings | None = None,
    *,
    formats: Sequence[str] = DEFAULT_FORMATS,
    record: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    progress: CohortProgress | None = None,
) -> list[SummaryRow]:
    """Filter every job into ``out``; one that fails is recorded and the rest goes on.

    Parameters
    ----------
    jobs, model
        What is filtered, and what judges it.
    out
        The output folder.
    settings
        How tiles are cut and judged.
    formats
        Names in :data:`rl2qc.slides.exports.FORMATS`.
    record
        More entries for ``run.json``: the command, say.
    warnings
        Warnings of the run, for ``run.json``.
    progress
        Called after every batch.
    """
    settings = settings or FilterSettings()
    started, clock = datetime.now(UTC), time.monotonic()
    rows: list[SummaryRow] = []
    for number, job in enumerate(jobs):
        rows.append(_run_job(number, job, model, out, settings, formats, progress))
        # After each, so that a run that is killed leaves an account of what it did.
        _write_csv(out / _SUMMARY, [f.name for f in fields(SummaryRow)], map(_cells, rows))
    _write_json(
        out / _RUN,
        {
            **(record or {}),
            "model": {
                "name": model.name,
                "sha256": getattr(model, "sha256", ""),
                "patch_size": model.patch_size,
                "mpp": model.mpp,
            },
            "settings": {**asdict(settings), "formats": list(formats)},
            "inputs": {"all": len(rows), **Counter(row.status for row in rows)},
            "versions": _versions(),
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 2),
            "warnings": [
                *warnings,
                *(f"{row.name}: {warning}" for row in rows for warning in row.warnings),
            ],
        },
    )
    return rows


# ---------------------------------------------------------------- inputs


def _expand(inputs: Iterable[str | Path]) -> Iterable[Path]:
    for item in inputs:
        if Path(item).exists():
            yield Path(item)
            continue
        # Path.glob takes no absolute pattern.
        matches = sorted(glob.glob(str(item), recursive=True))  # noqa: PTH207
        if not matches:
            raise UsageError(f"no such file or folder: {item}")
        yield from map(Path, matches)


def _real(path: Path) -> Path:
    """Where links lead; unlike Path.resolve, without an error for a loop of links."""
    return Path(os.path.realpath(path))


def _look_into(folder: Path) -> tuple[list[Path], int]:
    """The slides below a folder in order, and the number of its images."""
    slides, images = [], 0
    # Links to folders are not followed, so that a loop of links ends.
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            file = Path(place, name)
            if name.startswith("."):
                continue
            if is_slide(file):
                slides.append(file)
            elif file.suffix.lower() in IMAGE_SUFFIXES:
                images += 1
    return slides, images


def _slide_jobs(files: Iterable[Path]) -> list[Job]:
    """One job a slide; the files of a DICOM series are one slide, named after their folder."""
    series: dict[tuple[Path, bytes], Path] = {}
    for file in files:
        # An ordinary slide is a series of its own.
        key = _dicom_series(file) if file.suffix.lower() == ".dcm" else os.fsencode(file)
        series.setdefault((file.parent, key), file)
    dicom_folders = Counter(f.parent for f in series.values() if f.suffix.lower() == ".dcm")
    return [
        Job(
            _real(file.parent).name if dicom_folders.get(file.parent) == 1 else file.stem,
            "slide",
            file,
        )
        if file.suffix.lower() == ".dcm"
        else Job(file.stem, "slide", file)
        for file in series.values()
    ]


def _dicom_series(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            found = _DICOM_SERIES.search(opened.read(_DICOM_HEADER))
    except OSError:
        return b""
    return found[2] if found else b""


def _unique_names(jobs: Sequence[Job]) -> list[str]:
    """A folder name for each job: its own name, and more of its path where two are alike."""
    names = [job.name for job in jobs]
    longer: list[Callable[[Job], str]] = [
        lambda job: f"{_real(job.path).parent.name}__{job.name}",
        lambda job: f"{_real(job.path).parent.name}__{job.path.name}",
        lambda job: f"{job.name}-{_digest(job)}",
    ]
    for make in longer:
        # Some file systems do not tell upper from lower case.
        counts = Counter([_RUN, _SUMMARY, _FAILED, *(name.casefold() for name in names)])
        names = [
            make(job) if counts[name.casefold()] > 1 else name
            for job, name in zip(jobs, names, strict=True)
        ]
    return [
        name if len(os.fsencode(name)) <= 200 else f"{name[:40]}-{_digest(job)}"
        for job, name in zip(jobs, names, strict=True)
    ]


def _digest(job: Job) -> str:
    return hashlib.sha256(os.fsencode(_real(job.path))).hexdigest()[:8]


# ---------------------------------------------------------------- work


def _run_job(
    number: int,
    job: Job,
    model: TileModel,
    out: Path,
    settings: FilterSettings,
    formats: Sequence[str],
    progress: CohortProgress | None,
) -> SummaryRow:
    clock = time.monotonic()
    folder, trace = out / job.name, out / _FAILED / f"{job.name}.txt"

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(number, job, done, total)

    try:
        # What an earlier run left must not pass for the result of this one.
        _clear(folder, trace)
        table = replace(_filter(job, model, settings, report), name=job.name)
        export(table, folder, formats)
        if table.failures:
            _write_csv(folder / _FAILURES, ["what", "reason"], table.failures)
    # Whatever goes wrong with one input must not cost the others their turn.
    except Exception as error:
        text = str(error) if isinstance(error, Rl2qcError) else f"{type(error).__name__}: {error}"
        with suppress(OSError):
            _clear(folder)
        _write_trace(trace)
        return SummaryRow(
            job.name,
            job.kind,
            "failed",
            seconds=time.monotonic() - clock,
            error=" ".join(text.split()),
            path=str(job.path),
        )
    likelihoods = table.measurements.get("log_likelihood", np.empty(0))
    return SummaryRow(
        name=job.name,
        kind=job.kind,
        status="partial" if table.failures and job.kind == "patches" else "done",
        tiles=len(table),
        kept=int(table.keep.sum()),
        kept_share=table.kept_share,
        median_log_likelihood=float(np.median(likelihoods)) if len(likelihoods) else math.nan,
        mpp=table.mpp,
        level=table.level,
        tissue_share=table.tissue_coverage,
        unreadable=table.unreadable,
        seconds=time.monotonic() - clock,
        warnings=table.warnings,
        path=str(job.path),
    )


def _filter(
    job: Job, model: TileModel, settings: FilterSettings, report: Callable[[int, int], None]
) -> TileTable:
    if job.kind == "slide":
        return filter_slide(job.path, model, **asdict(settings), progress=report)
    return filter_patches(
        job.images or job.path,
        model,
        alpha=settings.alpha,
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        progress=report,
    )


def _clear(folder: Path, *others: Path) -> None:
    """Remove the files that this package writes, and no others."""
    names = (_FAILURES, *(kind.filename for kind in FORMATS.values()))
    for path in (*others, *(folder / name for name in names)):
        path.unlink(missing_ok=True)


# ---------------------------------------------------------------- records


def _cells(row: SummaryRow) -> list[Any]:
    """The row for a spreadsheet: what is unknown is empty."""
    values = {f.name: getattr(row, f.name) for f in fields(row)}
    values["warnings"] = "; ".join(row.warnings)
    values["seconds"] = round(row.seconds, 2)
    return [
        "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
        for value in values.values()
    ]


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_trace(path: Path) -> None:
    """The traceback of the error being handled."""
    # A full or read-only disk is often the very error, and its message is in the summary.
    with suppress(OSError), atomic_path(path) as temporary:
        temporary.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "openslide": openslide.__library_version__}
    for package in ("rl2qc", "torch", "torchvision", "nflows", "numpy", "openslide-python"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions

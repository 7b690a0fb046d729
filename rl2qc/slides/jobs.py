"""What is to be filtered: slides and sets of patches, found, told apart and named."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import openslide

from rl2qc.errors import UsageError
from rl2qc.images.sources import IMAGE_SUFFIXES
from rl2qc.slides.companions import dicom_series
from rl2qc.slides.slide_list import find_mpp, read_mpp_table, read_slide_list

__all__ = ["RESERVED_NAMES", "Job", "find_jobs", "is_slide", "parse_shard", "take_shard"]

SLIDE_SUFFIXES = frozenset(
    {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".dcm", ".vms", ".vmu", ".svslide", ".czi"}
)
RESERVED_NAMES = (
    "summary.csv",
    "run.json",
    "report.html",
    "results.tsv",
    "failed",
    ".locks",
)
"""What the output folder holds beside a folder for each job."""


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
    """

    name: str
    kind: Literal["slide", "patches"]
    path: Path
    images: tuple[Path, ...] = ()
    mpp: float | None = None


def find_jobs(
    inputs: Sequence[str | Path], *, mpp_csv: str | Path | None = None
) -> tuple[list[Job], list[str]]:
    """Tell slides, patch folders and images apart.

    Parameters
    ----------
    inputs
        Slides, folders of slides or of patches, DICOM folders, image files, globs, and CSV files
        of slides (:func:`rl2qc.slides.slide_list.read_slide_list`).
    mpp_csv
        A table ``wsi,mpp`` of resolutions; what a list of slides gives itself goes before.

    Returns
    -------
    The jobs in the order of the inputs, each once, and warnings about what is left out.

    Raises
    ------
    UsageError
        An input that does not exist, a folder that holds neither slides nor images, or a CSV file
        without the columns that it needs.
    """
    slides: dict[Path, Path] = {}  # where it really is -> as it was named
    resolutions: dict[Path, float] = {}
    folders: dict[Path, Path] = {}
    loose: defaultdict[Path, dict[Path, None]] = defaultdict(dict)
    warnings: list[str] = []
    for path in _expand(inputs):
        if path.suffix.lower() == ".csv" and path.is_file():
            # A slide that is listed and missing is a job that fails, not the end of the others.
            for file, mpp in read_slide_list(path):
                slides.setdefault(_real(file), file)
                if mpp is not None:
                    resolutions[_real(file)] = mpp
            continue
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

    table = read_mpp_table(mpp_csv) if mpp_csv is not None else {}
    drafts = [
        *(
            replace(job, mpp=resolutions.get(_real(job.path), find_mpp(table, job.path)))
            for job in _slide_jobs(slides.values())
        ),
        *(Job(_real(path).name, "patches", path) for path in folders.values()),
        *(
            Job(_real(folder).name, "patches", folder, tuple(images))
            for folder, images in loose.items()
        ),
    ]
    if table:
        warnings += _unused(table, drafts, mpp_csv)
    names = _unique_names(drafts)
    return [replace(job, name=name) for job, name in zip(drafts, names, strict=True)], warnings


def parse_shard(text: str | None, environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Which part of how many, counted from 0.

    Parameters
    ----------
    text
        "i/n" with i from 1 to n; None takes the array task of SLURM, if there is one.
    environment
        Variables that SLURM sets; those of the process by default.

    Raises
    ------
    UsageError
        Neither "i/n" nor a SLURM array that counts upwards in ones.

    Example
    -------
    >>> parse_shard("2/5"), parse_shard(None, {})
    ((1, 5), (0, 1))
    >>> parse_shard(None, {"SLURM_ARRAY_TASK_ID": "12", "SLURM_ARRAY_TASK_COUNT": "4",
    ...                    "SLURM_ARRAY_TASK_MIN": "10"})
    (2, 4)
    """
    if text is None:
        variables = os.environ if environment is None else environment
        task = variables.get("SLURM_ARRAY_TASK_ID")
        if task is None:
            return 0, 1
        count = variables.get("SLURM_ARRAY_TASK_COUNT", "")
        # Arrays begin anywhere: --array=0-9 and --array=1-10 are the same ten parts.
        first = variables.get("SLURM_ARRAY_TASK_MIN", "0")
        if task.isdigit() and count.isdigit() and first.isdigit():
            index, parts = int(task) - int(first), int(count)
            if 0 <= index < parts:
                return index, parts
        raise UsageError(
            f"cannot tell which part SLURM's array task {task} of {count or '?'} from {first} is: "
            "submit the array with steps of 1, or pass --shard i/n"
        )
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"--shard must be i/n with i from 1 to n, such as 1/4, got {text!r}")
    return int(found[1]) - 1, int(found[2])


def take_shard(jobs: Sequence[Job], index: int, parts: int) -> list[Job]:
    """Every ``parts``-th job from ``index`` on: together, the parts hold each job once."""
    return list(jobs[index::parts])


def is_slide(path: Path) -> bool:
    """Whether a file is for OpenSlide rather than an image of one patch.

    Names decide, except that of TIFF files only those that OpenSlide knows are slides.
    """
    suffix = path.suffix.lower()
    if suffix in {".tif", ".tiff"}:
        return openslide.OpenSlide.detect_format(path) is not None
    return suffix in SLIDE_SUFFIXES


def _unused(table: Mapping[str, float], jobs: Sequence[Job], source: object) -> list[str]:
    """A misspelt name in a table of resolutions must not go unnoticed."""
    known = {name for job in jobs for name in (job.path.name, job.path.stem, str(job.path))}
    left = [name for name in table if name not in known]
    if not left:
        return []
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return [f"{source} has a resolution for {left[0]}{more}, which is no slide of this run"]


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
        key = dicom_series(file) if file.suffix.lower() == ".dcm" else os.fsencode(file)
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
    return hashlib.sha256(os.fsencode(_real(job.path))).hexdigest()[:8]

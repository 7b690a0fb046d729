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

from rl2qc.errors import UsageError
from rl2qc.slides.companions import dicom_series, slide_name, slide_place
from rl2qc.slides.contents import Contents, look_into, real_path, tell_apart
from rl2qc.slides.slide_list import read_mpp_table, read_slide_list

__all__ = ["RESERVED_NAMES", "Job", "find_jobs", "parse_shard", "take_shard"]

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


def find_jobs(
    inputs: Sequence[str | Path], *, mpp_csv: str | Path | None = None
) -> tuple[list[Job], list[str]]:
    """Tell slides, patch folders and images apart.

    Parameters
    ----------
    inputs
        Slides, folders of slides or of patches, DICOM folders, image files, globs, and CSV files
        of slides (:func:`rl2qc.slides.slide_list.read_slide_list`). What TIFF files are is told by
        their company (:func:`rl2qc.slides.contents.tell_apart`).
    mpp_csv
        A table ``wsi,mpp`` of resolutions, by path, name or name of the results; what a list of
        slides gives itself goes before.

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
    given = list(_expand(inputs))
    patches = _named_patches(path for path in given if not path.is_dir() and not _is_list(path))
    for path in given:
        if _is_list(path):
            # A slide that is listed and missing is a job that fails, not the end of the others.
            for file, mpp in read_slide_list(path):
                found = look_into(file) if file.is_dir() else Contents([file])
                warnings += found.warnings
                for slide in found.slides or [file]:
                    slides.setdefault(real_path(slide), slide)
                    if mpp is not None:
                        resolutions[real_path(slide)] = mpp
        elif path in patches:
            loose[path.parent][path] = None
        elif not path.is_dir():
            slides.setdefault(real_path(path), path)
        else:
            found = look_into(path)
            warnings += found.warnings
            for file in found.slides:
                slides.setdefault(real_path(file), file)
            if found.slides and found.images:
                warnings.append(
                    f"{len(found.images)} images beside the slides in {path} are left out: "
                    "name them as inputs of their own to filter them"
                )
            elif found.images and found.linked:
                # Images are not looked for behind links: they must be named.
                loose[path].update(dict.fromkeys(found.images))
            elif found.images:
                folders.setdefault(real_path(path), path)
            elif not found.slides:
                nothing = f"no slides and no images in folder {path}"
                raise UsageError("; ".join([nothing, *found.warnings]))

    drafts = [
        *_slide_jobs(slides.values(), resolutions),
        *(Job(real_path(path).name, "patches", path) for path in folders.values()),
        *(
            Job(real_path(folder).name, "patches", folder, tuple(images))
            for folder, images in loose.items()
        ),
    ]
    names = _unique_names(drafts)
    jobs = [replace(job, name=name) for job, name in zip(drafts, names, strict=True)]
    table = read_mpp_table(mpp_csv) if mpp_csv is not None else {}
    if table:
        warnings += _unused(table, jobs, mpp_csv)
    return [
        replace(job, mpp=job.mpp or _find_mpp(table, job)) if job.kind == "slide" else job
        for job in jobs
    ], warnings


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


def _is_list(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and path.is_file()


def _named_patches(files: Iterable[Path]) -> set[Path]:
    """The images of patches among files that were named one by one."""
    together: defaultdict[Path, list[Path]] = defaultdict(list)
    for file in files:
        together[file.parent].append(file)
    return {image for group in together.values() for image in tell_apart(group)[1]}


def _called(job: Job) -> tuple[str, ...]:
    """What a table may call a slide: by its place or by name."""
    path, place = job.path, slide_place(job.path)
    given = path if place == path else path.parent
    places = (str(path), str(given), str(place))
    return (*places, job.name, path.name, place.name, slide_name(path), path.stem)


def _find_mpp(table: Mapping[str, float], job: Job) -> float | None:
    return next((table[name] for name in _called(job) if name in table), None) if table else None


def _unused(table: Mapping[str, float], jobs: Sequence[Job], source: object) -> list[str]:
    """A misspelt name in a table of resolutions must not go unnoticed."""
    known = {name for job in jobs for name in _called(job)}
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


def _slide_jobs(files: Iterable[Path], resolutions: Mapping[Path, float]) -> list[Job]:
    """One job a slide; the files of a DICOM series are one slide."""
    series: defaultdict[tuple[Path, bytes], list[Path]] = defaultdict(list)
    for file in files:
        # An ordinary slide is a series of its own.
        series[real_path(file.parent), dicom_series(file) or os.fsencode(file)].append(file)
    return [
        Job(
            slide_name(first),
            "slide",
            first,
            mpp=next(filter(None, (resolutions.get(real_path(f)) for f in (first, *others))), None),
        )
        for first, *others in series.values()
    ]


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

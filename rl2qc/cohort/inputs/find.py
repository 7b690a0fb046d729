"""What is to be filtered: slides and sets of patches, found, told apart and named."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rl2qc.cohort.inputs.discovery import Contents, look_into, real_path, tell_apart
from rl2qc.cohort.inputs.lists import read_mpp_table, read_slide_list
from rl2qc.cohort.job import Job, _unique_names
from rl2qc.errors import UsageError
from rl2qc.slides.files import dicom_series, slide_name, slide_place

__all__ = ["find_jobs"]


def find_jobs(
    inputs: Sequence[str | Path], *, mpp_csv: str | Path | None = None
) -> tuple[list[Job], list[str]]:
    """Tell slides, patch folders and images apart.

    Parameters
    ----------
    inputs
        Slides, folders of slides or of patches, DICOM folders, image files, globs, and CSV files
        of slides (:func:`rl2qc.cohort.inputs.lists.read_slide_list`). What TIFF files are is told
        by their company (:func:`rl2qc.cohort.inputs.discovery.tell_apart`).
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

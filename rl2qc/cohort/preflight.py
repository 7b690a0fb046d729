"""What is settled before a run begins: that what its folder holds and what is asked for agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from rl2qc.cohort.changes import advice, differences, generally
from rl2qc.cohort.job import Job, identify
from rl2qc.cohort.run import Run
from rl2qc.cohort.store.folder import (
    LOCKS,
    check_shared_files,
    foreign,
    is_run,
    retract,
    targets,
    written,
)
from rl2qc.cohort.store.locks import try_lock
from rl2qc.cohort.store.record import RECORD, read_record
from rl2qc.errors import UsageError, WorkError
from rl2qc.filtering.table import TileTable
from rl2qc.images.resolution import target_mpp
from rl2qc.slides.coords import find_coords, read_coords
from rl2qc.slides.files import slide_name

__all__ = ["preflight", "prepare_output"]


def preflight(run: Run, jobs: Sequence[Job], *, overwrite: bool) -> list[str]:
    """Compare what the folder holds with what is asked for; warnings about it.

    With ``overwrite``, finished jobs count as unfinished from here on.

    Raises
    ------
    UsageError
        Files that the run did not write are in its way, or it would mix settings.
    """
    check_shared_files(run.out, run.formats)
    _protect_files(run, jobs)
    warnings = []
    # A model without a hash vouches for nothing: all is judged again.
    for job in jobs if run.sha256 else ():
        record = read_record(run.out / job.name)
        if record is None:
            continue
        if overwrite:
            # What another process is working on is its own affair.
            with try_lock(run.lock(job)) as mine:
                if mine:
                    retract(run.out / job.name)
            continue
        _refuse_changes(run, record.key, run.key(job), "or pass --overwrite to judge again")
        with suppress(OSError):
            if record.key["input"] == identify(job):
                continue
            if not _same_place(record.row.get("path"), job):
                raise UsageError(
                    f"{run.out / job.name} holds the results of another slide "
                    f"({record.row.get('path')}): choose another --out or pass --overwrite"
                )
            warnings.append(f"{job.name} has changed since it was judged: judged again")
    if run.sha256:
        warnings += _compare_others(run, {job.name for job in jobs}, overwrite=overwrite)
    return warnings


# ---------------------------------------------------------------- files


def _protect_files(run: Run, jobs: Iterable[Job]) -> None:
    """Refuse to replace what we did not write, and coordinates that are still to be read."""
    foreigners, coords = list[Path](), list[Path]()
    for job in jobs:
        # Why coordinates cannot be read is for the reader of the slide to say.
        with suppress(OSError, UsageError):
            planned = targets(_sketch(run, job), run.out / job.name, run.formats)
            foreigners += _foreign(run, job, planned)
            coords += _own_coords(run, job, planned)
    if foreigners:
        raise UsageError(
            f"{_first(foreigners)} would be replaced, and is none of the results that rl2qc wrote "
            f"to {run.out}: choose another --out, or move it away"
        )
    if coords:
        raise UsageError(
            f"{_first(coords)} would be replaced while its coordinates are judged: choose another "
            "--out"
        )


def _foreign(run: Run, job: Job, planned: Sequence[Path]) -> list[Path]:
    """Files in the way of a job that we did not write."""
    folder = run.out / job.name
    found = foreign(folder, planned)
    if found:
        # Another process may have finished the job between two looks.
        with try_lock(run.lock(job)) as mine:
            found = foreign(folder, planned) if mine else []
        with suppress(OSError):
            (run.out / LOCKS).rmdir()
    return found


def _own_coords(run: Run, job: Job, planned: Sequence[Path]) -> list[Path]:
    """The coordinates of a job, if it would replace or remove them."""
    place, folder = run.settings_of(job).coords, run.out / job.name
    if place is None or job.kind != "slide":
        return []
    given = find_coords(place, slide_name(job.path))
    ours = {path.resolve() for path in (*planned, *(folder / name for name in written(folder)))}
    return [given] if given.resolve() in ours else []


def _first(paths: Sequence[Path]) -> str:
    return f"{paths[0]} (and {len(paths) - 1} more)" if len(paths) > 1 else str(paths[0])


def _sketch(run: Run, job: Job) -> TileTable:
    """A table without tiles whose files lie where those of the job will, as far as can be told
    without the slide."""
    settings, size = run.settings_of(job), run.model.patch_size
    coords = None
    if settings.coords is not None and job.kind == "slide":
        given = read_coords(find_coords(settings.coords, slide_name(job.path)))
        coords = {"layout": given.layout, "attributes": given.attributes}
    whole = np.empty(0, np.int64)
    return TileTable(
        name=job.name,
        path=job.path,
        kind=job.kind,
        x=whole,
        y=whole,
        width=whole,
        height=whole,
        tissue_fraction=np.empty(0),
        measurements={},
        keep=np.empty(0, np.bool_),
        alpha=settings.alpha,
        mpp=target_mpp(run.model.mpp, settings.mpp, any_mpp=settings.any_mpp)[0],
        patch_size=size,
        overlap=0 if coords else max(0, size - (settings.stride or size)),
        coords=coords,
    )


# ---------------------------------------------------------------- settings


def _compare_others(run: Run, named: set[str], *, overwrite: bool) -> list[str]:
    """Refuse to mix settings in one folder, whatever inputs this call names."""
    mixed: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(run.out.glob(f"*/{RECORD}")):
        name = path.parent.name
        record = None if name in named else read_record(path.parent)
        if record is None:
            continue
        old, new = (generally(key, record.row["kind"]) for key in (record.key, run.key(None)))
        if not overwrite:
            _refuse_changes(run, old, new, "or --overwrite it together with all that is there")
        elif changed := differences(old, new):
            mixed[", ".join(changed)].append(name)
    return [
        f"results of other settings stay in the folder ({changed}): {names[0]}"
        + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for changed, names in mixed.items()
    ]


def _refuse_changes(
    run: Run, old: Mapping[str, Any], new: Mapping[str, Any], otherwise: str
) -> None:
    if changed := differences(old, new):
        raise UsageError(
            f"{run.out} holds results of other settings ({', '.join(changed)}): "
            f"{advice(run.out, old['settings'], new['settings'], changed)}"
            f"choose another --out, {otherwise}"
        )


def _same_place(path: object, job: Job) -> bool:
    return path == str(job.path) or (
        isinstance(path, str) and Path(path).absolute() == job.path.absolute()
    )


def prepare_output(out: Path, jobs: Sequence[Job], *, overwrite: bool = False) -> None:
    """Make the output folder, or refuse one that holds what no ``rl2qc filter`` wrote.

    No file of others is ever replaced, whatever ``overwrite`` says.

    Raises
    ------
    UsageError
        ``out`` is a file, holds a file of others that would be replaced, or a folder of others
        that would be written to and ``overwrite`` is False.
    WorkError
        ``out`` cannot be written to.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file: name a folder")
    taken = next((job.name for job in jobs if (out / job.name).exists()), None)
    # A run writes run.json before all else; looked for last, since one may begin just now.
    check_shared_files(out)
    if taken is not None and not overwrite and not is_run(out):
        raise UsageError(
            f"{out} holds {taken}, which is of no run that could be resumed: choose another --out, "
            "or pass --overwrite to write beside what is there"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        # A file without a name: killed at this point, nothing is left of it.
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise WorkError(f"cannot write to --out {out}: {error.strerror}") from error

"""What is settled before a run begins: that what its folder holds and what is asked for agree."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rl2qc.cohort.changes import advice, differences, generally
from rl2qc.cohort.inputs.input import Input
from rl2qc.cohort.job import Job, Plan
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.locks import try_lock
from rl2qc.cohort.store.record import Record
from rl2qc.errors import UsageError

__all__ = ["by_codes", "preflight"]


def preflight(folder: RunFolder, plan: Plan, *, overwrite: bool) -> list[str]:
    """Compare what the folder holds with what is asked for; warnings about it.

    Parameters
    ----------
    folder, plan
        Where the results go, and what is to be done.
    overwrite
        Finished jobs count as unfinished from here on.

    Raises
    ------
    UsageError
        Files that the run did not write are in its way, or it would mix settings.
    """
    key, jobs = plan.key, plan.jobs
    _protect_files(folder, jobs)
    # A model without a hash vouches for nothing: all is measured again.
    if not key["model"]["sha256"]:
        return []
    warnings, records = [], folder.records()
    for job in jobs:
        record = records.pop(job.name, None)
        if record is None:
            continue
        if overwrite:
            # What another process is working on is its own affair.
            with try_lock(folder.lock(job.name)) as mine:
                if mine:
                    job.result.retract()
            continue
        otherwise = "or pass --overwrite to measure again"
        _refuse_changes(folder.path, record.key, job.key, otherwise)
        if not job.identity or record.key["input"] == job.identity:
            continue
        if not _same_place(record.row.get("path"), job):
            raise UsageError(
                f"{job.result.path} holds the results of another slide "
                f"({record.row.get('path')}): choose another --out or pass --overwrite"
            )
        warnings.append(f"{job.name} has changed since it was measured: measured again")
    return [*warnings, *_compare_others(folder.path, records, key, overwrite=overwrite)]


# ---------------------------------------------------------------- files


def _protect_files(folder: RunFolder, jobs: Sequence[Job]) -> None:
    """Refuse to replace what we did not write, and files that are still to be read."""
    foreign = [path for job in jobs for path in _foreign(folder, job)]
    if foreign:
        raise UsageError(
            f"{_first(foreign)} would be replaced, and is none of the results that rl2qc wrote "
            f"to {folder.path}: choose another --out, or move it away"
        )
    if given := [path for job in jobs for path in _given_and_replaced(job)]:
        raise UsageError(
            f"{_first(given)} would be replaced while it is read: choose another --out"
        )


def _foreign(folder: RunFolder, job: Job) -> list[Path]:
    """Files in the way of a job that we did not write."""
    found = job.result.foreign(job.planned)
    if found:
        # Another process may have finished the job between two looks.
        with try_lock(folder.lock(job.name)) as mine:
            found = job.result.foreign(job.planned) if mine else []
        folder.leave()
    return found


def _given_and_replaced(job: Job) -> list[Path]:
    """The coordinates and the mask of a job, if it would replace or remove them."""
    given = [] if job.coords is None else [job.coords.path]
    given += [] if job.mask is None else [job.mask]
    if not given:
        return []
    files = (job.result.path / name for name in job.result.written())
    ours = {path.resolve() for path in (*(file.path for file in job.planned), *files)}
    return [path for path in given if path.resolve() in ours]


def _first(paths: Sequence[Path]) -> str:
    return f"{paths[0]} (and {len(paths) - 1} more)" if len(paths) > 1 else str(paths[0])


# ---------------------------------------------------------------- settings


def _compare_others(
    out: Path, others: Mapping[str, Record], key: Mapping[str, Any], *, overwrite: bool
) -> list[str]:
    """Refuse to mix settings in one folder, whatever inputs this call names."""
    mixed: defaultdict[str, list[str]] = defaultdict(list)
    for name, record in others.items():
        old, new = (generally(of, record.row["kind"]) for of in (record.key, key))
        if not overwrite:
            _refuse_changes(out, old, new, "or --overwrite it together with all that is there")
        elif changed := differences(old, new):
            mixed[", ".join(changed)].append(name)
    return [
        f"results of other settings stay in the folder ({changed}): {names[0]}"
        + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for changed, names in mixed.items()
    ]


def _refuse_changes(
    out: Path, old: Mapping[str, Any], new: Mapping[str, Any], otherwise: str
) -> None:
    if changed := differences(old, new):
        raise UsageError(
            f"{out} holds results of other settings ({', '.join(changed)}): "
            f"{advice(out, old, new, changed)}choose another --out, {otherwise}"
        )


def _same_place(path: object, job: Job) -> bool:
    return path == str(job.path) or (
        isinstance(path, str) and os.path.realpath(path) == os.path.realpath(job.path)
    )


def by_codes(folder: RunFolder, inputs: Sequence[Input], *, private: bool) -> list[Input]:
    """The inputs by the names that their results have: their own, or codes.

    Raises
    ------
    UsageError
        The results that it holds go by names and these would go by codes, or the other way
        round; or the key is gone.
    """
    before = folder.manifest().get("private", False) if folder.is_run() else None
    if private != before and before is not None:
        how = "by codes (--private)" if before else "by names"
        raise UsageError(f"{folder.path} holds results that go {how}: choose another --out")
    if not private:
        return list(inputs)
    if before and not folder.naming.private:
        raise UsageError(
            f"{folder.naming.table.with_suffix('.key')}, which made the codes in {folder.path}, "
            "is not there: bring it back, or choose another --out"
        )
    files = [(item.name, item.path) for item in inputs]
    files += [(f"{item.name}/{image.name}", image) for item in inputs for image in item.images]
    folder.naming.begin(files)
    return [replace(item, name=folder.naming.code(item.path)) for item in inputs]

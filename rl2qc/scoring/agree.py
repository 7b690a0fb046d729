"""Whether metrics rank generators as Dice (or any other score) does: from a table alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.csv_files import decimal, read_csv
from rl2qc.core.opening import need_file
from rl2qc.core.registry import nearest
from rl2qc.core.text import brief
from rl2qc.errors import UsageError
from rl2qc.scoring.agreement import Agreement, MetricAgreement, TaskAgreement
from rl2qc.scoring.settings import AgreeSettings
from rl2qc.scoring.spec import METRICS
from rl2qc.stats.agreement import rank_agreement
from rl2qc.stats.agreement_p import chance_taus, p_of_mean_tau, p_of_tau

__all__ = ["agree"]

_Columns: TypeAlias = dict[str, list[str]]
# What is compared with where nobody says, and the column that splits a table where it has one.
_TASK = "task"


def agree(
    table: str | Path | Mapping[str, Sequence[Any]],
    settings: AgreeSettings | None = None,
    **changes: Any,
) -> Agreement:
    """How far scores agree with one of them on the order of generators.

    The question of Konz et al.: does a perceptual metric (FID, KID) tell the generator whose images
    are of use (Dice of a segmentation)? Kendall's tau-b, with the share of all orders of the
    generators that agree as much by chance.

    Parameters
    ----------
    table
        A CSV file, or columns by name (a mapping or a DataFrame): one column names the generators,
        one may name the task, and every other is a score. ``name:lower`` says that lower is
        better; metrics of rl2qc say it themselves.
    settings
        Which columns these are, and which score the others are held against.
    **changes
        Single settings: ``against="dice"``.

    Raises
    ------
    UsageError
        A column that is not there, a generator that is there twice, values that are no numbers, or
        fewer than two generators.

    References
    ----------
    Konz et al., "Rethinking perceptual metrics for medical image translation", MIDL 2024,
    arXiv:2404.07318.

    Examples
    --------
    >>> columns = {"generator": ["a", "b", "c"], "dice": [0.9, 0.8, 0.7], "fid": [30, 20, 10]}
    >>> agree(columns)["fid"]
    -1.0
    """
    settings = AgreeSettings.resolve(settings, changes)
    named, columns, delimiter = _columns(table, settings)
    generator, task = _texts(named, columns, settings)
    directions = _directions(named, columns, {generator, task} - {None}, settings)
    scores = {
        name: _numbers(named, name, columns[column], delimiter)
        for name, (column, _) in directions.items()
    }
    higher = {name: is_better for name, (_, is_better) in directions.items()}
    against = _against(named, list(scores), settings)
    labels = columns[task] if task is not None else [""] * len(columns[generator])
    tasks, warnings = [], []
    for label in dict.fromkeys(labels):
        rows = [i for i, other in enumerate(labels) if other == label]
        generators = [columns[generator][i] for i in rows]
        _check_generators(named, label, generators)
        of_task = {name: values[rows] for name, values in scores.items()}
        found, left = _task(named, label, generators, of_task, (higher, against))
        tasks.append(found)
        warnings += left
    overall = _overall(tasks, settings.seed) if len(tasks) > 1 else {}
    return Agreement(
        against,
        higher,
        tuple(tasks),
        overall,
        tuple(warnings),
        {"table": named, "settings": settings.record()},
    )


def _columns(
    table: str | Path | Mapping[str, Sequence[Any]], settings: AgreeSettings
) -> tuple[str, _Columns, str]:
    """What the table is called, its cells by column, and what stands between them in the file."""
    if not isinstance(table, str | Path):
        if not hasattr(table, "items"):
            raise UsageError("a table is a CSV file, or columns by name")
        given = {str(name): list(column) for name, column in table.items()}
        if len(lengths := {len(column) for column in given.values()}) > 1:
            raise UsageError(f"the columns of the table differ in length: {sorted(lengths)}")
        return "the table", {n: [_cell(v) for v in c] for n, c in given.items()}, ","
    need_file(table, pipes=True)
    read = read_csv(table, [settings.generator.lower()])
    if twice := [name for name in read.header if name and read.header.count(name) > 1]:
        raise UsageError(f"{table} has more than one column {twice[0]!r}: keep one")
    columns = {
        name: [cells[at].strip() for _, cells in read.rows]
        for at, name in enumerate(read.header)
        if name
    }
    return str(table), columns, read.delimiter


def _cell(value: Any) -> str:
    """A value of a column as a file would have it: what is missing is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).strip()


def _texts(named: str, columns: _Columns, settings: AgreeSettings) -> tuple[str, str | None]:
    """The columns that hold names: of the generators, of the tasks."""
    task = settings.by
    if task is None and _TASK in columns:
        task = _TASK
    for option, name in (("--generator", settings.generator), ("--by", task)):
        if name is not None and name not in columns:
            raise UsageError(
                f"{named} has no column {name!r} ({option}){nearest(name, tuple(columns))} "
                f"It has {', '.join(columns) or 'none'}"
            )
    if not columns[settings.generator]:
        raise UsageError(f"{named} has no row below its header")
    return settings.generator, task


def _directions(
    named: str, columns: _Columns, texts: set[str | None], settings: AgreeSettings
) -> dict[str, tuple[str, bool]]:
    """By name of a score its column, and whether higher is better."""
    found: dict[str, tuple[str, bool]] = {}
    for column in columns:
        if column in texts:
            continue
        name, _, direction = column.partition(":")
        if direction not in ("", "higher", "lower"):
            raise UsageError(f"{named}: {column!r} must end in :higher or :lower, or neither")
        if name in found:
            raise UsageError(f"{named} has more than one column {name!r}: keep one")
        known = METRICS.get(name).higher_is_better if name in METRICS else None
        lower = direction == "lower" or (not direction and known is False)
        found[name] = column, not lower
    for name in settings.lower:
        if name not in found:
            raise UsageError(
                f"{named} has no score {name!r} (--lower){nearest(name, tuple(found))} "
                f"It has {', '.join(found) or 'none'}"
            )
        found[name] = found[name][0], False
    if len(found) < 2:
        raise UsageError(
            f"{named} needs at least two columns of scores beside {settings.generator}"
        )
    return found


def _numbers(named: str, name: str, cells: Sequence[str], delimiter: str) -> NDArray[np.float64]:
    values = np.full(len(cells), math.nan)
    for row, cell in enumerate(cells):
        if not cell:
            continue
        try:
            values[row] = decimal(cell, delimiter)
        except ValueError:
            values[row] = math.inf
        if not math.isfinite(values[row]):
            raise UsageError(
                f"{named}: {name} in row {row + 1} is {brief(cell)!r}, no number: leave it empty "
                "where there is none, or say --by or --generator where the column holds names"
            )
    return values


def _against(named: str, scores: Sequence[str], settings: AgreeSettings) -> str:
    name = settings.against
    if name not in scores:
        raise UsageError(
            f"{named} has no score {name!r} to hold the others against (--with)"
            f"{nearest(name, tuple(scores))} It has {', '.join(scores)}"
        )
    return name


def _check_generators(named: str, task: str, generators: Sequence[str]) -> None:
    where = f" of {task}" if task else ""
    if twice := [name for name in generators if generators.count(name) > 1]:
        raise UsageError(f"{named} has more than one row of the generator {twice[0]!r}{where}")
    if len(generators) < 2:
        raise UsageError(f"{named}{where}: agreement needs at least two generators, got one")


def _task(
    named: str,
    task: str,
    generators: Sequence[str],
    scores: Mapping[str, NDArray[np.float64]],
    how: tuple[Mapping[str, bool], str],
) -> tuple[TaskAgreement, list[str]]:
    """The agreement within one task; what has gaps is left out of it."""
    higher, against = how
    where = f"{task}: " if task else ""
    if np.isnan(scores[against]).any():
        missing = generators[int(np.argmax(np.isnan(scores[against])))]
        raise UsageError(f"{named}: {where}{against} of {missing} is missing")
    whole = {name: values for name, values in scores.items() if not np.isnan(values).any()}
    warnings = [
        f"{where}{name} is left out: {int(np.isnan(scores[name]).sum())} of {len(generators)} "
        "generators have no value"
        for name in scores
        if name not in whole
    ]
    ranks = rank_agreement({name: values.tolist() for name, values in whole.items()}, dict(higher))
    at = {name: ranks.ranks[i] for i, name in enumerate(ranks.metrics)}
    found = {}
    for name in whole:
        if name == against:
            continue
        tau, rho = ranks.between(against, name)
        if math.isnan(tau):
            flat = name if np.ptp(at[name]) == 0 else against
            warnings.append(f"{where}{name}: no agreement, {flat} has one value for all generators")
            found[name] = MetricAgreement(tau, rho, math.nan)
            continue
        chance = chance_taus(at[against], at[name])
        found[name] = MetricAgreement(tau, rho, p_of_tau(tau, chance, len(generators)), chance)
    return TaskAgreement(task, tuple(generators), ranks, found), warnings


def _overall(tasks: Sequence[TaskAgreement], seed: int) -> dict[str, MetricAgreement]:
    """The mean over the tasks of each score that all of them have."""
    names = [n for n in tasks[0].metrics if all(n in task.metrics for task in tasks)]
    found = {}
    for name in names:
        of_tasks = [task.metrics[name] for task in tasks]
        if any(math.isnan(m.tau) for m in of_tasks):
            continue
        found[name] = MetricAgreement(
            float(np.mean([m.tau for m in of_tasks])),
            float(np.mean([m.rho for m in of_tasks])),
            p_of_mean_tau([m.tau for m in of_tasks], [m.by_chance for m in of_tasks], seed),
        )
    return found

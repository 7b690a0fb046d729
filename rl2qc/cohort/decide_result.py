"""One result, decided again from what it recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from rl2qc.cohort.adapt import Beside, cohort_adaptations
from rl2qc.cohort.changes import settings_of
from rl2qc.cohort.corrections import with_corrections
from rl2qc.cohort.settings import DecideSettings
from rl2qc.cohort.store.folder import RunFolder
from rl2qc.cohort.store.locks import try_lock, wait_for_lock
from rl2qc.cohort.store.record import RECORD, Record, ResultFolder
from rl2qc.cohort.store.summary import row_of
from rl2qc.cohort.store.tables import describe_table, read_table
from rl2qc.core.progress import Progress, track
from rl2qc.errors import Rl2qcError, WorkError
from rl2qc.filtering.corrected import Corrected
from rl2qc.filtering.decision import COHORT_WIDE
from rl2qc.filtering.exports.files import export, remove_exports
from rl2qc.filtering.exports.registry import FORMATS
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import TileTable
from rl2qc.filtering.verdict import rules_in

__all__ = ["Decided", "decide_result", "settle"]

# The lock of who looks at all results at once.
_ADAPTING = "..adapting"


@dataclass(frozen=True)
class Decided:
    """What became of one result.

    Attributes
    ----------
    name
    formats
        Those that it is written in.
    warnings, failure
        What is to be said, and why it could not be decided.
    corrected
        How many of its tiles a person called clean, and bad.
    moved
        How many others are kept, and rejected, by what the corrections of other slides teach.
    """

    name: str
    formats: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str = ""
    corrected: tuple[int, int] = (0, 0)
    moved: tuple[int, int] = (0, 0)


def decide_result(result: ResultFolder, beside: Beside, settings: DecideSettings) -> Decided:
    """Decide a result anew and write it again, if no other process has it in hand.

    Parameters
    ----------
    result
    beside
        What is usual in the slides of its cohort.
    settings
        With an alpha.
    """
    try:
        with try_lock(RunFolder(result.path.parent).lock(result.name)) as mine:
            if not mine:
                raise WorkError("another process is at work on it")
            return _decide_one(result, beside, settings)
    except (Rl2qcError, OSError) as error:
        return Decided(result.name, failure=" ".join(str(error).split()))
    # Whatever is wrong with one result must not cost the others their turn.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Decided(result.name, failure=f"{reason}: rl2qc filter --overwrite measures it again")


def settle(
    folder: RunFolder, settings: FilterSettings, progress: bool | Progress = False
) -> list[str]:
    """Decide anew, beside what is usual in their cohorts, the results that were decided without.

    Called by each process at the end of its run: the last one sees the results of all.

    Parameters
    ----------
    folder
        Of the run; its manifest and summary are left to the caller.
    settings
        How it is decided.
    progress
        True shows a bar; a function is called with (inputs done, all, what).

    Returns
    -------
    A line for each result that could not be decided.
    """
    if settings.adapt not in COHORT_WIDE:
        return []
    names = DecideSettings.names("decision")
    wanted = DecideSettings(**{name: getattr(settings, name) for name in names})
    with wait_for_lock(folder.lock(_ADAPTING)):
        found = folder.results()
        beside = with_corrections(found, cohort_adaptations(found), None)
        stale = [result for result in found if not _is_beside(result, beside[result.name])]
        failed = []
        with track(progress, "comparing slides", len(stale)) as step:
            for result in stale:
                decided = decide_result(result, beside[result.name], wanted)
                if decided.failure:
                    failed.append(f"{result.name}: {decided.failure}")
                step(1)
    return failed


def _is_beside(result: ResultFolder, beside: Beside) -> bool:
    """Whether a result was decided beside these slides, or has nothing to decide."""
    record = result.read_record()
    if record is None:
        return True
    cohort = beside.cohort and beside.cohort.to_dict()
    corrected = beside.corrected.to_dict() if beside.corrected else None
    return (cohort, beside.apart, corrected) == (
        record.slide.get("cohort"),
        record.slide.get("apart", False),
        record.slide.get("corrected"),
    )


def _decide_one(result: ResultFolder, beside: Beside, settings: DecideSettings) -> Decided:
    record = result.check_record()
    # What was being added when an earlier call was killed belongs to no decision.
    remove_exports(result.path, result.written() - set(record.files))
    result.remove_temporary()
    assert settings.alpha is not None
    decide = partial(
        read_table(result.path, record).decide,
        settings.alpha,
        method=settings.method,
        adapt=settings.adapt,
        cohort=beside.cohort,
        apart=beside.apart,
        **rules_in(settings),
    )
    table, corrected, moved = _corrected(decide, beside)
    present = [name for name in record.key["settings"]["formats"] if name in FORMATS]
    formats = tuple(dict.fromkeys((*present, *settings.formats)))
    planned = result.plan(table, formats, failures=bool(table.failures))
    result.refuse_foreign(planned)
    result.announce(planned)
    # Until all is rewritten, the record belongs to no alpha: a run that resumes asks for another
    # decision and does not take a mixture for its result.
    result.write_record(replace(record, key=_with_settings(record, alpha=None)))
    warnings = _rewrite(result, table, formats, present)
    files = {result.called(file.path) for file in planned} - {RECORD}
    new = _record(record, table, formats)
    result.write_record(replace(new, files=tuple(sorted(files))))
    # Another version of rl2qc may have had other names.
    remove_exports(result.path, set(record.files) - files)
    result.settle()
    return Decided(result.name, formats, tuple(warnings), corrected=corrected, moved=moved)


def _corrected(
    decide: Callable[..., TileTable], beside: Beside
) -> tuple[TileTable, tuple[int, int], tuple[int, int]]:
    """The decision with corrections, how many there are, and what they change beside."""
    table, said = decide(corrected=beside.corrected), beside.corrected
    if not said:
        return table, (0, 0), (0, 0)
    plain, others = decide(corrected=Corrected()).keep, ~said.marked(len(table))
    moved = int((table.keep & ~plain & others).sum()), int((~table.keep & plain & others).sum())
    return table, (len(said.clean), len(said.bad)), moved


def _rewrite(
    result: ResultFolder, table: TileTable, formats: Sequence[str], present: Sequence[str]
) -> list[str]:
    """Write what shows the decision, and what is new; what is to be said of missing pictures."""
    specs = [FORMATS.get(name) for name in formats]
    stale = [s for s in specs if s.sort is None and (s.decided or s.name not in present)]
    export(table, result.path, [spec.name for spec in stale])
    warnings = []
    for spec in specs:
        missing = 0
        if spec.sort is not None and spec.suits(table):
            missing = spec.sort(table, spec.path(table, result.path))
        if missing:
            warnings.append(
                f"{table.name}: {missing} tiles are kept that were rejected when the slide was "
                f"read, and have no picture in {spec.filename}/: only rl2qc filter --overwrite "
                "reads them"
            )
    return warnings


def _record(old: Record, table: TileTable, formats: Sequence[str]) -> Record:
    """The record of the new decision."""
    row = row_of(table, seconds=old.row["seconds"], path=old.row["path"])
    decision = {name: getattr(table, name) for name in FilterSettings.names("decision")}
    key = _with_settings(old, **decision, formats=sorted(formats))
    return replace(old, key=key, row=asdict(row), slide=describe_table(table))


def _with_settings(record: Record, **changes: Any) -> dict[str, Any]:
    return {**record.key, "settings": {**settings_of(record.key), **changes}}

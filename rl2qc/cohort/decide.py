"""Decide again which tiles of a finished run are kept, from the scores that it recorded, and write
it in more formats."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rl2qc.cohort.adapt import cohort_adaptations
from rl2qc.cohort.changes import settings_of
from rl2qc.cohort.corrections import with_corrections
from rl2qc.cohort.decide_result import Decided, decide_result
from rl2qc.cohort.page import bring_up_to_date
from rl2qc.cohort.settings import DecideSettings
from rl2qc.cohort.store.folder import PAGE, RunFolder
from rl2qc.cohort.store.record import ResultFolder
from rl2qc.cohort.store.results import CohortResult
from rl2qc.cohort.store.runs import command_line, with_run
from rl2qc.cohort.store.summary import repeated
from rl2qc.core.interrupts import ignore_interrupts, starting_processes
from rl2qc.core.progress import Progress, track
from rl2qc.core.text import printable
from rl2qc.errors import UsageError
from rl2qc.filtering.decision import COHORT_WIDE
from rl2qc.filtering.settings import FilterSettings
from rl2qc.filtering.table import OVER_REJECTED

__all__ = ["decide"]

# Slides that are named where corrections change them.
_SHOWN = 3


def decide(
    results: str | Path | CohortResult,
    alpha: float | None = None,
    settings: DecideSettings | None = None,
    *,
    progress: bool | Progress = False,
    **changes: Any,
) -> CohortResult:
    """Decide anew from recorded scores: everything that ``rl2qc decide`` does.

    The decision, every export, ``summary.csv`` and ``run.json`` are rewritten, and ``report.html``
    where there is one. Neither slides nor patches are opened but for the tiles that the report
    shows: the recorded scores and thumbnails are all it takes. The result is that of a run with
    this ``alpha`` and these formats from the start. Killed at any moment, it is finished by the
    same call.

    Parameters
    ----------
    results
        What ``rl2qc filter`` wrote: its folder, or what :func:`rl2qc.filter_cohort` returned.
    alpha
        Tiles with a p-value above are kept (:func:`rl2qc.filtering.decision.keep_tiles`); each
        slide is decided by itself. None leaves the decision as it is, and formats are added.
    settings
        How it is decided, and what else is written.
    progress
        True shows a bar; a function is called with (inputs done, all, what).
    **changes
        Single options of :class:`~rl2qc.cohort.settings.DecideSettings`: ``method="bh"``.

    Returns
    -------
    CohortResult
        The rows of ``summary.csv``, those of failed inputs included; what the decision could not
        bring about is a warning or a failure.

    Raises
    ------
    UsageError
        A setting that does not exist or is out of range, a format that takes the pixels of the
        slides, no results, a file of another tool where a format has its own, or ``rl2qc filter``
        at work.
    WorkError
        ``run.json`` or ``summary.csv`` cannot be brought up to date.

    Examples
    --------
    >>> import tempfile
    >>> import rl2qc
    >>> from PIL import Image
    >>> place = Path(tempfile.mkdtemp())
    >>> (place / "set").mkdir()
    >>> for grey in (120, 240):
    ...     Image.new("RGB", (64, 64), (grey,) * 3).save(place / "set" / f"{grey}.png")
    >>> class Dark:
    ...     patch_size, mpp, name = 64, 0.5, "dark"
    ...     def measure(self, images):
    ...         return {"p_value": 1 - images.mean(axis=(1, 2, 3)) / 255}
    >>> _ = rl2qc.filter_cohort(place / "set", place / "out", Dark(), alpha=0.1, mpp=0.5)
    >>> decide(place / "out", 0.01).tables["set"].keep.tolist()
    [True, True]
    """
    if alpha is not None:
        changes["alpha"] = alpha
    started = datetime.now(UTC)
    settings = DecideSettings.resolve(settings, changes)
    folder = RunFolder(results.folder if isinstance(results, CohortResult) else results)
    found = folder.results()
    if not found:
        raise UsageError(f"{folder.path} holds no results of rl2qc filter")
    settings.check_alpha()
    folder.check_shared_files(settings.formats)
    try:
        with folder.deciding():
            old = folder.check_manifest()
            if settings.alpha is None:
                level, method = _decision_of(folder, found)
                settings = settings.changes(alpha=level, method=method)
            decided = _decide_all(found, settings, progress)
            present = dict.fromkeys(name for result in decided for name in result.formats)
            described = partial(_describe, folder, old, settings, started, decided)
            rows = folder.update(described, tuple(present))
            report: Path | None = None
            no_report: list[str] = []
            if (folder.path / PAGE).exists():
                report, no_report = bring_up_to_date(folder.path, anew=True)
    finally:
        # Stopped half-way, it leaves no lock.
        folder.clean_up()
    failures = tuple((d.name, d.failure) for d in decided if d.failure)
    warnings = [
        f"{row.name}: over-rejected, {row.kept} of {row.tiles} tiles are left"
        for row in rows
        if OVER_REJECTED in row.flags
    ]
    warnings += repeated((row.name, row.path) for row in rows if row.kind == "slide")
    warnings += [said for d in decided for said in d.warnings]
    return CohortResult(
        folder.path,
        tuple(rows),
        alpha=settings.alpha if settings.alpha is not None else math.nan,
        warnings=(*warnings, *no_report),
        errors=tuple(f"{name}: {reason}" for name, reason in failures),
        failures=failures,
        before=tuple(row.name for row in rows if row.status != "failed"),
        report=report,
        corrections=_describe_corrections(decided),
    )


def _describe_corrections(decided: Sequence[Decided]) -> str:
    """What a person's corrections changed, in a line; "" without any."""
    clean, bad = (sum(d.corrected[i] for d in decided) for i in (0, 1))
    kept, rejected = (sum(d.moved[i] for d in decided) for i in (0, 1))
    if not clean + bad + kept + rejected:
        return ""
    said = f"corrections: {clean} tile{'' if clean == 1 else 's'} called clean, {bad} bad"
    if not kept + rejected:
        marked = sum(any(d.corrected) for d in decided)
        # No slide learns from its own marks, and what one slide teaches cannot be tried.
        few = marked - (marked == len(decided)) < 2 or not clean or not bad
        why = ": what others learn takes marks of both kinds on two slides beside them"
        return f"{said}; no other changes{why if len(decided) > 1 and few else ''}"
    moved = sorted((d for d in decided if any(d.moved)), key=lambda d: (-sum(d.moved), d.name))
    slides = [f"{printable(d.name)} {d.moved[0]} kept, {d.moved[1]} rejected" for d in moved]
    more = f"; {len(slides) - _SHOWN} more" if len(slides) > _SHOWN else ""
    return (
        f"{said}; {kept} others are kept and {rejected} rejected by them, on {len(slides)} slides "
        f"({'; '.join(slides[:_SHOWN])}{more})"
    )


def _record_corrections(decided: Sequence[Decided]) -> dict[str, Any]:
    """What ``run.json`` says of corrections, with the slides that they change; {} without any."""
    said = _describe_corrections(decided)
    if not said:
        return {}
    words = ("clean", "bad", "kept", "rejected")
    counts = {d.name: (*d.corrected, *d.moved) for d in decided}
    slides = {name: dict(zip(words, c, strict=True)) for name, c in counts.items() if any(c)}
    return {"corrections": {"said": said, "slides": slides}}


def _decide_all(
    found: Sequence[ResultFolder], settings: DecideSettings, progress: bool | Progress
) -> list[Decided]:
    decided = []
    with (
        _mapping(min(settings.workers, len(found))) as mapped,
        track(progress, "deciding", len(found)) as step,
    ):
        # Where none is named, each result keeps its own way.
        wide = settings.adapt is None or settings.adapt in COHORT_WIDE
        cohorts = cohort_adaptations(found) if wide else {}
        beside = with_corrections(found, cohorts, settings.corrections)
        usual = [beside[result.name] for result in found]
        for result in mapped(partial(decide_result, settings=settings), found, usual):
            decided.append(result)
            step(1)
    return decided


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterator[Decided]]]:
    """``map`` by processes, if there is to be more than one."""
    if workers <= 1:
        yield map
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=ignore_interrupts
    )

    def begin(*work: Any) -> Iterator[Decided]:
        with starting_processes():
            return pool.map(*work)

    try:
        yield begin
    finally:
        # Those that are under way are finished, and no other is begun.
        pool.shutdown(cancel_futures=True)


def _decision_of(folder: RunFolder, found: Sequence[ResultFolder]) -> tuple[float, str]:
    """Alpha and method that all results were decided with.

    Raises
    ------
    UsageError
        They differ, since deciding again was interrupted.
    """
    records = [record for result in found if (record := result.read_record()) is not None]
    known = [settings_of(record.key) for record in records]
    decisions = {(settings["alpha"], settings["method"]) for settings in known}
    if len(decisions) != 1 or None in next(iter(decisions)):
        raise UsageError(
            f"the results in {folder.path} are of no single decision, since rl2qc decide was "
            "interrupted or some were decided with another alpha: give it an --alpha"
        )
    return decisions.pop()


def _describe(
    folder: RunFolder,
    old: dict[str, Any],
    settings: DecideSettings,
    started: datetime,
    decided: Sequence[Decided],
) -> dict[str, Any]:
    """What ``run.json`` says of the run, with the new decision."""
    # Where run.json is gone, nothing is known of the rest.
    known = FilterSettings.complete(old["settings"]) if "settings" in old else {}
    given = {name: getattr(settings, name) for name in settings.names("decision")}
    known |= {name: value for name, value in given.items() if value is not None}
    known["formats"] = list(dict.fromkeys((*known.get("formats", ()), *settings.formats)))
    run = {
        "id": secrets.token_hex(8),
        "what": "decide",
        "command": command_line(folder.path),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 2),
        "finished": True,
        "settings": {name: value for name, value in asdict(settings).items() if name != "workers"},
        **_record_corrections(decided),
    }
    return {**old, "settings": known, "runs": with_run(old, run)}

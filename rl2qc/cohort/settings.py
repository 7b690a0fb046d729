"""How a run over many inputs goes about its work, and what deciding again is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rl2qc.cohort.inputs.shards import parse_shard
from rl2qc.core.settings import Interval, Settings, option
from rl2qc.errors import UsageError
from rl2qc.filtering.decision import ADAPT, METHODS
from rl2qc.filtering.exports.registry import (
    DEFAULT_FORMATS,
    FORMATS,
    check_formats,
    parse_formats,
    with_brought,
)

__all__ = ["EXECUTORS", "DecideSettings", "RunSettings"]

EXECUTORS = ("local", "ray")
"""Where inputs are done."""


@dataclass(frozen=True)
class RunSettings(Settings):
    """How a run goes about its work; numbers do not depend on it.

    What deciding again reads is written whatever ``formats`` says. Without a ``shard``, that of the
    SLURM array counts in which this process is a task.

    Raises
    ------
    UsageError
        A value that does not exist, or a format whose module is not installed.

    Examples
    --------
    >>> RunSettings(formats="csv, geojson").formats
    ('csv', 'geojson')
    """

    formats: tuple[str, ...] = option(
        DEFAULT_FORMATS,
        help="What to write of each input: {formats}.",
        phase="speed",
        flags=("--format",),
        parse=parse_formats,
        metavar="NAME,...",
    )
    mpp_csv: str | Path | None = option(
        None,
        help="Table wsi,mpp of microns per pixel at level 0, for single slides.",
        phase="speed",
        metavar="FILE",
    )
    shard: str | None = option(
        None,
        help="Do the I-th of N parts of the inputs.",
        phase="speed",
        metavar="I/N",
        show_default="the task of a SLURM array, or all",
    )
    executor: str = option(
        EXECUTORS[0],
        help="Where inputs are done: in this process, or as tasks of a Ray cluster, whose machines "
        "share DIR.",
        phase="speed",
        choices=EXECUTORS,
        old=("engine",),
    )
    address: str | None = option(
        None,
        help="Address of the Ray cluster.",
        phase="speed",
        show_default="RAY_ADDRESS, or a new one",
    )
    private: bool = option(
        False,
        help="Call everything by codes in what is written; DIR.names.csv and DIR.names.key beside "
        "DIR tell what they stand for.",
        phase="speed",
    )
    overwrite: bool = option(False, help="Measure again what DIR holds results of.", phase="speed")
    report: bool = option(
        True,
        help="Whether to write report.html.",
        phase="speed",
        flags=("--report/--no-report",),
    )
    part: tuple[int, int] = field(init=False, repr=False, compare=False)
    """Which part of the inputs is done, from 0 on, and of how many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "formats", _formats(self.formats))
        object.__setattr__(self, "part", parse_shard(self.shard))
        if self.address is not None and self.executor == EXECUTORS[0]:
            raise UsageError("address is for executor ray")


@dataclass(frozen=True)
class DecideSettings(Settings):
    """What is decided anew from recorded scores, and what is written beside it.

    Raises
    ------
    UsageError
        A value that is out of range, or a format that takes the pixels of the slides.

    Examples
    --------
    >>> DecideSettings(alpha=0.1, method="bh").formats
    ()
    """

    alpha: float | None = option(
        None,
        help="Tiles with a p-value above are kept; of clean tiles, this share is rejected.",
        phase="decision",
        show_default="the decision stays, and --format adds to it",
        within=Interval(0, 1, "left"),
    )
    method: str = option(
        METHODS[0],
        help="threshold: each tile by itself; bh: Benjamini-Hochberg over each slide, ALPHA being "
        "the share of clean tiles among the rejected.",
        phase="decision",
        choices=METHODS,
    )
    adapt: str | None = option(
        None,
        help="What the general model takes for usual: auto, slide, cohort or none, as filter has "
        "them.",
        phase="decision",
        show_default="what the run had",
        choices=ADAPT,
        metavar="HOW",
    )
    max_rejected: float | None = option(
        None,
        help="Slides that lose a larger share of their tissue are flagged.",
        phase="decision",
        show_default="what the run had",
        within=Interval(0, 1),
    )
    use_from: float | None = option(
        None,
        help="Slides of which at least this share of the tissue is usable get the verdict use.",
        phase="decision",
        show_default="what the run had",
        within=Interval(0, 1),
    )
    drop_below: float | None = option(
        None,
        help="Slides of which less of the tissue is usable get the verdict drop.",
        phase="decision",
        show_default="what the run had",
        within=Interval(0, 1),
    )
    drop_area: float | None = option(
        None,
        help="Slides of which one kind of damage covers at least this share of the tissue get the "
        "verdict drop.",
        phase="decision",
        show_default="what the run had",
        within=Interval(0, 1),
    )
    corrections: str | Path | None = option(
        None,
        help="Take tiles as this list has them (slide, x, y or file, label: clean or bad), such "
        "as the page of rl2qc review saves, and learn from it about other slides; none drops those "
        "of before.",
        phase="speed",
        show_default="those of before",
        metavar="FILE",
    )
    formats: tuple[str, ...] = option(
        (),
        help="What to write beside what is there: {formats that need no pixels}.",
        phase="speed",
        flags=("--format",),
        parse=parse_formats,
        metavar="NAME,...",
        show_default=False,
    )
    workers: int = option(1, help="Processes at work.", phase="speed", within=Interval(1))

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "formats", _formats(self.formats))
        for name in self.formats:
            if FORMATS.get(name).sort is not None:
                raise UsageError(
                    f"format {name} takes the pixels of the slides, which are not read here: "
                    "rl2qc filter --overwrite reads them"
                )

    def check_alpha(self) -> None:
        """UsageError for a decision without an alpha, where that of before is not meant."""
        thresholds = self.max_rejected, self.use_from, self.drop_below, self.drop_area
        asked = self.formats or self.corrections or any(v is not None for v in thresholds)
        if self.alpha is None and (self.method != METHODS[0] or not asked):
            raise UsageError(
                "a decision needs an alpha: without one, only formats, corrections and thresholds "
                "of verdicts can be changed"
            )


def _formats(given: str | Iterable[str]) -> tuple[str, ...]:
    """A list of names, or the text of the command line."""
    if isinstance(given, str):
        return parse_formats(given)
    names = tuple(dict.fromkeys(given))
    check_formats(names)
    return with_brought(names)

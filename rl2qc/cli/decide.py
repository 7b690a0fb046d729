"""rl2qc decide: keep and reject again, from recorded scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.console import say
from rl2qc.cli.settings import with_settings
from rl2qc.cli.stopping import if_stopped
from rl2qc.cohort.settings import DecideSettings
from rl2qc.core.text import printable
from rl2qc.errors import ExitCode

__all__ = ["decide_command"]


@with_settings
def decide_command(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder that rl2qc filter wrote.", show_default=False),
    ],
    settings: DecideSettings,
    fail_on_flag: Annotated[
        bool,
        typer.Option("--fail-on-flag", help="End with 3 where a verdict is look or drop."),
    ] = False,
) -> None:
    """Decide again which tiles are kept, or write more formats, without a look at the slides.

    Rewrites summary.csv, run.json and every export in DIR from the scores that rl2qc filter
    recorded, as if it had been run with this ALPHA. Where there is a report.html, it is written
    again, too; only the tiles that it shows are read from the slides.

    **Examples**

    rl2qc decide results/ --alpha 0.01

    rl2qc decide results/ --alpha 0.1 --method bh --max-rejected 0.3

    rl2qc decide results/ --format trident,histoqc

    rl2qc decide results/ --corrections corrections.csv
    """
    from rl2qc.cohort.decide import decide
    from rl2qc.cohort.store.results import read_results

    done, all_of_them = 0, 0

    def count(now: int, total: int, what: str) -> None:
        nonlocal done, all_of_them
        done, all_of_them = now, total

    def left() -> str:
        return f"{done} of {all_of_them} results are decided: the same command decides the others"

    with if_stopped(left):
        # Whether any is flagged needs no new decision.
        if fail_on_flag and settings.changes(workers=1) == DecideSettings():
            result = read_results(folder)
        else:
            result = decide(folder, settings=settings, progress=count)
    print(result.summary())
    if result.corrections:
        print(result.corrections)
    if result.reasons:
        print(result.reasons)
    if result.verdicts:
        print(result.verdicts)
    print(f"results  {printable(str(folder))}")
    for warning in result.warnings:
        say(f"warning: {warning}")
    for error in result.errors:
        say(f"error: {error}")
    if result.failures:
        raise typer.Exit(ExitCode.FAILED)
    if fail_on_flag and result.flagged:
        raise typer.Exit(ExitCode.FLAGGED)

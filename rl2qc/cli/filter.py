"""rl2qc filter: keep the clean tiles of slides and patch folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.console import say
from rl2qc.cli.options import ModelOption
from rl2qc.cli.settings import with_settings
from rl2qc.cli.stopping import if_stopped
from rl2qc.cohort.settings import RunSettings
from rl2qc.core.defaults import DEFAULT_MODEL
from rl2qc.core.text import printable
from rl2qc.errors import ExitCode
from rl2qc.filtering.settings import FilterSettings
from rl2qc.images.resolution import mpp_of

__all__ = ["filter_command"]


@with_settings
def filter_command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Slides, folders of slides or of patches, image files, globs, CSV files with a "
            "column wsi, slide or path (and perhaps mpp).",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Folder for the results.", show_default=False
        ),
    ],
    settings: FilterSettings,
    run: RunSettings,
    model: ModelOption = DEFAULT_MODEL,
    mag: Annotated[
        float | None,
        typer.Option(help="--mpp as a magnification: 20 is 0.5 um/px.", show_default=False),
    ] = None,
    fail_on_flag: Annotated[
        bool,
        typer.Option("--fail-on-flag", help="End with 3 where a verdict is look or drop."),
    ] = False,
) -> None:
    """Keep the clean tiles of slides and patch folders.

    For each slide DIR holds tiles.csv, tiles.geojson (for QuPath) and overlay.png, for each patch
    folder tiles.csv; and once, summary.csv, run.json and report.html. Rejected tiles have a likely
    reason beside their score: out of focus, ink or pen, ... Each slide has a verdict: use, use in
    part, look (a person should), drop. Every input is attempted; what failed
    has its traceback in DIR/failed, and the exit code is 1.

    The same command again does what is left: a run that was killed goes on, and several processes
    may share DIR.

    **Examples**

    rl2qc filter slide.svs --out results/

    rl2qc filter cohort/ extra/*.ndpi -m mine.safetensors -o results/ --alpha 0.01

    rl2qc filter patches/ -o results/ --overwrite

    rl2qc filter old_scan.tif -o results/ --mpp-override 0.25

    rl2qc filter cohort.csv -o results/ --shard 2/8

    rl2qc filter slides/ -o results/ --tissue-mask histoqc_output/

    rl2qc filter slides/ -o results/ --coords trident/20x_256px_0px_overlap/ --format trident
    """
    from rl2qc.cli.progress import TileProgress
    from rl2qc.cohort.filter import filter_cohort

    settings = settings.changes(mpp=mpp_of(settings.mpp, mag))
    progress = TileProgress()
    with if_stopped(progress.left):
        result = filter_cohort(inputs, out, model, settings, run=run, progress=progress)
    print(result.table())
    if result.reasons:
        print(f"\n{result.reasons}")
    if result.verdicts:
        print(f"\n{result.verdicts}")
    print(f"\nresults  {printable(str(out))}")
    if result.report is not None:
        print(f"report   {printable(str(result.report))}")
    if result.before:
        say(
            f"{len(result.before)} of {len(result)} inputs were finished before and are not "
            "measured again: --overwrite measures them again"
        )
    for warning in result.warnings:
        say(f"warning: {warning}")
    for error in result.errors:
        say(f"error: {error}")
    if result.errors:
        raise typer.Exit(ExitCode.FAILED)
    if fail_on_flag and result.flagged:
        raise typer.Exit(ExitCode.FLAGGED)

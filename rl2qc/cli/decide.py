"""rl2qc decide: keep and reject again, from recorded scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.console import say
from rl2qc.core.text import printable

__all__ = ["decide_command"]


def decide_command(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder that rl2qc filter wrote.", show_default=False),
    ],
    alpha: Annotated[
        float | None,
        typer.Option(
            help="Tiles with a p-value above are kept; of clean tiles, this share is rejected.",
            show_default="the decision stays, and --format adds to it",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="threshold: each tile by itself; bh: Benjamini-Hochberg over each slide, ALPHA "
            "being the share of clean tiles among the rejected."
        ),
    ] = "threshold",
    max_rejected: Annotated[
        float | None,
        typer.Option(
            help="Slides that lose a larger share of their tissue are flagged.",
            show_default="what the run had",
        ),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME,...",
            help="What to write beside what is there: parquet, geojson, overlay, trident, clam, "
            "wsinfer, histoqc.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes at work.", min=1)] = 1,
) -> None:
    """Decide again which tiles are kept, or write more formats, without a look at the slides.

    Rewrites summary.csv, run.json and every export in DIR from the scores that rl2qc filter
    recorded, as if it had been run with this ALPHA. Where there is a report.html, it is written
    again, too; only the tiles that it shows are read from the slides.

    **Examples**

    rl2qc decide results/ --alpha 0.01

    rl2qc decide results/ --alpha 0.1 --method bh --max-rejected 0.3

    rl2qc decide results/ --format trident,histoqc
    """
    from rl2qc.cohort.decide import decide_run
    from rl2qc.cohort.page import PAGE, write_cohort_page
    from rl2qc.cohort.store.summary import say_reasons
    from rl2qc.filtering.exports import parse_formats

    decided = decide_run(
        folder,
        alpha,
        method=method,
        max_rejected=max_rejected,
        formats=parse_formats(formats) if formats is not None else (),
        workers=workers,
    )
    if (folder / PAGE).exists():
        write_cohort_page(folder)
    done = [row for row in decided.rows if row.status != "failed"]
    tiles, kept = sum(row.tiles for row in done), sum(row.kept for row in done)
    share = f" ({kept / tiles:.1%})" if tiles else ""
    print(f"kept {kept} of {tiles} tiles{share} of {len(done)} inputs at alpha {decided.alpha:g}")
    if reasons := say_reasons(done):
        print(reasons)
    print(f"results  {printable(str(folder))}")
    for row in done:
        if "over-rejected" in row.flags:
            say(f"warning: {row.name}: over-rejected, {row.kept} of {row.tiles} tiles are left")
    for warning in decided.warnings:
        say(f"warning: {warning}")
    for name, reason in decided.failures:
        say(f"error: {name}: {reason}")
    if decided.failures:
        raise typer.Exit(1)

"""rl2qc compare: generated sets side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.options import (
    JsonOption,
    ModelOption,
    OverwriteOption,
    RealOption,
)
from rl2qc.cli.outputs import Outputs
from rl2qc.cli.settings import with_settings
from rl2qc.core.defaults import DEFAULT_MODEL
from rl2qc.scoring.settings import CompareSettings

__all__ = ["compare_command"]


@with_settings
def compare_command(
    generated: Annotated[
        list[str],
        typer.Argument(
            metavar="GENERATED_A GENERATED_B...", help="Two or more folders, files or globs."
        ),
    ],
    real: RealOption,
    model: ModelOption = DEFAULT_MODEL,
    json: JsonOption = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Also write values and differences here."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write a page with pictures here."),
    ] = None,
    latex: Annotated[
        Path | None,
        typer.Option("--latex", metavar="FILE", help="Also write a table for a paper here."),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", metavar="FILE", help="The same as Markdown."),
    ] = None,
    source_masks: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Masks of the source images that were translated: Dice with --masks is then "
            "ranked with the metrics.",
            show_default=False,
        ),
    ] = None,
    masks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR",
            help="Masks of a generated set, of the same names as in --source-masks; once a set, "
            "in their order.",
            show_default=False,
        ),
    ] = None,
    also: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Scores from elsewhere to rank with the metrics: a column generator (the folders' "
            "names) and one a score, such as dice; name:lower where lower is better.",
        ),
    ] = None,
    all_metrics: Annotated[
        bool, typer.Option("--all", help="Print all metrics, not the recommended ones alone.")
    ] = False,
    overwrite: OverwriteOption = False,
    *,
    settings: CompareSettings,
) -> None:
    """Compare generated sets: paired differences with intervals, and whether metrics agree.

    The first set is compared with every other on the same real images; where sets differ in size,
    metrics that depend on it are of as many images as the smallest holds. From three sets on, a
    table tells how far the metrics agree on their ranks (Kendall's tau, Spearman's rho).

    **Examples**

    rl2qc compare epoch_10/ epoch_20/ epoch_40/ --real real/ --html epochs.html

    rl2qc compare pix2pix/ cyclegan/ diffusion/ -r real/ --source-masks masks/
    --masks pix2pix_masks/ --masks cyclegan_masks/ --masks diffusion_masks/

    rl2qc compare pix2pix/ cyclegan/ diffusion/ -r real/ -m mine.safetensors --also readers.csv
    """
    targets = {
        "--json": json,
        "--csv": csv,
        "--html": html,
        "--latex": latex,
        "--markdown": markdown,
    }
    read = [*generated, *real, model, also, source_masks, *(masks or ())]
    outputs = Outputs(targets, overwrite=overwrite, inputs=read)
    from rl2qc.scoring.compare import compare

    found = compare(
        generated,
        real,
        model,
        settings,
        others=also,
        masks=(source_masks, masks or []) if source_masks is not None or masks else None,
        progress=True,
    )
    outputs.finish(
        f"{found.describe()}\n\n{found.table(short=not all_metrics)}",
        found.warnings,
        ("comparison", "--json", found.to_json),
        ("table", "--csv", found.to_csv),
        ("page", "--html", found.to_html),
        ("LaTeX", "--latex", found.to_latex),
        ("Markdown", "--markdown", found.to_markdown),
    )

"""rl2qc score: judge a generated set against a real one."""

from __future__ import annotations

import sys
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
from rl2qc.errors import ExitCode
from rl2qc.scoring.settings import ScoreSettings

__all__ = ["score_command"]


@with_settings
def score_command(
    generated: Annotated[
        list[str], typer.Argument(help="Folders, files or globs of generated images.")
    ],
    real: RealOption,
    model: ModelOption = DEFAULT_MODEL,
    unseen: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder, file or glob of real images that the generator has not seen, --real "
            "being those it was trained on; adds nearer_train; may be repeated.",
            show_default="a part of --real where such images are needed",
        ),
    ] = None,
    held_out: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    json: JsonOption = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write the table here.")
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
        typer.Option(
            "--markdown",
            metavar="FILE",
            help="The same as Markdown; both with a sentence for the methods, and BibTeX.",
        ),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option(
            metavar="RULES|FILE.toml",
            help="End with exit code 4 unless these hold, such as 'rl2 < 20, coverage > .6'; of a "
            "TOML file its key require.",
        ),
    ] = None,
    curve: Annotated[
        bool,
        typer.Option("--curve", help="Also print the metrics against the number of images."),
    ] = False,
    all_metrics: Annotated[
        bool, typer.Option("--all", help="Print all metrics, not the recommended ones alone.")
    ] = False,
    probabilities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npy",
            help="A classifier's probabilities of the generated images, one row an image in the "
            "order of the files: for inception_score.",
        ),
    ] = None,
    real_probabilities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npy",
            help="The same of the real images: gives inception_score its baseline and verdict.",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    *,
    settings: ScoreSettings,
) -> None:
    """Score generated images against real ones: RL2, WAD-Div, IRS, FID, KID, SWD and more.

    Each with its interval, its baseline of real images against real ones, and a verdict.

    **Examples**

    rl2qc score generated/ --real real/ --json scores.json --html scores.html

    rl2qc score "epoch_40/*.png" -r real/ -m mine.safetensors -k 5 --group-pattern '^(.+?)_'

    rl2qc score generated/ -r real/ --metrics rl2,fid,kid --features inception

    rl2qc score generated/ -r real/ --features model,imagenet.pth,imagenet.pth:normalized

    rl2qc score generated/ -r training_images/ --unseen other_real_images/
    """
    targets = {
        "--json": json,
        "--csv": csv,
        "--html": html,
        "--latex": latex,
        "--markdown": markdown,
    }
    read = [
        *generated,
        *real,
        *(unseen or ()),
        *(held_out or ()),
        model,
        probabilities,
        real_probabilities,
    ]
    outputs = Outputs(targets, overwrite=overwrite, inputs=read)
    if require is not None:
        from rl2qc.scoring.requirements import read_requirements

        read_requirements(require, settings.metrics)  # before the work
    from rl2qc.scoring.score import score

    card = score(
        generated,
        real,
        model,
        settings,
        unseen=unseen or held_out or None,
        probabilities={"generated": probabilities, "real": real_probabilities},
        progress=True,
    )
    answer = f"{card.answer()}\n\n" if card.headline else ""
    text = f"{card.describe()}\n\n{answer}{card.table(short=not all_metrics)}"
    if card.extractors is not None:
        text += f"\n\nextractors side by side\n{card.extractors.table()}"
    if curve:
        needed = "no curve: it needs at least 20 images a set and --n-resamples above 0"
        text += f"\n\nagainst the number of images\n{card.curve_table() or needed}"
    outputs.finish(
        text,
        card.warnings,
        ("scores", "--json", card.to_json),
        ("table", "--csv", card.to_csv),
        ("page", "--html", card.to_html),
        ("LaTeX", "--latex", card.to_latex),
        ("Markdown", "--markdown", card.to_markdown),
    )
    if require is not None and (unmet := card.unmet(require)):
        for line in unmet:
            print(f"rl2qc: {line}", file=sys.stderr)
        raise typer.Exit(ExitCode.NOT_MET)

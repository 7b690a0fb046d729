"""rl2qc score: judge a generated set against a real one."""

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
    curve: Annotated[
        bool,
        typer.Option("--curve", help="Also print the metrics against the number of images."),
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

    rl2qc score generated/ -r training_images/ --unseen other_real_images/
    """
    outputs = Outputs({"--json": json, "--csv": csv, "--html": html}, overwrite=overwrite)
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
    text = f"{card.describe()}\n\n{card.table()}"
    if curve:
        needed = "no curve: it needs at least 20 images a set and --n-resamples above 0"
        text += f"\n\nagainst the number of images\n{card.curve_table() or needed}"
    outputs.finish(
        text,
        card.warnings,
        ("scores", "--json", card.to_json),
        ("table", "--csv", card.to_csv),
        ("page", "--html", card.to_html),
    )

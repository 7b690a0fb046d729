"""rl2qc score: judge a generated set against a real one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["score_command"]


def score_command(
    generated: Annotated[
        list[str], typer.Argument(help="Folders, files or globs of generated images.")
    ],
    real: Annotated[
        list[str],
        typer.Option("--real", "-r", help="Folder, file or glob of real images; may be repeated."),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model file or a shipped model's name.")
    ] = "histology",
    json: Annotated[
        Path | None, typer.Option("--json", help="Also write the scores to this file.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Neighbours of WAD-Div.")] = 3,
    alpha: Annotated[
        float, typer.Option(help="The filter keeps images with a p-value above this.")
    ] = 0.05,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 32,
    seed: Annotated[int, typer.Option(help="Of the draws that match sample sizes.")] = 0,
) -> None:
    """Score generated images against real ones: RL2, WAD-Div, likelihoods, kept share.

    **Examples**

    rl2qc score generated/ --real real/ --json scores.json

    rl2qc score "epoch_40/*.png" -r real/ -m mine.safetensors -k 5
    """
    from rl2qc.errors import UsageError
    from rl2qc.model.quality import QualityModel
    from rl2qc.reports.scorecard import score

    if json is not None and json.is_dir():
        raise UsageError(f"--json {json} is a folder: name a file in it")
    loaded = QualityModel.load(model)
    loaded.batch_size = batch_size
    card = score(generated, real, loaded, k=k, alpha=alpha, seed=seed, progress=True)
    print(
        f"{card.run['n_generated']} generated against {card.run['n_real']} real images, "
        f"{card.run['patch_size']} px, model {loaded.name} ({loaded.sha256[:12]})\n"
    )
    print(card.table())
    for warning in card.warnings:
        print(f"rl2qc: warning: {warning}", file=sys.stderr)
    if json is not None:
        card.to_json(json)
        print(f"\nscores  {json}")

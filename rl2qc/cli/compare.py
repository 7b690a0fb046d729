"""rl2qc compare: generated sets side by side."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl2qc.cli.score import check_targets, print_text, split_names
from rl2qc.errors import UsageError

if TYPE_CHECKING:
    from rl2qc.reports.comparison import OtherScore

__all__ = ["compare_command"]


def compare_command(
    generated: Annotated[
        list[str],
        typer.Argument(
            metavar="GENERATED_A GENERATED_B...", help="Two or more folders, files or globs."
        ),
    ],
    real: Annotated[
        list[str],
        typer.Option("--real", "-r", help="Folder, file or glob of real images; may be repeated."),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model file or a shipped model's name.")
    ] = "histology",
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write everything here.")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Comma-separated names. Default: all but ms_ssim.", show_default=False),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="What the metrics of features are computed on: rl2, latents, imagenet-resnet18, "
            "inception or a weights file."
        ),
    ] = "rl2",
    paired: Annotated[
        bool,
        typer.Option(
            "--paired",
            help="Image i of every set belongs together (one seed or scene), in the order of the "
            "file names.",
        ),
    ] = False,
    agreement: Annotated[
        bool,
        typer.Option(
            "--agreement",
            help="How alike the metrics rank the sets, for two sets as well; from three on it is "
            "always shown.",
        ),
    ] = False,
    also: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Scores from elsewhere to rank with the metrics: a column generator (the folders' "
            "names) and one a score, such as dice; name:lower where lower is better.",
        ),
    ] = None,
    group_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression on the file name whose first group is the slide or patient: "
            "intervals then resample whole groups."
        ),
    ] = None,
    n_resamples: Annotated[
        int, typer.Option(help="Resamples of intervals; 0 for values alone.")
    ] = 200,
    k: Annotated[int, typer.Option("-k", help="Neighbours of WAD-Div.")] = 3,
    prdc_k: Annotated[
        int, typer.Option(help="Neighbours of precision, recall, density and coverage.")
    ] = 5,
    alpha: Annotated[
        float, typer.Option(help="The filter keeps images with a p-value above this.")
    ] = 0.05,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a forward pass.")] = 32,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither read nor keep features between runs.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
) -> None:
    """Compare generated sets: paired differences with intervals, and whether metrics agree.

    The first set is compared with every other on the same real images. From three sets on, a table
    tells how alike the metrics rank them (Kendall's tau, Spearman's rho).

    **Examples**

    rl2qc compare epoch_10/ epoch_40/ --real real/

    rl2qc compare pix2pix/ cyclegan/ diffusion/ -r real/ -m mine.safetensors --also dice.csv
    """
    check_targets({"--json": json})
    titles = _titles(generated)
    others = None if also is None else _read_scores(also)
    from rl2qc.model.quality import QualityModel
    from rl2qc.reports.comparison import compare
    from rl2qc.reports.image_sets import ScoreSettings

    settings = ScoreSettings(
        metrics=split_names(metrics),
        k=k,
        prdc_k=prdc_k,
        alpha=alpha,
        features=features,
        cache=not no_cache,
        group_pattern=group_pattern,
        n_resamples=n_resamples,
        seed=seed,
    )
    loaded = QualityModel.load(model)
    loaded.batch_size = batch_size
    found = compare(
        dict(zip(titles, generated, strict=True)),
        real,
        loaded,
        settings,
        paired=paired,
        agreement=agreement,
        others=others,
        progress=True,
    )
    print_text(found.table())
    for warning in found.warnings:
        print(f"rl2qc: warning: {warning}", file=sys.stderr)
    if json is not None:
        found.to_json(json)
        print(f"\ncomparison  {json}")


def _titles(inputs: list[str]) -> list[str]:
    """Folder names where they tell the sets apart, else what was typed."""
    if len(set(inputs)) < len(inputs):
        raise UsageError("a generated set is named twice")
    names = [Path(item).name for item in inputs]
    return names if len(set(names)) == len(names) and all(names) else inputs


def _read_scores(path: Path) -> dict[str, OtherScore]:
    from rl2qc.reports.comparison import OtherScore

    if not path.is_file():
        raise UsageError(f"no such file: --also {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--also {path} is no CSV file: {error}") from None
    columns = [c for c in (rows[0] if rows else {}) if c and c != "generator"]
    if not rows or "generator" not in rows[0] or not columns:
        raise UsageError(f"--also {path} needs a column generator and one a score, below a header")
    scores = {}
    for column in columns:
        name, _, direction = column.partition(":")
        if direction not in ("", "higher", "lower"):
            raise UsageError(f"--also {path}: {column!r} must end in :higher or :lower, or neither")
        try:
            values = {row["generator"]: float(row[column]) for row in rows}
        except (TypeError, ValueError):
            raise UsageError(f"--also {path}: not every {name} is a number") from None
        scores[name] = OtherScore(values, direction != "lower")
    return scores

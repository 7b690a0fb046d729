"""rl2qc compare: generated sets side by side."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from rl2qc.cli.options import (
    AlphaOption,
    AnyMppOption,
    BatchSizeOption,
    DistanceOption,
    FeaturesOption,
    GroupPatternOption,
    KOption,
    MetricsOption,
    ModelOption,
    MppOption,
    NoCacheOption,
    PrdcConventionOption,
    PrdcKOption,
    RealOption,
    SeedOption,
    check_targets,
    load_model,
    print_text,
    print_warnings,
    split_names,
)
from rl2qc.errors import UsageError

if TYPE_CHECKING:
    from rl2qc.metrics.neighbors import Metric
    from rl2qc.metrics.prdc import Convention
    from rl2qc.scoring.compare import OtherScore

__all__ = ["compare_command"]


def compare_command(
    generated: Annotated[
        list[str],
        typer.Argument(
            metavar="GENERATED_A GENERATED_B...", help="Two or more folders, files or globs."
        ),
    ],
    real: RealOption,
    model: ModelOption = "histology",
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write everything here.")
    ] = None,
    metrics: MetricsOption = None,
    features: FeaturesOption = "model",
    distance: DistanceOption = "euclidean",
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
    group_pattern: GroupPatternOption = None,
    mpp: MppOption = None,
    any_mpp: AnyMppOption = False,
    n_resamples: Annotated[
        int, typer.Option(help="Resamples of intervals; 0 for values alone.")
    ] = 200,
    k: KOption = 3,
    prdc_k: PrdcKOption = 5,
    prdc_convention: PrdcConventionOption = "prdc",
    alpha: AlphaOption = 0.05,
    batch_size: BatchSizeOption = 32,
    no_cache: NoCacheOption = False,
    seed: SeedOption = 0,
) -> None:
    """Compare generated sets: paired differences with intervals, and whether metrics agree.

    The first set is compared with every other on the same real images; where sets differ in size,
    metrics that depend on it are of as many images as the smallest holds. From three sets on, a
    table tells how alike the metrics rank them (Kendall's tau, Spearman's rho).

    **Examples**

    rl2qc compare epoch_10/ epoch_40/ --real real/

    rl2qc compare pix2pix/ cyclegan/ diffusion/ -r real/ --source-masks masks/
    --masks pix2pix_masks/ --masks cyclegan_masks/ --masks diffusion_masks/

    rl2qc compare pix2pix/ cyclegan/ diffusion/ -r real/ -m mine.safetensors --also readers.csv
    """
    check_targets({"--json": json})
    titles = _titles(generated)
    others = {} if also is None else _read_scores(also)
    about_masks: list[str] = []
    if source_masks is not None or masks:
        if "dice" in others:
            raise UsageError(f"--also {also} has a column dice, which --masks gives: rename it")
        others["dice"], about_masks = _dice(source_masks, masks or [], titles, group_pattern)
    from rl2qc.scoring.compare import compare
    from rl2qc.scoring.settings import ScoreSettings

    settings = ScoreSettings(
        metrics=split_names(metrics),
        k=k,
        prdc_k=prdc_k,
        prdc_convention=cast("Convention", prdc_convention),
        distance=cast("Metric", distance),
        alpha=alpha,
        features=features,
        cache=not no_cache,
        group_pattern=group_pattern,
        mpp=mpp,
        any_mpp=any_mpp,
        n_resamples=n_resamples,
        seed=seed,
    )
    loaded = load_model(model, batch_size)
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
    listed = ", ".join(f"{title} {n}" for title, n in found.run["n_generated"].items())
    print_text(
        f"{listed} generated against {found.run['n_real']} real images, "
        f"{found.run['patch_size']} px, model {loaded.name} ({loaded.sha256[:12]}), "
        f"features {found.run['features']}\n\n{found.table()}"
    )
    print_warnings([*about_masks, *found.warnings])
    if json is not None:
        found.to_json(json)
        print(f"\ncomparison  {json}")


def _titles(inputs: list[str]) -> list[str]:
    """Folder names where they tell the sets apart, else what was typed."""
    if len(set(inputs)) < len(inputs):
        raise UsageError("a generated set is named twice")
    names = [Path(item).name for item in inputs]
    return names if len(set(names)) == len(names) and all(names) else inputs


def _dice(
    source_masks: str | None, masks: list[str], titles: list[str], group_pattern: str | None
) -> tuple[OtherScore, list[str]]:
    """Dice of every generator, and what there is to say about its masks."""
    from rl2qc.images.groups import match_slides
    from rl2qc.images.sources.files import list_images
    from rl2qc.scoring.compare import OtherScore
    from rl2qc.scoring.dice import mask_overlap

    if source_masks is None:
        raise UsageError("--masks needs --source-masks to be compared with")
    if len(masks) != len(titles):
        raise UsageError(f"--masks is needed once a generated set: {len(titles)}, got {len(masks)}")
    if group_pattern is not None:
        names = [str(path) for path in list_images(source_masks)]
        # The pattern is that of real images; masks that it does not match stand by themselves.
        if set(match_slides(names, group_pattern, option="--group-pattern")) == {None}:
            group_pattern = None
    found = {
        title: mask_overlap(source_masks, folder, group_pattern=group_pattern)
        for title, folder in zip(titles, masks, strict=True)
    }
    score = OtherScore(
        {title: overlap.value for title, overlap in found.items()},
        higher_is_better=True,
        per_image={title: overlap.per_image for title, overlap in found.items()},
        groups=found[titles[0]].groups,
    )
    return score, [f"dice of {t}: {w}" for t, overlap in found.items() for w in overlap.warnings]


def _read_scores(path: Path) -> dict[str, OtherScore]:
    from rl2qc.scoring.compare import OtherScore

    if not path.is_file():
        raise UsageError(f"no such file: --also {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            rows, header = list(table), list(table.fieldnames or [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"--also {path} is no CSV file: {error}") from None
    columns = [c for c in header if c and c != "generator"]
    if not rows or "generator" not in header or not columns:
        raise UsageError(f"--also {path} needs a column generator and one a score, below a header")
    generators = [row["generator"] for row in rows]
    names = [column.partition(":")[0] for column in header if column]
    for what, given in (("row of the generator", generators), ("column", names)):
        if twice := [name for name in given if given.count(name) > 1]:
            raise UsageError(f"--also {path} has more than one {what} {twice[0]!r}: keep one")
    scores = {}
    for column in columns:
        name, _, direction = column.partition(":")
        if direction not in ("", "higher", "lower"):
            raise UsageError(f"--also {path}: {column!r} must end in :higher or :lower, or neither")
        try:
            values = {row["generator"]: float(row[column]) for row in rows}
        except (TypeError, ValueError):
            values = {"": math.nan}
        if not all(map(math.isfinite, values.values())):
            raise UsageError(f"--also {path}: not every {name} is a finite number")
        scores[name] = OtherScore(values, direction != "lower")
    return scores

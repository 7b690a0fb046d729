"""rl2qc score: judge a generated set against a real one."""

from __future__ import annotations

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
    import numpy as np
    from numpy.typing import NDArray

    from rl2qc.metrics.neighbors import Metric
    from rl2qc.metrics.prdc import Convention

__all__ = ["score_command"]


def score_command(
    generated: Annotated[
        list[str], typer.Argument(help="Folders, files or globs of generated images.")
    ],
    real: RealOption,
    model: ModelOption = "histology",
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder, file or glob of real images that the generator has not seen, --real "
            "being those it was trained on; adds nearer_train; may be repeated.",
            show_default="a part of --real where such images are needed",
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the scores here.")
    ] = None,
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
    metrics: MetricsOption = None,
    features: FeaturesOption = "model",
    distance: DistanceOption = "euclidean",
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
            help="The same of the real images: gives inception_score its floor and verdict.",
        ),
    ] = None,
    group_pattern: GroupPatternOption = None,
    mpp: MppOption = None,
    any_mpp: AnyMppOption = False,
    n_resamples: Annotated[
        int, typer.Option(help="Resamples of intervals and floors; 0 for values alone.")
    ] = 200,
    k: KOption = 3,
    prdc_k: PrdcKOption = 5,
    prdc_convention: PrdcConventionOption = "prdc",
    alpha: AlphaOption = 0.05,
    batch_size: BatchSizeOption = 32,
    no_cache: NoCacheOption = False,
    seed: SeedOption = 0,
) -> None:
    """Score generated images against real ones: RL2, WAD-Div, IRS, FID, KID, SWD and more.

    Each with its interval, its real-against-real floor and a verdict.

    **Examples**

    rl2qc score generated/ --real real/ --json scores.json --html scores.html

    rl2qc score "epoch_40/*.png" -r real/ -m mine.safetensors -k 5 --group-pattern '^(.+?)_'

    rl2qc score generated/ -r real/ --metrics rl2,fid,kid --features inception

    rl2qc score generated/ -r training_images/ --held-out other_real_images/
    """
    check_targets({"--json": json, "--csv": csv, "--html": html})
    from rl2qc.scoring.score import score
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
    given = _load_array("--probabilities", probabilities)
    given_real = _load_array("--real-probabilities", real_probabilities)
    loaded = load_model(model, batch_size)
    card = score(
        generated,
        real,
        loaded,
        settings,
        probabilities=given,
        real_probabilities=given_real,
        held_out=held_out or None,
        progress=True,
    )
    print_text(
        f"{card.run['n_generated']} generated against {card.run['n_real']} real images, "
        f"{card.run['patch_size']} px, model {loaded.name} ({loaded.sha256[:12]}), "
        f"features {card.run['features']}, {card.run['seconds']} s\n\n{card.table()}"
    )
    if curve:
        needed = "no curve: it needs at least 20 images a set and --n-resamples above 0"
        print_text(f"\nagainst the number of images\n{card.curve_table() or needed}")
    print_warnings(card.warnings)
    lines = []
    if json is not None:
        card.to_json(json)
        lines.append(f"scores  {json}")
    if csv is not None:
        card.to_csv(csv)
        lines.append(f"table   {csv}")
    if html is not None:
        from rl2qc.scoring.page import write_page

        write_page(card, html)
        lines.append(f"page    {html}")
    if lines:
        print("\n" + "\n".join(lines))


def _load_array(option: str, path: Path | None) -> NDArray[np.generic] | None:
    if path is None:
        return None
    import numpy as np

    if not path.is_file():
        raise UsageError(f"no such file: {option} {path}")
    try:
        # Without pickle: a file of probabilities needs no code to be run.
        array: NDArray[np.generic] = np.load(path, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("an archive of arrays")
    except (ValueError, EOFError, OSError) as error:
        raise UsageError(f"{option} {path} is no .npy array: {error}") from None
    return array

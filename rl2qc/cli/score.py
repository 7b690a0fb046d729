"""rl2qc score: judge a generated set against a real one."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl2qc.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["check_targets", "print_text", "score_command", "split_names"]


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
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the scores here.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write the table here.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write a page with pictures here."),
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
    probabilities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npy",
            help="A classifier's probabilities of the generated images, one row an image in the "
            "order of the files: for inception_score.",
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
        int, typer.Option(help="Resamples of intervals and floors; 0 for values alone.")
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
    """Score generated images against real ones: RL2, WAD-Div, IRS, FID, KID, SWD and more.

    Each with its interval, its real-against-real floor and a verdict.

    **Examples**

    rl2qc score generated/ --real real/ --json scores.json --html scores.html

    rl2qc score "epoch_40/*.png" -r real/ -m mine.safetensors -k 5 --group-pattern '^(.+?)_'

    rl2qc score generated/ -r real/ --metrics rl2,fid,kid --features inception
    """
    check_targets({"--json": json, "--csv": csv, "--html": html})
    from rl2qc.model.quality import QualityModel
    from rl2qc.reports.image_sets import ScoreSettings
    from rl2qc.reports.scoring import score

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
    given = None if probabilities is None else _load_array(probabilities)
    loaded = QualityModel.load(model)
    loaded.batch_size = batch_size
    card = score(generated, real, loaded, settings, probabilities=given, progress=True)
    print_text(
        f"{card.run['n_generated']} generated against {card.run['n_real']} real images, "
        f"{card.run['patch_size']} px, model {loaded.name} ({loaded.sha256[:12]}), "
        f"features {card.run['features']}, {card.run['seconds']} s\n\n{card.table()}"
    )
    for warning in card.warnings:
        print(f"rl2qc: warning: {warning}", file=sys.stderr)
    lines = []
    if json is not None:
        card.to_json(json)
        lines.append(f"scores  {json}")
    if csv is not None:
        card.to_csv(csv)
        lines.append(f"table   {csv}")
    if html is not None:
        from rl2qc.reports.score_page import write_page

        write_page(card, html)
        lines.append(f"page    {html}")
    if lines:
        print("\n" + "\n".join(lines))


def check_targets(files: dict[str, Path | None]) -> None:
    """UsageError for a file to write that is a folder."""
    for option, file in files.items():
        if file is not None and file.is_dir():
            raise UsageError(f"{option} {file} is a folder: name a file in it")


def split_names(names: str | None) -> tuple[str, ...] | None:
    """Comma-separated names without blanks; None stays None."""
    if names is None:
        return None
    return tuple(name.strip() for name in names.split(",") if name.strip())


def print_text(text: str) -> None:
    """Print text with arrows, replaced where the terminal's encoding has none."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    print(text)


def _load_array(path: Path) -> NDArray[np.generic]:
    import numpy as np

    if not path.is_file():
        raise UsageError(f"no such file: --probabilities {path}")
    try:
        # Without pickle: a file of probabilities needs no code to be run.
        array: NDArray[np.generic] = np.load(path, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("an archive of arrays")
    except (ValueError, EOFError, OSError) as error:
        raise UsageError(f"--probabilities {path} is no .npy array: {error}") from None
    return array

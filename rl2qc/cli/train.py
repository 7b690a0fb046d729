"""rl2qc train: fit a quality model to clean reference patches."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl2qc.cli.options import OverwriteOption, print_warnings
from rl2qc.cli.settings import with_settings
from rl2qc.model.training.settings import TrainSettings

if TYPE_CHECKING:
    from rl2qc.model.quality import QualityModel
    from rl2qc.model.train import TrainFiles

__all__ = ["train_command"]


@with_settings
def train_command(
    reference: Annotated[
        list[str],
        typer.Argument(help="Folders (searched recursively), files or globs of clean patches."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Model file to write, MODEL.safetensors.")
    ],
    settings: TrainSettings,
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder, file or glob of clean patches to hold out instead; may be repeated."
        ),
    ] = None,
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="Also list the least likely 2 % of the reference (MODEL.review.csv) and show them "
            "(MODEL.review.png), for artifacts among them to be left out by --exclude; on the page "
            "MODEL.review.html patches are marked by click and key, and it saves a list.",
        ),
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Fit a quality model to clean reference patches of your own stain and scanner.

    Writes the model and, beside it, a picture of its training curve.

    **Examples**

    rl2qc train patches/ --out mine.safetensors --mpp 0.5 --review

    rl2qc train patches/ --out mine.safetensors --mpp 0.5 --exclude mine.review.csv --overwrite

    rl2qc train slides/ --out mine.safetensors --uncurated

    rl2qc train "tiles/*.png" -o mine.safetensors --group-pattern '^(.+?)_'
    """
    from rl2qc.cohort.train import train
    from rl2qc.model.train import TrainFiles

    started = time.monotonic()
    model = train(
        reference,
        out,
        settings,
        held_out=held_out or None,
        review=review,
        overwrite=overwrite,
        progress=True,
    )
    print_warnings(model.warnings_)
    _print(model, TrainFiles(out), time.monotonic() - started)


def _print(model: QualityModel, files: TrainFiles, seconds: float) -> None:
    made, history = model.provenance, model.history_
    slides, excluded = made.get("n_slides"), made.get("n_excluded")
    print(
        f"trained on {made['n_train']} patches of {model.patch_size} px, held out "
        f"{made['n_held_out']}"
        + (f" ({slides} slides)" if slides is not None else "")
        + (f", left out {excluded}" if excluded is not None else "")
        + f"\nheld-out NLL {history.best:.3f} nats per dimension "
        f"(epoch {history.best_epoch + 1} of {len(history.held_out)})"
        f"\n{seconds:.0f} seconds"
        f"\nmodel  {files.model}  ({model.sha256[:12]})\ncurve  {files.curve}"
    )
    if model.review_ is not None:
        print(
            f"review {files.review}\n       {files.sheet}\n       {files.page}\n"
            f"Look at the {len(model.review_)} least likely of {model.review_.n_reference} "
            "reference patches, delete the rows of those that are clean, and train again with "
            f"--exclude {files.review}; or mark them on the page, whose list --exclude takes, too"
        )

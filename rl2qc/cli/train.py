"""rl2qc train: fit a quality model to clean reference patches."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rl2qc.errors import UsageError

__all__ = ["train_command"]


class Mode(StrEnum):
    frozen = "frozen"
    joint = "joint"


def train_command(
    reference: Annotated[
        list[str],
        typer.Argument(help="Folders (searched recursively), files or globs of clean patches."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Model file to write, MODEL.safetensors.")
    ],
    backbone: Annotated[
        str,
        typer.Option(
            help="histology (the shipped model's), imagenet, random, another model, "
            "or a weights file."
        ),
    ] = "histology",
    mode: Annotated[
        Mode,
        typer.Option(
            help="frozen: fit the flow on fixed features. joint: then train backbone and flow "
            "together, as the RL2 paper does."
        ),
    ] = Mode.frozen,
    patch_size: Annotated[
        int | None,
        typer.Option(
            min=64,
            help="Side of a patch in px; larger images are cropped at the centre. "
            "Default: the commonest short side, at most 256.",
        ),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(min=0.01, max=100, help="Microns per pixel of the patches, if known."),
    ] = None,
    slide_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression on the file name whose first group is the slide id: no "
            "slide is then split between training and hold-out."
        ),
    ] = None,
    max_patches: Annotated[
        int | None, typer.Option(min=1, help="Train on a random subset of this many patches.")
    ] = None,
    holdout: Annotated[
        float,
        typer.Option(help="Share held out for early stopping and calibration."),
    ] = 0.2,
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder, file or glob of clean patches to hold out instead; may be repeated."
        ),
    ] = None,
    components: Annotated[
        int, typer.Option(min=2, max=512, help="Whitened components that the flow models.")
    ] = 128,
    layers: Annotated[int, typer.Option(min=1, help="Coupling layers of the flow.")] = 8,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Most epochs. Default: 300, joint 5.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Default: 1e-3, joint 1e-5.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Patches a forward pass.")] = 32,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal models.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace MODEL.")] = False,
) -> None:
    """Fit a quality model to clean reference patches of your own stain and scanner.

    Writes the model and, beside it, a picture of its training curve.

    **Examples**

    rl2qc train patches/ --out mine.safetensors --mpp 0.5

    rl2qc train "tiles/*.png" -o mine.safetensors --slide-pattern '^(.+?)_'
    """
    from rl2qc.images.sources import as_source
    from rl2qc.model.holdout import slide_ids
    from rl2qc.model.quality import QualityModel
    from rl2qc.reports.figures import training_curve

    if out.suffix != ".safetensors":
        raise UsageError(f"--out must end in .safetensors, got {out.name}")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: name a file in it")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists: choose another --out or pass --overwrite")
    started = time.monotonic()
    source = as_source(reference, patch_size)
    if max_patches is not None and max_patches < len(source):
        source = source.sample(max_patches, seed)
    groups = slide_ids(source.names, slide_pattern) if slide_pattern else None
    model = QualityModel.fit(
        source,
        backbone=backbone,
        mode=mode.value,
        mpp=mpp,
        groups=groups,
        holdout=holdout,
        held_out=held_out,
        n_components=components,
        layers=layers,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
        progress=True,
    )
    model.save(out)
    curve = out.with_suffix(".png")
    history = model.history_
    training_curve(history.train, history.held_out, history.best_epoch, curve)
    made = model.provenance
    print(
        f"trained on {made['n_train']} patches of {model.patch_size} px, held out "
        f"{made['n_held_out']}"
        + (f" ({made['n_groups']} slides)" if groups else "")
        + f"\nheld-out NLL {history.best:.3f} nats per dimension "
        f"(epoch {history.best_epoch + 1} of {len(history.held_out)})"
        f"\n{time.monotonic() - started:.0f} seconds"
        f"\nmodel  {out}  ({model.sha256[:12]})\ncurve  {curve}"
    )

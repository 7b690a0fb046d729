"""rl2qc train: fit a quality model to clean reference patches."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl2qc.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rl2qc.images.sources.base import PatchSource
    from rl2qc.images.sources.exclusion import Exclusion

__all__ = ["train_command"]

# Tiles with a smaller share of tissue are left out of the reference.
_MIN_TISSUE = 0.5


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
    any_mpp: Annotated[
        bool, typer.Option("--any-mpp", help="Allow --mpp far from the backbone's own.")
    ] = False,
    tile: Annotated[
        bool,
        typer.Option(
            "--tile",
            help="Cut all whole patches out of larger images, not the central one alone; those "
            "that are mostly glass are left out.",
        ),
    ] = False,
    slide_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression on the file name whose first group is the slide id: no "
            "slide is then split between training and hold-out."
        ),
    ] = None,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Leave out the patches listed here: one path a line, or a CSV file with a column "
            "file, such as --review writes; may be repeated.",
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
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="Also list the least likely 2 % of the reference (MODEL.review.csv) and show them "
            "(MODEL.review.png), for artifacts among them to be left out by --exclude.",
        ),
    ] = False,
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

    rl2qc train patches/ --out mine.safetensors --mpp 0.5 --review

    rl2qc train patches/ --out mine.safetensors --mpp 0.5 --exclude mine.review.csv --overwrite

    rl2qc train "tiles/*.png" -o mine.safetensors --slide-pattern '^(.+?)_'
    """
    from rl2qc.html.figures import training_curve
    from rl2qc.images.groups import slide_ids
    from rl2qc.images.sources.base import as_source
    from rl2qc.images.sources.exclusion import Exclusion
    from rl2qc.images.sources.tiles import whole_image
    from rl2qc.model.quality import QualityModel
    from rl2qc.model.review import review_reference
    from rl2qc.model.training.split import join_held_out

    listed, sheet = out.with_suffix(".review.csv"), out.with_suffix(".review.png")
    _check_targets(out, listed if review else None, exclude or [], overwrite)
    started = time.monotonic()
    excluded = Exclusion(exclude) if exclude else None
    source = _prepare(as_source(reference, patch_size), tile, excluded)
    apart = None
    if held_out is not None:
        apart = _prepare(as_source(held_out, source.size), tile, excluded)
    if excluded is not None:
        _check_excluded(excluded)
    _check_scale(backbone, mpp, any_mpp)
    if max_patches is not None and max_patches < len(source):
        source = source.sample(max_patches, seed)
    images = [whole_image(name) for name in source.names]
    slides = slide_ids(images, slide_pattern) if slide_pattern else None
    groups = slides
    if slides is None and len(set(images)) < len(images):
        groups = images  # tiles of one image show one piece of tissue
        if len(set(images)) == 1 and apart is None:
            raise UsageError(
                "all tiles come from one image, and none can be held out apart from it: name more "
                "images, or clean ones to hold out (--held-out)"
            )
    groups = _look_for_copies(source, apart, groups, holdout)
    model = QualityModel.fit(
        source,
        backbone=backbone,
        mode=mode.value,
        mpp=mpp,
        groups=groups,
        holdout=holdout,
        held_out=apart,
        n_components=components,
        layers=layers,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
        progress=True,
    )
    if excluded is not None:
        model.provenance["n_excluded"] = excluded.count
    model.save(out)
    curve = out.with_suffix(".png")
    history = model.history_
    training_curve(history.train, history.held_out, history.best_epoch, curve)
    made = model.provenance
    print(
        f"trained on {made['n_train']} patches of {model.patch_size} px, held out "
        f"{made['n_held_out']}"
        + (f" ({len(set(slides))} slides)" if slides else "")
        + (f", left out {excluded.count}" if excluded is not None else "")
        + f"\nheld-out NLL {history.best:.3f} nats per dimension "
        f"(epoch {history.best_epoch + 1} of {len(history.held_out)})"
        f"\n{time.monotonic() - started:.0f} seconds"
        f"\nmodel  {out}  ({model.sha256[:12]})\ncurve  {curve}"
    )
    if review:
        everything = source if apart is None else join_held_out(source, apart)[0]
        found = review_reference(
            model, everything, groups if apart is None else None, progress=True
        )
        found.to_csv(listed)
        found.to_png(sheet)
        print(
            f"review {listed}\n       {sheet}\n"
            f"Look at the {len(found)} least likely of {len(everything)} reference patches, delete "
            f"the rows of those that are clean, and train again with --exclude {listed}"
        )


def _check_targets(
    out: Path, listed: Path | None, exclude: Sequence[Path], overwrite: bool
) -> None:
    if out.suffix != ".safetensors":
        raise UsageError(f"--out must end in .safetensors, got {out.name}")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: name a file in it")
    if listed is not None and listed.resolve() in [path.resolve() for path in exclude]:
        raise UsageError(
            f"--review would write a new {listed} over the list that --exclude reads, and what it "
            "names would come back: rename the list first"
        )
    for path in (out, listed):
        if path is not None and path.exists() and not overwrite:
            raise UsageError(f"{path} exists: choose another --out or pass --overwrite")


def _prepare(source: PatchSource, tile: bool, excluded: Exclusion | None) -> PatchSource:
    """The patches of images: tiles if asked for, without those that are to be left out."""
    from rl2qc.images.sources.tiles import cut_tiles, unused_by_center_crop

    if tile:
        source = cut_tiles(source, _shows_tissue)
    else:
        roomy, unused = unused_by_center_crop(source)
        if roomy:
            _warn(
                f"{roomy} of {len(source)} images have room for more than one patch of "
                f"{source.size} px: only their centre is used, and {unused:.0%} of all pixels are "
                "not; pass --tile to use them"
            )
    return source if excluded is None else excluded(source)


def _shows_tissue(tile: NDArray[np.uint8]) -> bool:
    import numpy as np
    from PIL import Image

    from rl2qc.images.tissue import tissue_mask

    small = np.asarray(Image.fromarray(np.ascontiguousarray(tile)).reduce(4))
    return bool(tissue_mask(small).mask.mean() >= _MIN_TISSUE)


def _check_excluded(excluded: Exclusion) -> None:
    missing = excluded.missing
    if len(missing) == len(excluded):
        raise UsageError(
            f"none of the {len(excluded)} paths of --exclude is a reference patch, such as "
            f"{missing[0]}: name them as they are given to rl2qc train, or in full"
        )
    if missing:
        _warn(
            f"{len(missing)} of {len(excluded)} paths of --exclude are no reference patches, such "
            f"as {missing[0]}"
        )


def _check_scale(backbone: str, mpp: float | None, any_mpp: bool) -> None:
    from rl2qc.images.resolution import check_scale
    from rl2qc.model.checkpoint import read_checkpoint
    from rl2qc.model.zoo import find_checkpoint

    if mpp is None:
        _warn(
            "without --mpp the model does not know its resolution: slides are then read at 0.5 "
            "um/px, and images of another are not noticed"
        )
        return
    known = None
    if backbone not in ("imagenet", "random"):
        file = Path(backbone) if Path(backbone).is_file() else find_checkpoint(backbone)
        with suppress(CheckpointError):  # plain weights, which record no resolution
            known = read_checkpoint(file)[1].get("mpp")
    if known is None:
        return
    warning = check_scale(
        known,
        mpp,
        "the patches",
        model="the backbone",
        advice="choose another --backbone, or pass --any-mpp",
        any_mpp=any_mpp,
    )
    if warning is not None:
        _warn(warning)


def _look_for_copies(
    source: PatchSource, apart: PatchSource | None, groups: list[str] | None, holdout: float
) -> list[str] | None:
    """Warn of near-copies; the groups that keep them on one side of the hold-out."""
    from rl2qc.images.duplicates import join_groups, near_copies, say_copies, thumbnails
    from rl2qc.model.training.split import join_held_out

    everything = source if apart is None else join_held_out(source, apart)[0]
    copies = near_copies(thumbnails(everything, progress=True))
    said = say_copies(copies, everything.names)
    if said is None:
        return groups
    if apart is not None:
        trained = set(copies[: len(source)])
        crossing = sum(group in trained for group in copies[len(source) :])
        if crossing:
            said += (
                f"; {crossing} of the held-out patches have one that trains, so the hold-out looks "
                "too normal and new patches less so: leave them out"
            )
        _warn(said)
        return groups
    together = join_groups(copies, groups, holdout * len(source))
    if together is None:
        _warn(
            f"{said}: too many to be kept on one side of the hold-out, which looks too normal and "
            "new patches less so; leave copies out"
        )
        return groups
    _warn(f"{said}: they teach the model no more than one would, and are not split by the hold-out")
    return together


def _warn(line: str) -> None:
    print(f"rl2qc: warning: {line}", file=sys.stderr)

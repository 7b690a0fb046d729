"""rl2qc dice: overlap of the masks of two folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.options import check_targets, print_warnings, split_names
from rl2qc.errors import UsageError

__all__ = ["dice_command"]


def dice_command(
    masks_a: Annotated[str, typer.Argument(help="Folder or glob of masks.")],
    masks_b: Annotated[str, typer.Argument(help="Masks of the same names to compare with.")],
    labels: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated label numbers to average over. Default: all but 0 is foreground."
        ),
    ] = None,
    group_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression whose first group is the slide or patient, in the file name "
            "or in the path below the folder: the interval then resamples whole groups."
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write each pair here.")
    ] = None,
) -> None:
    """Dice between two folders of masks, paired by file name: anatomical consistency.

    For models that translate stains or styles: segment source and translation, then compare.

    **Examples**

    rl2qc dice masks_of_source/ masks_of_translation/

    rl2qc dice a/ b/ --labels 1,2,3 --group-pattern '^(.+?)_' --json dice.json
    """
    check_targets({"--json": json})
    from rl2qc.scoring.dice import mask_overlap

    try:
        wanted = [int(name) for name in split_names(labels) or ()] if labels is not None else None
    except ValueError:
        raise UsageError(f"--labels must be whole numbers, got {labels!r}") from None
    if wanted is not None and not wanted:
        raise UsageError("--labels names no label")
    found = mask_overlap(masks_a, masks_b, labels=wanted, group_pattern=group_pattern)
    spread = "" if found.low is None else f"  ({found.low:.4f} to {found.high:.4f})"
    slides = "" if found.groups is None else f" of {len(set(found.groups))} slides"
    count = f"{len(found.names)} pairs{slides}, {found.n_empty} empty"
    print(f"dice  {found.value:.4f}{spread}  {count}")
    worst = sorted(zip(found.per_image, found.names, strict=True))[:5]
    print("worst " + ", ".join(f"{name} {value:.3f}" for value, name in worst))
    print_warnings(found.warnings)
    if json is not None:
        found.to_json(json)
        print(f"\npairs  {json}")

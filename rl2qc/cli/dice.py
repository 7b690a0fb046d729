"""rl2qc dice: overlap of the masks of two folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.options import JsonOption, OverwriteOption
from rl2qc.cli.outputs import Outputs
from rl2qc.cli.settings import with_settings
from rl2qc.scoring.settings import DiceSettings

__all__ = ["dice_command"]


@with_settings
def dice_command(
    masks_a: Annotated[str, typer.Argument(help="Folder or glob of masks.")],
    masks_b: Annotated[str, typer.Argument(help="Masks of the same names to compare with.")],
    json: JsonOption = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write a line a pair here.")
    ] = None,
    overwrite: OverwriteOption = False,
    *,
    settings: DiceSettings,
) -> None:
    """Dice between two folders of masks, paired by file name: anatomical consistency.

    For models that translate stains or styles: segment source and translation, then compare.

    **Examples**

    rl2qc dice masks_of_source/ masks_of_translation/

    rl2qc dice a/ b/ --labels 1,2,3 --group-pattern '^(.+?)_' --json dice.json
    """
    outputs = Outputs(
        {"--json": json, "--csv": csv}, overwrite=overwrite, inputs=[masks_a, masks_b]
    )
    from rl2qc.scoring.dice import dice

    found = dice(masks_a, masks_b, settings, progress=True)
    outputs.finish(
        found.table(),
        found.warnings,
        ("pairs", "--json", found.to_json),
        ("table", "--csv", found.to_csv),
    )

"""rl2qc reject: whether a generator is not diverse enough, after as few images as that takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.options import JsonOption, ModelOption, OverwriteOption
from rl2qc.cli.outputs import Outputs
from rl2qc.cli.settings import with_settings
from rl2qc.errors import ExitCode
from rl2qc.model.zoo import DEFAULT_MODEL
from rl2qc.scoring.settings import RejectSettings

__all__ = ["reject_command"]


@with_settings
def reject_command(
    generated: Annotated[
        list[str], typer.Argument(help="Folders, files or globs of generated images.")
    ],
    train: Annotated[
        list[str],
        typer.Option("--train", help="Images that the generator was trained on; may be repeated."),
    ],
    model: ModelOption = DEFAULT_MODEL,
    unseen: Annotated[
        list[str] | None,
        typer.Option(
            help="Real images that the generator has not seen: what not even these retrieve is "
            "not held against it; may be repeated.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write a line a look here.")
    ] = None,
    overwrite: OverwriteOption = False,
    *,
    settings: RejectSettings,
) -> None:
    """Reject a generator that covers too few of its training images, as early as it is certain.

    Each image retrieves its nearest training image; the number of distinct ones tells the
    diversity (IRS). Reading stops as soon as the generator can be rejected; it then ends with
    exit code 4.

    **Examples**

    rl2qc reject epoch_10/ --train real/ --diversity 0.8 --alpha 0.05

    rl2qc reject generated/ --train real/ --unseen other_real/ --json rejection.json
    """
    read = [*generated, *train, *(unseen or ()), model]
    outputs = Outputs({"--json": json, "--csv": csv}, overwrite=overwrite, inputs=read)
    from rl2qc.scoring.reject import reject

    found = reject(generated, train, model, settings, unseen=unseen or None, progress=True)
    outputs.finish(
        found.table(),
        found.warnings,
        ("rejection", "--json", found.to_json),
        ("table", "--csv", found.to_csv),
    )
    if found.rejected:
        raise typer.Exit(ExitCode.NOT_MET)

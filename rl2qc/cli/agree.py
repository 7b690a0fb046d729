"""rl2qc agree: whether metrics rank generators as Dice does, from a table alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.options import JsonOption, OverwriteOption
from rl2qc.cli.outputs import Outputs
from rl2qc.cli.settings import with_settings
from rl2qc.scoring.settings import AgreeSettings

__all__ = ["agree_command"]


@with_settings
def agree_command(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE.csv",
            help="A column generator, one a score (name:lower where lower is better; metrics of "
            "rl2qc say it themselves), and a column task where there are several.",
        ),
    ],
    json: JsonOption = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write a line a score here.")
    ] = None,
    overwrite: OverwriteOption = False,
    *,
    settings: AgreeSettings,
) -> None:
    """Do metrics rank generators as Dice does? Kendall's tau, from a table alone.

    Scores of each generator, wherever they come from: no image is read. A tau comes with the share
    of all orders of the generators that agree as much by chance.

    **Examples**

    rl2qc agree table.csv

    rl2qc agree table.csv --with reader_score --lower fid,kid,swd --by task --json agreement.json
    """
    outputs = Outputs({"--json": json, "--csv": csv}, overwrite=overwrite, inputs=[table])
    from rl2qc.scoring.agree import agree

    found = agree(table, settings)
    outputs.finish(
        found.table(),
        found.warnings,
        ("agreement", "--json", found.to_json),
        ("table", "--csv", found.to_csv),
    )

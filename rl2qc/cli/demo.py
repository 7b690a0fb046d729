"""rl2qc demo: the whole job on procedural tissue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.options import OverwriteOption

__all__ = ["demo_command"]


def demo_command(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the page and its files.")
    ] = Path("rl2qc-demo"),
    shipped: Annotated[
        bool,
        typer.Option(
            "--shipped",
            help="Filter with the shipped model itself, which has seen real tissue only, and not "
            "with one fitted to clean procedural tiles on its backbone.",
        ),
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Show the whole job on procedural tissue: no file and no network needed, a minute at most.

    Draws a slide with a fold, ink, an air bubble and a field out of focus, fits a model to clean
    tiles of other slides, filters with it, scores blurred patches against clean ones, and writes a
    page that shows it all.

    **Examples**

    rl2qc demo

    rl2qc demo --out demo/ --overwrite
    """
    from rl2qc.demonstration.run import demo

    found = demo(out, own_reference=not shipped, overwrite=overwrite, progress=True)
    print(found.table())
    print(f"\n{found.seconds:.0f} seconds\npage  {found.page.resolve()}")

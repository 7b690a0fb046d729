"""rl2qc review: tiles for a person to mark."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.console import say
from rl2qc.cli.options import OverwriteOption
from rl2qc.cli.stopping import if_stopped
from rl2qc.core.outputs import is_stdout
from rl2qc.core.text import printable
from rl2qc.errors import ExitCode

__all__ = ["review_command"]


def review_command(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder that rl2qc filter wrote.", show_default=False),
    ],
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="The page.", show_default="DIR/review.html"),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="Tiles on the page at most.")
    ] = 400,
    overwrite: OverwriteOption = False,
    serve: Annotated[
        bool,
        typer.Option(
            "--serve",
            help="Serve the page on this machine alone (127.0.0.1), and save marks to "
            "DIR/corrections.csv.",
        ),
    ] = False,
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, help="Of --serve; 0 takes a free one."),
    ] = 8765,
) -> None:
    """Look through the most suspicious tiles, and mark them clean or bad.

    Writes one page that needs nothing but a browser: click or key to mark, filter by slide and
    reason, zoom to a tile in its surroundings with its map. It saves a list that rl2qc decide
    --corrections takes, and rl2qc train --exclude.

    **Examples**

    rl2qc review results/

    rl2qc review results/ --serve

    rl2qc decide results/ --corrections corrections.csv
    """
    from rl2qc.cohort.review import CORRECTIONS, find_tiles, review

    if serve:
        from rl2qc.cohort.review_server import serve_review
        from rl2qc.core.outputs import check_targets

        target = folder / CORRECTIONS
        check_targets({"--serve": target}, overwrite=overwrite)
        with if_stopped(lambda: "what the page saved is kept"):
            # Whoever reads it from a pipe waits for the address, too.
            tell = partial(print, flush=True)
            find = partial(find_tiles, folder, limit=limit, progress=True)
            serve_review(find, target, port, tell)
        return
    found = review(folder, html, limit=limit, overwrite=overwrite, progress=True)
    to_stdout = html is not None and is_stdout(html)
    place = sys.stderr if to_stdout else sys.stdout
    print(f"{len(found.tiles)} of {found.total} tiles, the most suspicious first", file=place)
    if not to_stdout:
        print(f"page  {printable(str(found.path))}")
    if found.unseen:
        say(f"warning: {found.unseen}")
    for name, reason in found.failures:
        say(f"error: {name}: {reason}")
    if found.failures:
        raise typer.Exit(ExitCode.FAILED)

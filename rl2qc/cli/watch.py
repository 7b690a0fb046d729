"""rl2qc watch: scores of checkpoints as they appear."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from rl2qc.cli.console import say
from rl2qc.cli.options import ModelOption, RealOption
from rl2qc.cli.settings import with_settings
from rl2qc.cli.stopping import if_stopped
from rl2qc.core.text import number, printable
from rl2qc.errors import ExitCode
from rl2qc.model.zoo import DEFAULT_MODEL
from rl2qc.scoring.watch_settings import WatchSettings

__all__ = ["watch_command"]


@with_settings
def watch_command(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A folder that fills with a folder or archive of images a checkpoint.",
            show_default=False,
        ),
    ],
    real: RealOption,
    model: ModelOption = DEFAULT_MODEL,
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Show the page on this machine alone, as it grows."),
    ] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Of --serve; 0 takes a free one.")
    ] = 8766,
    *,
    settings: WatchSettings,
) -> None:
    """Score the checkpoints of a training run as they appear: curves with intervals.

    The step of a checkpoint is the last number in the name of its folder or archive. Stopped and
    begun again, the watch goes on.

    **Examples**

    rl2qc watch samples/ --real real/

    rl2qc watch samples/ --real real/ --metrics rl2,coverage --diversity 0.8 --serve

    rl2qc watch samples/ --real real/ --once --tensorboard
    """
    from rl2qc.html.server import page_server
    from rl2qc.scoring.watch import watch
    from rl2qc.scoring.watched import Watched

    latest: list[Watched] = []
    said: set[str] = set()

    def look(found: Watched) -> None:
        before = latest[0].waiting if latest else None
        latest[:] = [found]
        if before != found.waiting and not settings.once:
            waiting = ", ".join(map(printable, found.waiting)) or f"the next set in {run}"
            say(f"waiting for {waiting}; a look every {settings.interval:g} s")

    def tell(found: Watched) -> None:
        latest[:] = [found]
        for one in found.sets:
            if one.name + one.stamp in said:
                continue
            said.add(one.name + one.stamp)
            if one.failure:
                say(f"error: {one.name}: {one.failure}")
                continue
            values = "  ".join(f"{name} {number(v[0])}" for name, v in one.scores.items())
            rejected = "  rejected" if one.rejected else ""
            print(f"step {one.step}  {printable(one.name)}  {values}{rejected}", flush=True)
            # Most hold for every set of a run: told of the first.
            for warning in [w for w in one.warnings if w not in said]:
                say(f"warning: {printable(one.name)}: {warning}")
            said.update(one.warnings)

    def page() -> str:
        return (latest or [Watched(run, run, (), ())])[0].page(refresh=settings.interval)

    def kept() -> str:
        return "what was scored is kept: the same command goes on"

    if serve:
        server = page_server(page, port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"page  {server.url}", flush=True)
    with if_stopped(kept):
        found = watch(run, real, model, settings, told=tell, looked=look, progress=True)
    print(found.table())
    if found.waiting:
        print(f"waiting  {printable(', '.join(found.waiting))}")
    print(f"results  {printable(str(found.folder))}")
    if len(found.scored) < len(found.sets):
        raise typer.Exit(ExitCode.FAILED)

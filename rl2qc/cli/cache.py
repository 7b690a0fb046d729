"""rl2qc cache: what is kept of features between runs, and how to drop it."""

from __future__ import annotations

import typer

__all__ = ["cache_app"]

cache_app = typer.Typer(
    no_args_is_help=True,
    help="Features kept between runs: how many, and drop them.",
    epilog="The folder is RL2QC_CACHE, else XDG_CACHE_HOME/rl2qc, else ~/.cache/rl2qc.",
)


@cache_app.command("info")
def info_command() -> None:
    """Say where features are kept, how many there are and how large they are.

    **Examples**

    rl2qc cache info

    RL2QC_CACHE=/scratch/me rl2qc cache info
    """
    from rl2qc.features.cache import FeatureCache

    info = FeatureCache().info()
    print(
        f"file     {info.path}\nentries  {info.entries}\n"
        f"size     {info.size / 1e6:.1f} MB (the oldest are dropped beyond "
        f"{info.max_bytes / 1e6:.0f} MB)"
    )


@cache_app.command("clear")
def clear_command() -> None:
    """Drop every kept feature; they are computed again when needed.

    **Examples**

    rl2qc cache clear
    """
    from rl2qc.features.cache import FeatureCache

    cache = FeatureCache()
    print(f"freed {cache.clear() / 1e6:.1f} MB of {cache.path}")

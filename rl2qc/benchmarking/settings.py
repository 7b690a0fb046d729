"""How a benchmark is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rl2qc.core.settings import Interval, Settings, option

__all__ = ["MIN_CLEAN", "BenchmarkSettings"]

# Fewer clean images leave intervals too wide to compare anything, and no halves to compare.
MIN_CLEAN = 50


def _split(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


@dataclass(frozen=True)
class BenchmarkSettings(Settings):
    """What clean images are damaged with, and how the damage is measured.

    Raises
    ------
    UsageError
        A value out of range.

    Examples
    --------
    >>> BenchmarkSettings(n=100).changes(quick=True).n
    100
    """

    artifacts: str | Path | None = option(
        None,
        help="Folder of real artifacts, a sub-folder a kind; cut-outs with transparency in its "
        "sub-folder cutouts are pasted onto the clean patches.",
        flags=("--artifacts", "-a"),
        metavar="DIR",
    )
    cutouts: Literal["all", "even", "odd"] = option(
        "all",
        help="Cut-outs by their position in each sorted folder: even ones for choosing a "
        "detector, odd ones for reporting on it.",
        choices=("all", "even", "odd"),
    )
    labs: str | Path | None = option(
        None,
        help="Folder with a sub-folder of clean images for each other laboratory: which tiles are "
        "kept there, and what damage is found.",
        metavar="DIR",
    )
    corruptions: tuple[str, ...] | None = option(
        None,
        help="Comma-separated names, such as blur,noise,ink. Default: all.",
        parse=_split,
        metavar="NAMES",
        old=("ladders",),
    )
    n: int = option(
        300,
        help="Clean patches, drawn at random.",
        within=Interval(MIN_CLEAN),
        flags=("-n", "--n"),
    )
    mpp: float | None = option(
        None,
        help="Microns per pixel of the images, to be held against the model's.",
        within=Interval(0, closed="neither"),
        show_default="taken to be the model's",
    )
    alpha: float = option(
        0.05,
        help="The filter keeps images with a p-value above this.",
        within=Interval(0, 1, "neither"),
    )
    n_resamples: int = option(500, help="Resamples of the intervals.", within=Interval(2))
    seed: int = option(0, help="Of every random draw.")
    quick: bool = option(
        False, help="At most 100 patches and every second severity.", flags=("--quick",)
    )

    def __post_init__(self) -> None:
        if isinstance(self.corruptions, str):
            object.__setattr__(self, "corruptions", _split(self.corruptions))
        super().__post_init__()

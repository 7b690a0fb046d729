"""How a model is trained: the options of ``rl2qc train``, each told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl2qc.core.defaults import DEFAULT_MODEL
from rl2qc.core.settings import Interval, Settings, option

__all__ = ["MODES", "TrainSettings"]

MODES = ("frozen", "joint")
"""Whether the backbone stays as it is, or is then trained together with the flow."""


@dataclass(frozen=True)
class TrainSettings(Settings):
    """How a model is trained.

    Raises
    ------
    UsageError
        A value that is out of range.

    Examples
    --------
    >>> settings = TrainSettings(mpp=0.5)
    >>> settings.changes(seed=1).seed, settings.mode
    (1, 'frozen')
    """

    backbone: str | Path = option(
        DEFAULT_MODEL,
        help="general or another model, imagenet, random, or a weights file.",
        parse=str,
    )
    mode: str = option(
        MODES[0],
        help="frozen: fit the flow on fixed features. joint: then train backbone and flow "
        "together, as the RL2 paper does, and stop when features collapse.",
        choices=MODES,
    )
    patch_size: int | None = option(
        None,
        help="Side of a patch in px; larger images are cropped at the centre.",
        show_default="the commonest short side, at most 256",
        within=Interval(64),
    )
    mpp: float | None = option(
        None, help="Microns per pixel of the patches, if known.", within=Interval(0.01, 100)
    )
    any_mpp: bool = option(False, help="Allow --mpp far from the backbone's own.")
    tile: bool = option(
        False,
        help="Cut all whole patches out of larger images, not the central one alone; those that "
        "are mostly glass are left out.",
    )
    uncurated: bool = option(
        False,
        help="Nobody has sorted the reference: slides are understood too, of which tiles of tissue "
        "are drawn, as many of each; what looks damaged, or is unlike the rest, is found out of "
        "fold and left out, and how much that is is said.",
    )
    group_pattern: str | None = option(
        None,
        help="Regular expression on the file name whose first group is the slide or patient: none "
        "is then split between training and hold-out.",
        old=("slide_pattern",),
    )
    exclude: Sequence[str | Path] | str | Path = option(
        (),
        help="Leave out the patches listed here: one path a line, or a CSV file with a column "
        "file, such as --review writes; of the list of rl2qc review, what is bad; may be repeated.",
        metavar="FILE",
        repeated=True,
    )
    include: Sequence[str | Path] | str | Path = option(
        (),
        help="Of what --exclude lists, keep the patches listed here; of the list of rl2qc review, "
        "what is clean; may be repeated.",
        metavar="FILE",
        repeated=True,
    )
    max_patches: int | None = option(
        None, help="Train on a random subset of this many patches.", within=Interval(1)
    )
    holdout: float = option(
        0.2,
        help="Share held out for early stopping and calibration.",
        within=Interval(0, 1, "neither"),
    )
    n_components: int = option(
        128,
        help="Whitened components that the flow models.",
        within=Interval(2, 512),
        flags=("--components",),
    )
    layers: int = option(8, help="Coupling layers of the flow.", within=Interval(1, 128))
    hidden: int = option(
        128,
        help="Width of the flow's networks.",
        within=Interval(1, 4096),
        on_command_line=False,
    )
    epochs: int | None = option(
        None, help="Most epochs.", show_default="300, joint 5", within=Interval(1)
    )
    learning_rate: float | None = option(
        None,
        help="Of the flow, or of the joint steps that follow it.",
        show_default="1e-3, joint 1e-5",
        within=Interval(0, closed="neither"),
    )
    batch_size: int = option(32, help="Patches a forward pass.", phase="speed", within=Interval(1))
    seed: int = option(0, help="Equal seeds give equal models on one machine.", within=Interval(0))
    device: Any = option(
        None,
        help="Where the network runs: a GPU if there is one.",
        phase="speed",
        on_command_line=False,
    )

    @property
    def excluded(self) -> tuple[Path, ...]:
        """The files of ``exclude``; one stands for itself."""
        return _files(self.exclude)

    @property
    def included(self) -> tuple[Path, ...]:
        """The files of ``include``."""
        return _files(self.include)


def _files(given: Sequence[str | Path] | str | Path) -> tuple[Path, ...]:
    return tuple(map(Path, [given] if isinstance(given, str | Path) else given))

"""How a training run is watched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl2qc.core.settings import Interval, Settings, option
from rl2qc.features.base import DEFAULT_FEATURES
from rl2qc.scoring.settings import ScoreSettings, split_names

__all__ = ["WatchSettings"]


@dataclass(frozen=True)
class WatchSettings(Settings):
    """How a training run is watched.

    Raises
    ------
    UsageError
        For options out of range, or a metric that is not known.

    Examples
    --------
    >>> WatchSettings(metrics="rl2,kid").metrics
    ('rl2', 'kid')
    """

    metrics: Sequence[str] | None = option(
        None,
        help="Comma-separated names of what is computed of each set.",
        parse=split_names,
        metavar="NAMES",
        show_default="those that a scorecard recommends",
    )
    features: Any = option(
        DEFAULT_FEATURES,
        help="What the metrics of features are computed on, as in rl2qc score.",
        metavar="NAME|FILE|DIR",
    )
    group_pattern: str | None = option(
        "auto",
        help="Regular expression on file names whose first group is the slide or patient of a real "
        "image; auto finds it, none takes each for itself.",
        metavar="auto|none|PATTERN",
    )
    mpp: float | None = option(
        None,
        help="Microns per pixel of the images, to be held against the model's.",
        show_default="taken to be the model's",
        before=None,
    )
    harmonize: bool = option(
        False,
        help="Encode each set and the real images alike before anything is measured.",
        before=False,
    )
    n_resamples: int = option(200, help="Resamples of each interval.", within=Interval(0))
    level: float = option(0.95, help="Coverage of the intervals.", within=Interval(0, 1, "neither"))
    diversity: float | None = option(
        None,
        help="Also reject a set, as early as that is certain, that covers a smaller share of the "
        "real images (rl2qc reject).",
        show_default="no set is rejected",
        within=Interval(0, 1, "right"),
    )
    alpha: float = option(
        0.05,
        help="Probability of rejecting one that does cover them.",
        within=Interval(0, 0.5, "neither"),
    )
    interval: float = option(
        30.0, help="Seconds between looks at the folder.", phase="speed", within=Interval(0.01)
    )
    cache: bool = option(
        True,
        help="Read and keep features between runs.",
        phase="speed",
        flags=("--cache/--no-cache",),
    )
    out: str | Path | None = option(
        None,
        help="Where the results go.",
        phase="speed",
        flags=("--out", "-o"),
        metavar="DIR",
        show_default="RUN.watch",
    )
    once: bool = option(False, help="Score what is there, and end.", phase="speed")
    tensorboard: bool = option(False, help="Write event files there, too.", phase="speed")
    overwrite: bool = option(
        False, help="Begin anew where another watch has its results.", phase="speed"
    )
    seed: int = option(0, help="Of every random draw.", within=Interval(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.metrics, str):
            object.__setattr__(self, "metrics", split_names(self.metrics))

    @property
    def wanted(self) -> tuple[str, ...]:
        """What is computed of each set."""
        if self.metrics is not None:
            return tuple(self.metrics)
        # Here, since --help must not wait for all of them.
        from rl2qc.scoring.spec import METRICS

        return tuple(spec.name for spec in METRICS if spec.recommended)

    def score_settings(self) -> ScoreSettings:
        """How each set is scored."""
        return ScoreSettings(
            metrics=self.wanted,
            features=self.features,
            group_pattern=self.group_pattern,
            mpp=self.mpp,
            harmonize=self.harmonize,
            n_resamples=self.n_resamples,
            level=self.level,
            cache=self.cache,
            seed=self.seed,
        )

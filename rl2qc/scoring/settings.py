"""How to score, to compare, and to hold masks against each other: what the user can choose."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from rl2qc.core.settings import Interval, Settings, option
from rl2qc.errors import UsageError
from rl2qc.features.base import DEFAULT_FEATURES
from rl2qc.scoring.spec import chosen_metrics

__all__ = ["AgreeSettings", "CompareSettings", "DiceSettings", "RejectSettings", "ScoreSettings"]

_GROUPS = (
    "Which images belong together, so that intervals and baselines resample whole groups: auto "
    "(found by names, folders, overlaps and near-duplicates), none, or a regular expression whose "
    "first group is the slide or patient, in the file name or in the path below the set's folder."
)


def split_names(names: str) -> tuple[str, ...]:
    """Comma-separated names without blanks.

    Examples
    --------
    >>> split_names("rl2, fid,")
    ('rl2', 'fid')
    """
    return tuple(name.strip() for name in names.split(",") if name.strip())


def split_features(text: str) -> str | tuple[str, ...]:
    """One extractor, or several that a comma separates; a path may hold commas.

    Examples
    --------
    >>> split_features("model"), split_features("model, latents")
    ('model', ('model', 'latents'))
    """
    names = split_names(text)
    with suppress(OSError, ValueError):  # what is too long for a path is none
        if len(names) < 2 or Path(text).exists():
            return text
    return names


@dataclass(frozen=True)
class ScoreSettings(Settings):
    """How to score.

    Raises
    ------
    UsageError
        For options out of range, or a metric that is not known.

    Examples
    --------
    >>> ScoreSettings(metrics=["rl2", "fid"]).changes(seed=1).record()["seed"]
    1
    """

    metrics: Sequence[str] | None = option(
        None,
        help="Comma-separated names. Default: all but those that are shown on request alone.",
        parse=split_names,
        metavar="NAMES",
        show_default=False,
    )
    features: Any = option(
        DEFAULT_FEATURES,
        help="What the metrics of features are computed on: model, latents, imagenet-resnet18, "
        "inception, a weights file, or a folder of features computed elsewhere (real.npy and "
        "generated.npy, in compare NAME.npy of every set; one row an image). In Python also an "
        "extractor of your own. NAME:normalized stretches each image first. Several, with commas "
        "between them, stand side by side; the card is of the first.",
        parse=split_features,
        metavar="NAME|FILE|DIR,..",
    )
    distance: Literal["euclidean", "cosine"] = option(
        "euclidean",
        help="Between neighbours in WAD-Div, IRS and authenticity.",
        choices=("euclidean", "cosine"),
    )
    group_pattern: str | None = option(
        "auto", help=_GROUPS, before=None, metavar="auto|none|PATTERN"
    )
    groups: str | Path | None = option(
        None,
        help="A table with the columns image (file name) and group, in place of --group-pattern.",
        metavar="FILE.csv",
    )
    paired: bool = option(
        False,
        help="Each generated image shows the scene of the real one of its name, as in translation "
        "or with masks: it is then no copy because it lies near. Found by itself where pictures "
        "bear it out.",
    )
    harmonize: bool = option(
        False,
        help="Encode both sets alike before anything is measured: each as the other is.",
        before=False,
    )
    fit: bool = option(
        False,
        help="As the RL2 paper does: fit the flow to real images first, here to one half of the "
        "real set (whole groups), the other half being what everything is scored against. For "
        "images unlike the model's reference.",
        before=False,
    )
    mpp: float | None = option(
        None,
        help="Microns per pixel of the images, to be held against the model's.",
        show_default="taken to be the model's",
    )
    any_mpp: bool = option(False, help="Allow --mpp far from what the model was trained at.")
    n_resamples: int = option(
        200,
        help="Resamples of intervals and baselines; 0 for values alone.",
        within=Interval(0),
    )
    level: float = option(0.95, help="Coverage of the intervals.", within=Interval(0, 1, "neither"))
    k: int = option(3, help="Neighbours of WAD-Div.", flags=("-k",), within=Interval(1))
    w_max: float | None = option(
        None,
        help="Scale of wad_div_ratio and wad_div_normalized, W_max of another reference: "
        "wad_div_zero of that set, at as many images. One scale then serves many generators.",
        within=Interval(0, closed="neither"),
        before=None,
        show_default="of the real set",
    )
    prdc_k: int = option(
        5, help="Neighbours of precision, recall, density and coverage.", within=Interval(1)
    )
    prdc_convention: Literal["prdc", "kynkaanniemi"] = option(
        "prdc",
        help="Whether an image on the edge of a ball counts as outside (prdc) or inside; it "
        "matters for copies alone.",
        choices=("prdc", "kynkaanniemi"),
    )
    alpha: float = option(
        0.05,
        help="The filter keeps images with a p-value above this.",
        within=Interval(0, 1, "left"),
    )
    batch_size: int | None = option(
        None,
        help="Images a forward pass.",
        phase="speed",
        within=Interval(1),
        show_default="the model's, 32",
    )
    cache: bool = option(
        True,
        help="Read and keep features between runs.",
        phase="speed",
        flags=("--cache/--no-cache",),
    )
    seed: int = option(0, help="Of every random draw.", within=Interval(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_resamples == 1:
            raise UsageError("n_resamples must be 0 or at least 2, got 1")
        if isinstance(self.metrics, str):
            object.__setattr__(self, "metrics", split_names(self.metrics))
        if self.metrics is not None:
            chosen_metrics(self.metrics)
        if isinstance(self.features, str):
            object.__setattr__(self, "features", split_features(self.features))
        elif isinstance(self.features, list):
            object.__setattr__(self, "features", tuple(self.features))
        if not self.extractors:
            raise UsageError("no features chosen: name at least one extractor")
        if self.fit and any(str(e).partition(":")[0] == "latents" for e in self.extractors):
            raise UsageError(
                "--features latents are of the model's own flow, and --fit takes another"
            )

    @property
    def extractors(self) -> tuple[Any, ...]:
        """All that features are asked of; the card is of the first."""
        return self.features if isinstance(self.features, tuple) else (self.features,)


@dataclass(frozen=True)
class CompareSettings(ScoreSettings):
    """How to compare generated sets.

    Examples
    --------
    >>> CompareSettings.of(ScoreSettings(k=5)).changes(paired=True).k
    5
    """

    paired: bool = option(
        False,
        help="Image i of every set belongs together (one seed or scene), in the order of the file "
        "names.",
    )
    agreement: bool = option(
        False,
        help="How far the metrics agree on the ranks of the sets, for two sets as well; from "
        "three on it is always shown.",
    )

    @classmethod
    def of(cls, settings: ScoreSettings | None) -> Self | None:
        """Settings of a score with the defaults of a comparison."""
        if settings is None or isinstance(settings, cls):
            return settings
        return cls(**{f.name: getattr(settings, f.name) for f in fields(settings)})


def _labels(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(name) for name in split_names(text))
    except ValueError:
        raise UsageError(f"--labels must be whole numbers, got {text!r}") from None


@dataclass(frozen=True)
class DiceSettings(Settings):
    """How to hold masks against each other.

    Examples
    --------
    >>> DiceSettings(labels=(1, 3)).record()["labels"]
    [1, 3]
    """

    labels: Sequence[int] | None = option(
        None,
        help="Comma-separated label numbers to average over. Default: all but 0 is foreground.",
        parse=_labels,
        metavar="NUMBERS",
        show_default=False,
    )
    group_pattern: str | None = option(
        None,
        help="Regular expression whose first group is the slide or patient, in the file name or "
        "in the path below the folder: the interval then resamples whole groups.",
    )
    n_resamples: int = option(1000, help="Resamples of the interval.", within=Interval(2))
    level: float = option(0.95, help="Coverage of the interval.", within=Interval(0, 1, "neither"))
    seed: int = option(0, help="Of the resamples.", within=Interval(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels is not None and not len(self.labels):
            raise UsageError("--labels names no label: give at least one")


@dataclass(frozen=True)
class AgreeSettings(Settings):
    """How to read a table of scores, and what to hold the others against.

    Examples
    --------
    >>> AgreeSettings(against="readers").record()["against"]
    'readers'
    """

    against: str = option(
        "dice",
        help="The score that the others are held against.",
        flags=("--with",),
        metavar="SCORE",
    )
    by: str | None = option(
        None,
        help="Column by which the table is split; generators are ranked within each part.",
        metavar="COLUMN",
        show_default="task, where there is such a column",
    )
    generator: str = option("generator", help="Column that names the generators.", metavar="COLUMN")
    lower: Sequence[str] = option(
        (),
        help="Comma-separated scores of which lower is better, beside those called NAME:lower.",
        parse=split_names,
        metavar="SCORES",
        show_default=False,
    )
    seed: int = option(
        0, help="Of the orders that are drawn beyond 8 generators.", within=Interval(0)
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.lower, str):
            object.__setattr__(self, "lower", split_names(self.lower))


@dataclass(frozen=True)
class RejectSettings(Settings):
    """When a generator is not diverse enough.

    Examples
    --------
    >>> RejectSettings(diversity=0.9).record()["alpha"]
    0.05
    """

    diversity: float = option(
        0.8,
        help="Share of the training images that the generator should cover (IRS).",
        within=Interval(0, 1, "right"),
    )
    alpha: float = option(
        0.05,
        help="Probability of rejecting a generator that does, over all looks.",
        within=Interval(0, 0.5, "neither"),
    )
    features: Any = option(
        DEFAULT_FEATURES,
        help="What neighbours are sought by; as in rl2qc score.",
        metavar="NAME|FILE|DIR",
    )
    distance: Literal["euclidean", "cosine"] = option(
        "euclidean", help="Between neighbours.", choices=("euclidean", "cosine")
    )
    cache: bool = option(
        True,
        help="Read and keep features between runs.",
        phase="speed",
        flags=("--cache/--no-cache",),
    )
    seed: int = option(0, help="Of the order in which images are read.", within=Interval(0))

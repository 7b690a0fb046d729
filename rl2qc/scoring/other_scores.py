"""Scores from elsewhere that are ranked beside the metrics: of tables, of masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rl2qc.core.csv_files import decimal, read_csv
from rl2qc.core.opening import need_file
from rl2qc.errors import UsageError
from rl2qc.images.groups import match_slides
from rl2qc.images.sources.files import list_images
from rl2qc.scoring.dice import dice
from rl2qc.scoring.settings import ScoreSettings
from rl2qc.scoring.spec import METRICS
from rl2qc.stats.difference import Difference
from rl2qc.stats.resampling import bootstrap

__all__ = ["Masks", "OtherScore", "dice_of_masks", "other_scores", "read_scores"]

Pairs: TypeAlias = dict[tuple[int, int], Difference]
"""Differences of two generated sets, by their places."""

Masks: TypeAlias = tuple[str | Path | None, Sequence[str | Path]]
"""Masks of the source images, and those of each generated set in the order of the sets."""


@dataclass(frozen=True)
class OtherScore:
    """A score from elsewhere (Dice of a segmentation, say) to be ranked beside the metrics.

    Attributes
    ----------
    values
        By generator.
    higher_is_better
    per_image
        By generator, image i of all generators belonging together: their mean is the value, and
        differences get intervals.
    groups
        Slide or patient of each of these images.
    warnings
        What is to be said of it.
    """

    values: Mapping[str, float]
    higher_is_better: bool
    per_image: Mapping[str, Sequence[float]] | None = None
    groups: Sequence[str] | None = None
    warnings: tuple[str, ...] = ()


def other_scores(
    others: Mapping[str, OtherScore] | str | Path | None,
    masks: Masks | None,
    titles: Sequence[str],
    settings: ScoreSettings,
) -> dict[str, OtherScore]:
    """Scores from elsewhere by name, Dice of masks among them.

    Parameters
    ----------
    others
        By name, or a CSV file of them (:func:`read_scores`).
    masks
        Masks of the source images and of each generated set, for Dice.
    titles
        Of the generated sets.
    settings
        Of the comparison.

    Raises
    ------
    UsageError
        For two scores of one name, the name of a metric, or a generator without a finite value.
    """
    found = read_scores(others) if isinstance(others, str | Path) else dict(others or {})
    if masks is not None:
        if "dice" in found:
            where = (
                f"--also {others} has a column" if isinstance(others, str | Path) else "there is"
            )
            raise UsageError(f"{where} dice, which --masks gives: rename it")
        found["dice"] = dice_of_masks(*masks, titles, settings.group_pattern)
    for name, other in found.items():
        _check(name, other, titles)
    return found


def dice_of_masks(
    source: str | Path | None,
    masks: Sequence[str | Path],
    titles: Sequence[str],
    group_pattern: str | None = None,
) -> OtherScore:
    """Dice of every generator between masks of the source images and its own.

    Parameters
    ----------
    source
        Masks of the images that were translated.
    masks
        Those of each generated set, in their order.
    titles
        Of the generated sets.
    group_pattern
        That of the images; masks that it does not match stand by themselves.

    Raises
    ------
    UsageError
        For masks that are missing or have no partner.
    """
    if source is None:
        raise UsageError("--masks needs --source-masks to be compared with")
    if len(masks) != len(titles):
        raise UsageError(f"--masks is needed once a generated set: {len(titles)}, got {len(masks)}")
    if group_pattern is not None:
        names = [str(path) for path in list_images(source)]
        if set(match_slides(names, group_pattern, option="--group-pattern")) == {None}:
            group_pattern = None
    found = {
        title: dice(source, folder, group_pattern=group_pattern)
        for title, folder in zip(titles, masks, strict=True)
    }
    return OtherScore(
        {title: overlap.value for title, overlap in found.items()},
        higher_is_better=True,
        per_image={title: overlap.per_image for title, overlap in found.items()},
        groups=found[titles[0]].groups,
        warnings=tuple(
            f"dice of {t}: {w}" for t, overlap in found.items() for w in overlap.warnings
        ),
    )


def read_scores(path: str | Path) -> dict[str, OtherScore]:
    """Scores of a CSV file: a column ``generator`` and one a score, ``name:lower`` or ``name``.

    Raises
    ------
    UsageError
        For a file that is no such table.
    """
    path = Path(path)
    need_file(path, f"--also {path}", pipes=True)
    table = read_csv(path, ["generator"], "--also")
    header = table.header
    rows = [dict(zip(header, cells, strict=True)) for _, cells in table.rows]
    columns = [c for c in header if c and c != "generator"]
    if not rows or "generator" not in header or not columns:
        raise UsageError(f"--also {path} needs a column generator and one a score, below a header")
    generators = [row["generator"] for row in rows]
    names = [column.partition(":")[0] for column in header if column]
    for what, given in (("row of the generator", generators), ("column", names)):
        if twice := [name for name in given if given.count(name) > 1]:
            raise UsageError(f"--also {path} has more than one {what} {twice[0]!r}: keep one")
    scores = {}
    for column in columns:
        name, _, direction = column.partition(":")
        if direction not in ("", "higher", "lower"):
            raise UsageError(f"--also {path}: {column!r} must end in :higher or :lower, or neither")
        try:
            values = {row["generator"]: decimal(row[column], table.delimiter) for row in rows}
        except (TypeError, ValueError):
            values = {"": math.nan}
        if not all(map(math.isfinite, values.values())):
            raise UsageError(f"--also {path}: not every {name} is a finite number")
        scores[name] = OtherScore(values, direction != "lower")
    return scores


def other_differences(
    name: str,
    other: OtherScore,
    titles: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    settings: ScoreSettings,
) -> tuple[Pairs, list[str]]:
    """One generator minus another for each of the pairs, where values of single images are known.

    Returns
    -------
    The differences, and why they are missing.
    """
    found: Pairs = {}
    if other.per_image is None or not settings.n_resamples:
        return found, []
    for i, j in pairs:
        a, b = titles[i], titles[j]
        try:
            known = bootstrap(
                np.mean,
                np.subtract(other.per_image[a], other.per_image[b]),
                groups=None if other.groups is None else [other.groups],
                n_resamples=settings.n_resamples,
                level=settings.level,
                seed=settings.seed,
            )
        except ValueError as error:
            return found, [f"{name}: no differences: {error}"]
        found[i, j] = Difference(
            known.value,
            known.low,
            known.high,
            other.values[a],
            other.values[b],
            known.level,
            known.n_resamples,
            known.method,
            known.by_group,
        )
    return found, []


def _check(name: str, other: OtherScore, titles: Sequence[str]) -> None:
    if name in METRICS:
        raise UsageError(f"{name} is the name of a metric that is computed here: rename the score")
    if missing := [title for title in titles if title not in other.values]:
        raise UsageError(f"{name} has no value for {', '.join(missing)}")
    if odd := [title for title in titles if not math.isfinite(other.values[title])]:
        raise UsageError(f"{name} of {odd[0]} is {other.values[odd[0]]}: a finite number is needed")

"""Groups of the images of a set: as the user says, or found; and how many images they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.csv_files import read_csv
from rl2qc.errors import UsageError
from rl2qc.features.looks import LooksOf
from rl2qc.images.found_groups import find_groups
from rl2qc.images.groups import match_slides, slide_ids
from rl2qc.images.sources.images import PatchSource
from rl2qc.metrics.neighbors import kneighbors
from rl2qc.scoring.settings import ScoreSettings

__all__ = ["Groups", "effective_number", "found_groups", "given_groups"]

_OPTION = "--group-pattern"
# Images among which overlaps are looked for, of each image.
_NEAREST = 20


@dataclass(frozen=True, eq=False)
class Groups:
    """Which images of a set belong together, and how that is known.

    Attributes
    ----------
    labels : (n,) str
        None where each image stands for itself.
    evidence
        How they were found, in words; "" where nothing was recognised.
    """

    labels: NDArray[np.str_] | None
    evidence: str = ""


def given_groups(
    title: str, source: PatchSource, settings: ScoreSettings, is_scored: bool
) -> Groups | None:
    """Groups as the user says; None where they are to be found.

    Raises
    ------
    UsageError
        A pattern or a table that does not fit the real set, or puts all of it in one group.
    """
    pattern = settings.group_pattern
    if settings.groups is not None:
        labels, evidence = _of_table(title, source, Path(settings.groups)), f"of {settings.groups}"
        option = f"--groups {settings.groups}"
    elif pattern == "auto":
        return None
    elif pattern is None or pattern == "none":
        return Groups(None, "not asked for")
    elif title != "real" and set(match_slides(source.names, pattern, option=_OPTION)) == {None}:
        return Groups(None, "the pattern matches no name")
    else:
        labels = np.array(slide_ids(source.names, pattern, option=_OPTION))
        evidence, option = f"by the pattern {pattern}", f"{_OPTION} {pattern!r}"
    if labels is not None and is_scored and len(set(labels.tolist())) < 2:
        raise UsageError(
            f"{option} finds a single slide in the {title} set: at least two "
            "are needed to resample by slide"
        )
    return Groups(labels, evidence)


def found_groups(
    source: PatchSource, features: NDArray[np.float32] | None, looks: LooksOf | None
) -> Groups:
    """Groups by names, near-duplicates and overlaps (:func:`find_groups`).

    Parameters
    ----------
    source
    features : (n, d)
        In which neighbours are looked for; those of thumbnails where there are none.
    looks
        None for a set too large: names alone are looked at.
    """
    if looks is None:
        found = find_groups(source.names)
    else:
        x = looks.pictures.reshape(len(source), -1) if features is None else features
        k = min(_NEAREST, len(x) - 1)
        nearest = kneighbors(x, x, k, exclude_self=True).indices.astype(np.int64)
        found = find_groups(source.names, looks.pictures, looks.thumbnails, nearest)
    if found.labels is None or len(np.unique(found.labels)) < 2:
        return Groups(None, "; ".join(found.evidence))
    return Groups(found.labels.astype(str), "; ".join(found.evidence))


def _of_table(title: str, source: PatchSource, path: Path) -> NDArray[np.str_] | None:
    """The group of each image by a table of file names, paths or stems; None of a set not in it."""
    table = read_csv(path, ["image", "group"], "--groups")
    known: dict[str, str] = {}
    header = [name.lower() for name in table.header]
    if not {"image", "group"} <= set(header):
        raise UsageError(f"--groups {path} needs the columns image and group in its first line")
    image, group = (header.index(name) for name in ("image", "group"))
    for line, cells in table.rows:
        name, label = cells[image].strip(), cells[group].strip()
        if known.setdefault(name, label) != label:
            raise UsageError(
                f"--groups {path} gives {known[name]!r} and {label!r} for {name} (line {line}): "
                "leave the wrong one out"
            )
    labels = [_look_up(name, known) for name in source.names]
    missing = [name for name, label in zip(source.names, labels, strict=True) if not label]
    if len(missing) == len(labels) and title != "real":
        return None
    if missing:
        raise UsageError(
            f"--groups {path} names no group of {len(missing)} of {len(labels)} images of the "
            f"{title} set, such as {missing[0]}"
        )
    return np.array(labels)


def _look_up(name: str, known: dict[str, str]) -> str:
    path = PurePath(name)
    places: Sequence[str] = (name, *("/".join(path.parts[-i:]) for i in (3, 2, 1)), path.stem)
    return next((known[place] for place in places if place in known), "")


def effective_number(
    labels: NDArray[np.str_] | None, features: NDArray[np.float32] | None
) -> float:
    r"""How many independent images have a mean as sure as that of images in groups.

    .. math:: n^2 / (\rho \sum_g n_g^2 + (1 - \rho) n)

    with the correlation :math:`\rho` of images of one group, by the analysis of variance of all
    features together; 1 where there are no features.

    Parameters
    ----------
    labels : (n,) str
    features : (n, d)

    References
    ----------
    Kish, "Survey Sampling", 1965, section 5.4 (the design effect); Donner, "A review of inference
    procedures for the intraclass correlation coefficient", International Statistical Review 1986.

    Examples
    --------
    >>> x = np.repeat([[0.0], [1.0], [5.0]], 4, axis=0)
    >>> effective_number(np.repeat(["a", "b", "c"], 4), x)
    3.0
    """
    if labels is None:
        return float("nan") if features is None else float(len(features))
    _, member, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    n, groups = len(member), len(sizes)
    correlation = 1.0
    if features is not None and 1 < groups < n:
        x = features.astype(np.float64)
        x -= x.mean(axis=0)
        sums = np.zeros((groups, x.shape[1]))
        np.add.at(sums, member, x)
        among = float((np.square(sums).sum(axis=1) / sizes).sum())
        within = (float(np.square(x).sum()) - among) / (n - groups)
        among /= groups - 1
        size = (n - float(np.square(sizes).sum()) / n) / (groups - 1)
        total = among + (size - 1) * within
        correlation = min(max((among - within) / total, 0.0), 1.0) if total > 0 else 1.0
    return float(n**2 / (correlation * np.square(sizes).sum() + (1 - correlation) * n))

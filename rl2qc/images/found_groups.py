"""Groups of images that nobody named: found by their names, their folders and their pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rl2qc.images.duplicates import near_duplicates, shows_something
from rl2qc.images.overlaps import overlapping

__all__ = ["FoundGroups", "find_groups", "groups_by_name"]

_Labels: TypeAlias = NDArray[np.int64]

# A stem, then coordinates: "slide__0_128", "slide_x10_y20", "slide-(1024,512)".
_COORDINATES = re.compile(
    r"^(?P<stem>.+?)[\s_\-.,(\[]+(?P<named>x[=_]?)?(?P<x>\d+)[\s_\-.,x]+(?:y[=_]?)?(?P<y>\d+)[)\]]?$",
    re.IGNORECASE,
)
# A stem, then a number or what tells one tile of it from another.
_NUMBERED = re.compile(r"^(?P<stem>.+?)[\s_\-.(]+[a-z]{0,5}\d+\)?$", re.IGNORECASE)
# Corners of tiles are multiples of this, but for those at the edge of a slide; other numbers
# seldom are.
_GRID, _ON_GRID = 8, 0.6
# Nearest neighbours that are looked at for overlaps, and to see whether names say something.
_NEAREST = 10
# Names that tell groups: the nearest image is of the same group so much more often than by chance,
# beyond so many standard errors.
_MORE_OFTEN, _ERRORS = 2.0, 4.0
# Fewer groups, or more in a group, are classes or the like.
_FEWEST_GROUPS, _SHARE_OF_IMAGES = 4, 0.9


@dataclass(frozen=True, eq=False)
class FoundGroups:
    """What was found.

    Attributes
    ----------
    labels : (n,) int64
        The group of each image; None where no two belong together.
    evidence
        How they were found, in a few words each; empty where they were not.
    """

    labels: _Labels | None
    evidence: tuple[str, ...]


def find_groups(
    names: Sequence[str],
    pictures: NDArray[np.float32] | None = None,
    thumbnails: NDArray[np.float32] | None = None,
    nearest: NDArray[np.int64] | None = None,
) -> FoundGroups:
    """Images that are not independent: those of one stem or folder, overlaps, near-duplicates.

    Parameters
    ----------
    names
        File names or paths.
    pictures : (n, 16, 16) float32
        For near-duplicates; None looks for none.
    thumbnails : (n, 32, 32) float32
        For overlaps.
    nearest : (n, k) int64
        The images nearest to each, nearest first, by features: overlaps are looked for among them,
        and names are believed where they say more than chance about them.

    Examples
    --------
    >>> found = find_groups([f"slide{i % 2}__{64 * i}_0.png" for i in range(8)])
    >>> found.labels.tolist(), found.evidence
    ([0, 1, 0, 1, 0, 1, 0, 1], ('stems and coordinates in the names',))
    """
    n, evidence, links = len(names), [], []
    by_name, said = groups_by_name(names, nearest)
    if by_name is not None:
        evidence.append(said)
        links.append(_star(by_name))
    if pictures is not None:
        shown = np.flatnonzero(shows_something(pictures))
        same = n + np.arange(n)
        same[shown] = near_duplicates(pictures[shown], turned=True)
        sizes = np.unique(same, return_counts=True)[1]
        if n_same := int((sizes > 1).sum()):
            evidence.append(f"{sizes[sizes > 1].sum()} near-duplicates in {n_same} groups")
            links.append(_star(same))
    # Coordinates have told which tiles are of one picture.
    if thumbnails is not None and nearest is not None and by_name is None:
        pairs = _overlaps(thumbnails, nearest)
        if len(pairs):
            evidence.append(f"{len(np.unique(pairs))} images that overlap others")
            links.append(pairs)
    if not links:
        return FoundGroups(None, ())
    joined = np.concatenate(links)
    graph = coo_array((np.ones(len(joined), np.int8), tuple(joined.T)), shape=(n, n))
    labels = np.asarray(connected_components(graph, directed=False)[1], np.int64)
    return FoundGroups(labels, tuple(evidence))


def groups_by_name(
    names: Sequence[str], nearest: NDArray[np.int64] | None = None
) -> tuple[_Labels | None, str]:
    """Groups by stems and coordinates, stems alone or folders, and which of them; None for none.

    Coordinates say that images are tiles of one picture. Stems and folders may as well be classes:
    they count where the images that are nearest to each other bear it out.

    Examples
    --------
    >>> groups_by_name(["a/1.png", "a/2.png", "b/1.png"])
    (None, '')
    """
    stems = [PurePath(name).stem for name in names]
    folders = [str(PurePath(name).parent) for name in names]
    tiles = [_COORDINATES.match(stem) for stem in stems]
    of_tiles = [m["stem"] if m else stem for m, stem in zip(tiles, stems, strict=True)]
    keys = list(zip(folders, of_tiles, strict=True))
    if _are_coordinates(tiles) and len(set(keys)) < len(keys):
        return _numbered(keys), "stems and coordinates in the names"
    if nearest is None:
        return None, ""
    numbered = [_NUMBERED.match(stem) for stem in stems]
    of_numbers = [m["stem"] if m else stem for m, stem in zip(numbered, stems, strict=True)]
    parts = {"stems of the names": of_numbers, "first parts of the names": of_tiles}
    parts["folders"] = folders
    for words, keys_of in parts.items():
        labels = _numbered(keys_of)
        if _borne_out(labels, nearest):
            return labels, f"{words}, whose images are nearest to each other"
    return None, ""


def _are_coordinates(tiles: Sequence[re.Match[str] | None]) -> bool:
    """Whether all names hold two numbers that place tiles."""
    found = [m for m in tiles if m is not None]
    if not found or len(found) < len(tiles):
        return False
    if all(m["named"] for m in found):
        return True
    numbers = np.array([(int(m["x"][-9:]), int(m["y"][-9:])) for m in found])
    return bool(np.mean(numbers % _GRID == 0) >= _ON_GRID and numbers.max() >= 2 * _GRID)


def _borne_out(labels: _Labels, nearest: NDArray[np.int64]) -> bool:
    """Whether the nearest image is of the same group clearly more often than by chance."""
    n, sizes = len(labels), np.bincount(labels)
    if len(sizes) < _FEWEST_GROUPS or sizes.max() > _SHARE_OF_IMAGES * n or sizes.max() < 2:
        return False
    chance = float((sizes * (sizes - 1)).sum()) / (n * (n - 1))
    seen = float(np.mean(labels[nearest[:, 0]] == labels))
    error = float(np.sqrt(chance * (1 - chance) / n))
    return seen > max(_MORE_OFTEN * chance, chance + _ERRORS * error)


def _overlaps(thumbnails: NDArray[np.float32], nearest: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs (m, 2) of rows that overlap, among those near each other."""
    n, k = nearest.shape
    pairs = np.stack([np.repeat(np.arange(n), k), nearest.reshape(-1)], axis=1)
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    found: NDArray[np.int64] = pairs[overlapping(thumbnails, pairs)]
    return found


def _numbered(keys: Sequence[object]) -> _Labels:
    """A number for each key, in order of the first of each."""
    known: dict[object, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def _star(labels: _Labels) -> NDArray[np.int64]:
    """Pairs (n, 2) of each image with the first of its group."""
    _, first, member = np.unique(labels, return_index=True, return_inverse=True)
    return np.stack([first[member.reshape(-1)], np.arange(len(labels))], axis=1).astype(np.int64)

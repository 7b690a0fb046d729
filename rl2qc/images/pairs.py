"""Which images of several sets belong together, by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import TypeAlias

from rl2qc.errors import UsageError

__all__ = ["match_images", "natural_order"]

Key: TypeAlias = tuple[int, ...] | str
# Python reads no number of more than 4300 digits.
_NUMBER = re.compile(r"\d{1,4000}")


def match_images(sets: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """The rows of each set in an order in which image i of all sets belongs together.

    Images belong together that are called alike, but for folder and suffix, or that have the same
    number, however many zeros stand before it. Never by their places in a list: sorted as text, 10
    comes before 2.

    Parameters
    ----------
    sets
        Names of the images, by title; as many in each.

    Raises
    ------
    UsageError
        Neither names nor numbers tell.

    Examples
    --------
    >>> match_images({"a": ["x/1.png", "x/10.png", "x/2.png"], "b": ["01.png", "02.png", "10.png"]})
    {'a': [0, 1, 2], 'b': [0, 2, 1]}
    """
    for keys_of in (_places, _stems, _numbers):
        keys = {title: keys_of(names) for title, names in sets.items()}
        if rows := _rows(keys):
            return rows
    (first, names), (second, others) = list(sets.items())[:2]
    known = {PurePath(other).stem for other in others}
    alone = next((name for name in names if PurePath(name).stem not in known), names[0])
    raise UsageError(
        "cannot tell which images are pairs: neither their names nor their numbers are the same "
        f"in {first} and {second}, such as {alone} and {others[0]}: call those that belong "
        "together alike"
    )


def _rows(keys: Mapping[str, Sequence[Key]]) -> dict[str, list[int]]:
    """Rows in the order of the first set's keys; {} where keys are not the same, or not single."""
    first = next(iter(keys.values()))
    wanted = set(first)
    if any(len(found) > len(wanted) or set(found) != wanted for found in keys.values()):
        return {}
    places = {title: {key: row for row, key in enumerate(found)} for title, found in keys.items()}
    return {title: [place[key] for key in first] for title, place in places.items()}


def _places(names: Sequence[str]) -> list[Key]:
    """Their paths below the folder that they share, without suffixes."""
    paths = [PurePath(name) for name in names]
    top = os.path.commonpath([path.parent for path in paths]) if _comparable(paths) else ""
    return [str(path.relative_to(top).with_suffix("")) if top else path.stem for path in paths]


def _comparable(paths: Sequence[PurePath]) -> bool:
    return len({path.is_absolute() for path in paths}) == 1 and all(len(p.parts) > 1 for p in paths)


def _stems(names: Sequence[str]) -> list[Key]:
    return [PurePath(name).stem for name in names]


def _numbers(names: Sequence[str]) -> list[Key]:
    """The numbers in each name that are not the same in all of them."""
    stems = [PurePath(name).stem + _page(name) for name in names]
    found = [tuple(map(int, _NUMBER.findall(stem))) for stem in stems]
    if len({len(numbers) for numbers in found}) != 1 or not found[0]:
        return [""] * len(names)
    varied = [i for i in range(len(found[0])) if len({numbers[i] for numbers in found}) > 1]
    return [tuple(numbers[i] for i in varied or range(len(numbers))) for numbers in found]


def _page(name: str) -> str:
    """The page of an image in a stack, which stands behind the suffix."""
    return name[name.rfind("@page") :] if "@page" in name else ""


def natural_order(names: Sequence[str]) -> list[int]:
    """The rows of names in the order in which people count: 2 before 10.

    Examples
    --------
    >>> natural_order(["1.png", "10.png", "2.png"])
    [0, 2, 1]
    """

    def key(row: int) -> list[tuple[int, int, str]]:
        name = names[row]
        # Not by str.isdigit, which takes superscripts for digits that int does not read.
        ends = [0, *(end for found in _NUMBER.finditer(name) for end in found.span()), len(name)]
        parts = [name[a:b] for a, b in pairwise(ends)]
        return [(1, int(part), "") if i % 2 else (0, 0, part) for i, part in enumerate(parts)]

    return sorted(range(len(names)), key=key)

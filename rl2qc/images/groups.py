"""Slide or patient of an image, told by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from rl2qc.errors import UsageError

__all__ = ["match_slides", "slide_ids"]


def slide_ids(names: Sequence[str], pattern: str, *, option: str = "--group-pattern") -> list[str]:
    """The slide of each file: the first group of ``pattern`` (or all it matches) in its name.

    Where that finds fewer slides in the file names, ``pattern`` is matched against the paths below
    the folder that all files share: a folder a slide or patient can be told so.

    Parameters
    ----------
    names
        File names or paths.
    pattern
        Regular expression.
    option
        What the user calls the pattern; it opens every error message.

    Raises
    ------
    UsageError
        A bad pattern, or names in which it finds no slide.

    Examples
    --------
    >>> slide_ids(["a/s1_10.png", "a/s1_11.png", "a/s2_7.png"], r"^([^_]+)_")
    ['s1', 's1', 's2']
    >>> slide_ids(["real/ann/1.png", "real/ann/2.png", "real/bob/1.png"], r"^([^/]+)/")
    ['ann', 'ann', 'bob']
    """
    found = match_slides(names, pattern, option=option)
    if missed := [name for name, slide in zip(names, found, strict=True) if slide is None]:
        such_as = _below_shared_folder(names)[names.index(missed[0])]
        by = " with its first group" if re.compile(pattern).groups else ""
        raise UsageError(
            f"{option} {pattern!r} matches no part of {len(missed)} of {len(names)} file names"
            f"{by}, such as {such_as}"
        )
    return [slide for slide in found if slide is not None]


def match_slides(
    names: Sequence[str], pattern: str, *, option: str = "--group-pattern"
) -> list[str | None]:
    """As :func:`slide_ids`, with None where the pattern, or its group, finds nothing.

    Examples
    --------
    >>> match_slides(["s1_10.png", "other.png"], r"^(s[0-9]+)_")
    ['s1', None]
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{option} {pattern!r} is no regular expression: {error}") from None

    def slide(text: str) -> str | None:
        match = compiled.search(text)
        # A group that took no part in the match is None as well.
        return None if match is None else match[min(compiled.groups, 1)]

    # File names come first: a pattern written for them means the same in folders within folders.
    texts = ([Path(name).name for name in names], _below_shared_folder(names))
    return max(([slide(text) for text in each] for each in texts), key=_n_found)


def _n_found(slides: Sequence[str | None]) -> int:
    return len(slides) - slides.count(None)


def _below_shared_folder(names: Sequence[str]) -> list[str]:
    paths = [Path(name).absolute() for name in names]
    levels = zip(*(path.parent.parts for path in paths), strict=False)
    shared = len(list(takewhile(lambda folders: len(set(folders)) == 1, levels)))
    return ["/".join(path.parts[shared:]) for path in paths]

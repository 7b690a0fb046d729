"""One input of a run: what it is, and what its results are called."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rl2qc.filtering.exports.files import reserved_names
from rl2qc.images.sources.base import from_anywhere
from rl2qc.slides.files import real_path

__all__ = ["RUN_NAMES", "Input", "with_unique_names"]

RUN_NAMES = ("summary.csv", "run.json", "report.html", "failed", ".locks")
"""What a run has in its folder beside the folders of its results; formats have more."""

# Longer names, in bytes, leave no room for what is put behind them.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Input:
    """One input to filter.

    Attributes
    ----------
    name
        Its folder in the output, unlike that of any other input.
    kind
        "slide", or "patches" for a set of images.
    path
        The slide, or the folder of the images.
    images
        The images of a set, all of them in order; empty for a slide.
    mpp
        Microns per pixel at level 0 that a list gives for this slide, None without one.
    coords
        The file of this slide's coordinates in a folder of many, None without one.
    """

    name: str
    kind: Literal["slide", "patches"]
    path: Path
    images: tuple[Path, ...] = ()
    mpp: float | None = None
    coords: Path | None = None

    def absolute(self) -> Input:
        """The same from anywhere: workers need not start where we are."""
        images = tuple(map(from_anywhere, self.images))
        path = from_anywhere(self.path) if images else self.path.absolute()
        return replace(self, path=path, images=images)


def with_unique_names(inputs: Sequence[Input]) -> list[Input]:
    """The inputs, each with a name for its folder: its own, and more of its path where two are
    alike or the name is taken by files of the run."""
    names = [item.name for item in inputs]
    longer: list[Callable[[Input], str]] = [
        lambda item: f"{real_path(item.path).parent.name}__{item.name}",
        lambda item: f"{real_path(item.path).parent.name}__{item.path.name}",
        lambda item: f"{item.name}-{_digest(item)}",
    ]
    taken = (*RUN_NAMES, *reserved_names())
    for make in longer:
        # Some file systems do not tell upper from lower case.
        counts = Counter([*taken, *(name.casefold() for name in names)])
        names = [
            make(item) if counts[name.casefold()] > 1 else name
            for item, name in zip(inputs, names, strict=True)
        ]
    return [
        replace(
            item,
            name=name
            if len(os.fsencode(name)) <= _LONGEST_NAME
            else f"{name[:40]}-{_digest(item)}",
        )
        for item, name in zip(inputs, names, strict=True)
    ]


def _digest(item: Input) -> str:
    return hashlib.sha256(os.fsencode(real_path(item.path))).hexdigest()[:8]

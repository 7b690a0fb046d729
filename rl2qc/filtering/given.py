"""Tiles that lie where a file says: whether they can be this slide's, and what is to be said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rl2qc.errors import UsageError
from rl2qc.images.resolution import TOLERANCE
from rl2qc.slides.coords import Coords
from rl2qc.slides.files import slide_name
from rl2qc.slides.info import SlideInfo

__all__ = ["check_given", "given_warnings", "nothing_there"]


def check_given(given: Coords, corners: NDArray[np.int64], info: SlideInfo) -> None:
    """UsageError for coordinates of a slide of another size, outside this one, or of tiles that are
    not square on it."""
    if info.stored is not None:
        raise UsageError(
            f"{given.path} holds tiles that are square in pixels, and those of the slide are not: "
            "leave out --coords"
        )
    width, height = info.dimensions
    # Files of CLAM's kind that were made by others give the size of level 0 at any level.
    sizes = info.level_dimensions if given.level else info.level_dimensions[:1]
    if given.slide_size is not None and given.slide_size not in sizes:
        raise UsageError(
            f"{given.path} is of a slide of {given.slide_size[0]:g} x {given.slide_size[1]:g} px "
            f"and this one has {width} x {height} px: is it another slide's file?"
        )
    if len(corners) and ((corners < 0) | (corners >= info.dimensions)).any():
        raise UsageError(
            f"{given.path} holds coordinates outside the slide of {width} x {height} px: "
            "is it another slide's file?"
        )


def given_warnings(
    given: Coords, path: Path, side: int, seen: int, mpp: float, covering: str | None
) -> list[str]:
    """What is to be said of coordinates: of tiles of ``side`` level-0 px of ``mpp``, of which
    ``seen`` px are measured at a time."""
    warnings = []
    of, name = given.attributes.get("name"), slide_name(path)
    # Of slides that are named alike, results go by the name of the folder, too.
    if isinstance(of, str) and of not in (name, path.name) and not of.endswith(f"__{name}"):
        warnings.append(f"the coordinates are of a slide called {of!r}, by what their file says")
    if abs(side / seen - 1) > TOLERANCE:
        how = (
            "each is measured with what is around it"
            if side < seen
            else "the centre of each is measured"
            if covering == "centre"
            else "all of each is looked at in parts, and the worst decides"
        )
        warnings.append(
            f"the coordinates are of tiles of {side * mpp:.0f} um and the model sees "
            f"{seen * mpp:.0f} um: {how}"
        )
    return warnings


def nothing_there(
    chosen: NDArray[np.bool_], side: int, min_tissue: float, given: Coords | None
) -> list[str]:
    """Why there is no tile to measure, if there is none."""
    if given is not None and not len(chosen):
        return [f"{given.path} holds no coordinates"]
    if not len(chosen):
        return [f"the slide is smaller than one tile of {side} px"]
    return [] if chosen.any() else [f"no tile holds {min_tissue:.0%} tissue"]

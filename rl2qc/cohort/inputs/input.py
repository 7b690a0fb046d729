"""One input of a run, as it was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from rl2qc.images.sources.base import from_anywhere

__all__ = ["Input"]


@dataclass(frozen=True)
class Input:
    """One input to filter.

    Attributes
    ----------
    name
        Its folder in the output, unlike that of any other input.
    kind
        "slide", or "patches" for a set of images.
    own_name
        What it goes by itself: the slide's name, or that of the folder.
    path
        The slide, or the folder of the images.
    images
        The images of a set, all of them in order; empty for a slide.
    mpp
        Microns per pixel at level 0, or of the images, that a list gives; None without one.
    coords
        The file of this slide's coordinates in a folder of many, None without one.
    mask
        The file of this slide's tissue in a folder of many; None without one.
    own
        Settings that are for this one alone.
    """

    name: str
    kind: Literal["slide", "patches"]
    path: Path
    images: tuple[Path, ...] = ()
    mpp: float | None = None
    coords: Path | None = None
    mask: Path | None = None
    own_name: str = ""
    own: Mapping[str, str] = field(default_factory=dict)

    def absolute(self) -> Input:
        """The same from anywhere: workers need not start where we are."""
        images = tuple(map(from_anywhere, self.images))
        path = from_anywhere(self.path) if images else self.path.absolute()
        return replace(self, path=path, images=images)

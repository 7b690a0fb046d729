"""The page on which a person marks tiles or patches as clean or bad, and saves the list."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from rl2qc.html.environment import Picture, render, script

__all__ = ["LIMIT", "ReviewTile", "review_page", "without_picture"]

LIMIT = 400
"""Tiles on a page: one of more is heavy, and no one looks through it."""


@dataclass(frozen=True)
class ReviewTile:
    """A tile to be looked at; ``file`` is that of a patch, and of a tile of a slide "".

    ``near`` is how far its p-value lies from alpha, as a ratio's logarithm. Nothing was decided
    where ``keep`` is None, as of a reference.
    """

    slide: str
    x: int
    y: int
    file: str
    p_value: float
    keep: bool | None
    reason: str
    near: float
    picture: Picture | None = None
    large: Picture | None = None

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return self.file or f"x {self.x}, y {self.y}"

    @property
    def state(self) -> str:
        """What was decided, in a word."""
        return {None: "", True: "kept", False: "rejected"}[self.keep]

    @property
    def key(self) -> str:
        """The same for the same tile, whatever is decided."""
        return _digest(f"{self.slide}\n{self.x}\n{self.y}\n{self.file}")[:16]


def review_page(
    tiles: Sequence[ReviewTile],
    *,
    about: Sequence[str],
    saved: str,
    command: str,
    known: str = "",
    served: bool = False,
) -> str:
    """The page's text.

    Parameters
    ----------
    tiles
        The most suspicious first.
    about
        Sentences on what they are.
    saved
        What the list is called that the page saves.
    command
        What takes it.
    known
        What the browser keeps marks under, until they are saved; the slides by default.
    served
        The page saves to the server that it comes from.
    """
    slides = sorted({tile.slide for tile in tiles})
    lost = without_picture(tiles)
    return render(
        "review.html.j2",
        scripts=(script("review.js"),),
        served=served,
        tiles=tiles,
        about=[*about, *([lost] if lost else [])],
        decided=any(tile.keep is not None for tile in tiles),
        slides=[slide for slide in slides if slide],
        reasons=sorted({tile.reason for tile in tiles if tile.reason}),
        digest=_digest(known or "\n".join(slides)),
        saved=saved,
        command=command,
    )


def without_picture(tiles: Sequence[ReviewTile]) -> str:
    """How many of the tiles have no picture, and why; "" where all have one."""
    gone = sum(tile.picture is None for tile in tiles)
    said = f"{gone} tiles have no picture: their slides are no longer there, or damaged."
    return said if gone else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

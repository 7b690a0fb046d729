"""What a demonstration showed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ArtifactRow", "Demo", "LadderRow"]


ALPHA = 0.05


# A tile shows an artifact from this share of its area on; tiles with less are not counted.
TOUCHED = 0.10


SET_SIZE = 36


@dataclass(frozen=True)
class ArtifactRow:
    """What became of the tiles of one kind: ``kept`` of ``tiles``."""

    name: str
    tiles: int
    kept: int

    @property
    def rejected(self) -> int:
        """Tiles that were not kept."""
        return self.tiles - self.kept


@dataclass(frozen=True)
class LadderRow:
    """The scores of one set of patches against the clean ones."""

    title: str
    rl2: float
    wad_div: float
    kept: float


@dataclass(frozen=True)
class Demo:
    """What a demonstration found, and where its page is.

    Attributes
    ----------
    page
        The HTML page; everything it shows is inside it.
    artifacts
        Clean tiles first, then the tiles of each artifact, last those of any.
    ladder
        Clean against clean first, then growing blur, then a set that repeats itself.
    shipped_kept
        Share of clean procedural tiles that the shipped model alone would keep.
    seconds
        What it took.
    """

    page: Path
    artifacts: tuple[ArtifactRow, ...]
    ladder: tuple[LadderRow, ...]
    shipped_kept: float
    seconds: float

"""What a demonstration showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl2qc.core.results import Result

__all__ = ["ALPHA", "SET_SIZE", "TOUCHED", "ArtifactRow", "Demo", "SetRow"]

ALPHA = 0.05
"""The filter keeps tiles with a p-value above this."""
TOUCHED = 0.10
"""A tile shows an artifact from this share of its area on; tiles with less are not counted."""
SET_SIZE = 36
"""Patches in each of the sets that are scored."""


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
class SetRow:
    """The scores of one set of patches against the clean ones."""

    title: str
    rl2: float
    wad_div: float
    kept: float


@dataclass(frozen=True)
class Demo(Result):
    """What a demonstration found, and where its page is.

    Attributes
    ----------
    page
        The HTML page; everything it shows is inside it.
    artifacts
        Clean tiles first, then the tiles of each artifact, last those of any.
    sets
        Clean against clean first, then growing blur, then a set that repeats itself.
    shipped_kept
        Share of clean procedural tiles that the shipped model alone would keep.
    seconds
        What it took.

    Examples
    --------
    >>> rows = (ArtifactRow("clean", 10, 9), ArtifactRow("ink", 4, 0))
    >>> Demo(Path("demo.html"), rows, (), shipped_kept=0.5, seconds=9.0).artifacts[1].rejected
    4
    """

    page: Path
    artifacts: tuple[ArtifactRow, ...]
    sets: tuple[SetRow, ...]
    shipped_kept: float
    seconds: float

    def __repr__(self) -> str:
        return f"<Demo {str(self.page)!r}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "page": str(self.page),
            "artifacts": [vars(row) | {"rejected": row.rejected} for row in self.artifacts],
            "sets": [dict(vars(row)) for row in self.sets],
            "shipped_kept": self.shipped_kept,
            "seconds": self.seconds,
        }

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """One line for each kind of tiles."""
        return [vars(row) | {"rejected": row.rejected} for row in self.artifacts]

    def table(self) -> str:
        """What the filter did with tiles of each kind, and the scores of the sets."""
        lines = [f"{'tiles':<14}{'n':>5}{'rejected':>10}"]
        for row in self.artifacts:
            share = f"{row.rejected / row.tiles:.0%}" if row.tiles else "-"
            lines.append(f"{row.name.replace('_', ' '):<14}{row.tiles:>5}{share:>10}")
        lines += ["", f"{'patches':<26}{'RL2':>8}{'WAD-Div':>9}{'kept':>7}"]
        lines += [
            f"{row.title:<26}{row.rl2:>8.2f}{row.wad_div:>9.3f}{row.kept:>7.0%}"
            for row in self.sets
        ]
        return "\n".join(lines)

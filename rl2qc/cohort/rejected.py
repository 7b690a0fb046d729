"""Where the rejected tiles of a cohort are: a list for a page, which filters and sorts it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from rl2qc.cohort.contact_sheet import place_of
from rl2qc.core.text import printable
from rl2qc.filtering.table import TileTable
from rl2qc.images.reasons import ALL_REASONS

__all__ = ["RejectedList", "RejectedTiles"]

# Rejected tiles that a list can have, and the text of its lines, however many there are.
_MOST, _BYTES = 50_000, 3_500_000


@dataclass(frozen=True, order=True)
class _Tile:
    """A rejected tile; turns are counted within each slide."""

    turn: int
    slide: int
    reason: int
    p_value: float
    place: str


@dataclass(frozen=True)
class RejectedList:
    """Lines of text for a page.

    Attributes
    ----------
    slides
        Name and address of each slide that has a tile here.
    reasons
        What they were rejected for.
    lines
        A tile each: number of its slide, number of its reason, p-value and place, with tabs.
    total
        How many rejected tiles there are, here or not.
    """

    slides: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]
    lines: tuple[str, ...]
    total: int

    @property
    def complete(self) -> bool:
        """Whether all rejected tiles are here."""
        return len(self.lines) == self.total


@dataclass
class RejectedTiles:
    """Gathers rejected tiles slide by slide, as many of each as the others allow.

    Of a slide the least likely of each reason come first. What does not fit on any page is
    forgotten at once.

    Attributes
    ----------
    total
        How many were rejected.
    """

    total: int = 0
    _names: list[str] = field(default_factory=list)
    _tiles: list[_Tile] = field(default_factory=list)
    _turns: int = _MOST

    def add(self, table: TileTable) -> None:
        """Take the tiles of one more slide or set of patches."""
        p, reasons = table.measurements["p_value"], table.reasons
        gone = np.flatnonzero(~table.keep)
        gone = gone[np.argsort(p[gone], kind="stable")]
        self.total += len(gone)
        self._names.append(table.name)
        seen: Counter[str] = Counter()
        ranks = []
        for reason in reasons[gone].tolist():
            seen[reason] += 1
            ranks.append(seen[reason])
        # All reasons have their turn.
        for turn, k in enumerate(np.argsort(ranks, kind="stable")[: self._turns].tolist()):
            i = int(gone[k])
            reason = str(reasons[i])
            number = ALL_REASONS.index(reason) if reason in ALL_REASONS else len(ALL_REASONS)
            place = printable(place_of(table, i))
            self._tiles.append(_Tile(turn, len(self._names) - 1, number, float(p[i]), place))
        if len(self._tiles) > 4 * _MOST:
            self._tiles = sorted(self._tiles)[:_MOST]
            self._turns = self._tiles[-1].turn + 1

    def listed(self, addresses: dict[str, str], most: int | None = None) -> RejectedList:
        """The tiles of a page: by slide and reason, the least likely first.

        Parameters
        ----------
        addresses
            Where the page leads to for a slide, by name.
        most
            How many lines it has at most; None for what a browser can take.
        """
        chosen, size = [], 0
        for tile in sorted(self._tiles)[: _MOST if most is None else most]:
            # Names of images may be long.
            size += len(tile.place) + 16
            if size > _BYTES:
                break
            chosen.append(tile)
        chosen.sort(key=lambda tile: (tile.slide, tile.reason, tile.p_value))
        slides = list(dict.fromkeys(tile.slide for tile in chosen))
        reasons = sorted({tile.reason for tile in chosen})
        row = {number: i for i, number in enumerate(slides)}
        word = {number: i for i, number in enumerate(reasons)}
        names = (*ALL_REASONS, "rejected")
        return RejectedList(
            tuple((self._names[s], addresses.get(self._names[s], "")) for s in slides),
            tuple(names[number] for number in reasons),
            tuple(f"{row[t.slide]}\t{word[t.reason]}\t{t.p_value:.2g}\t{t.place}" for t in chosen),
            self.total,
        )

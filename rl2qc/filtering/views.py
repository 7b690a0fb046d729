"""What is said of a table of tiles, and how it is shown and written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl2qc.core.results import Result
from rl2qc.filtering.areas import tissue_area_um2, tissue_shares
from rl2qc.filtering.exports.registry import write_format
from rl2qc.filtering.verdict import (
    Verdict,
    VerdictRules,
    numbers_of,
    rules_in,
    verdict_of,
)
from rl2qc.images.reasons import ALL_REASONS

if TYPE_CHECKING:
    from PIL import Image


__all__ = ["TableViews"]


class TableViews(Result):
    """What follows from the fields of a :class:`~rl2qc.filtering.table.TileTable`."""

    @property
    def _own(self) -> Any:
        # The table itself, which imports this module.
        return self

    @property
    def rules(self) -> VerdictRules:
        """The thresholds of its verdict."""
        return VerdictRules(**rules_in(self))

    @cached_property
    def verdict(self) -> Verdict:
        """What is to be done with the slide, and why: :mod:`rl2qc.filtering.verdict`."""
        return verdict_of(numbers_of(self._own), self.rules)

    @property
    def classes(self) -> tuple[str, ...]:
        """What its map tells apart, in the order of ``artifact_mask``; () without one."""
        evidence = self._own.evidence
        return () if evidence is None else evidence.cells.classes

    @cached_property
    def areas(self) -> dict[str, float]:
        """The share of the tissue under each kind of damage, by its name in words."""
        return tissue_shares(self._own)

    @cached_property
    def area_um2(self) -> dict[str, float]:
        """:attr:`areas` in square microns; {} where it is not known how large the slide is."""
        tissue = tissue_area_um2(self._own)
        return {} if tissue is None else {n: s * tissue for n, s in self.areas.items()}

    # ------------------------------------------------------------ shown, and written down

    def table(self) -> str:
        """A few lines for the terminal: how many tiles are kept, why others are not, warnings."""
        lines = [repr(self).strip("<>").removeprefix("TileTable ")]
        counts = {name: int((self._own.reasons == name).sum()) for name in ALL_REASONS}
        lines += [f"  rejected: {name} {count}" for name, count in counts.items() if count]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self._own.warnings)])

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """A mapping for each tile."""
        columns = {name: column.tolist() for name, column in self._own.columns().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_csv(self, path: str | Path) -> None:
        """Write the tiles to ``path``, as in ``tiles.csv``: one row each, with every digit."""
        write_format("csv", self._own, path)

    def to_geojson(self, path: str | Path) -> None:
        """Write the tiles to ``path`` for QuPath: an object each, and an annotation a class.

        Raises
        ------
        ValueError
            A table of patches, which have no place on a slide.
        """
        write_format("geojson", self._own, path)

    def overlay(self) -> Image.Image:
        """The slide with its map, each kind of damage outlined in its colour; without a map, with
        its tiles: kept green, rejected the redder the smaller the p-value.

        Raises
        ------
        ValueError
            A table without a picture of its slide, such as one of patches.
        """
        # Here, since pictures are not always asked for.
        from rl2qc.filtering.drawing import overlay

        return overlay(self._own)

    def _repr_html_(self) -> str:
        """How a notebook shows it: the table, and the slide with its tiles."""
        shown = super()._repr_html_()
        if self._own.thumbnail is None or self._own.bounds is None:
            return shown
        from rl2qc.html.environment import encode

        picture = encode(self.overlay(), 800, kind="overview")
        return shown + str(picture.img(f"{self._own.name}, its tiles"))

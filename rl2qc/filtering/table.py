"""The measured tiles of a slide, or the measured patches of a set, with a decision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.core.results import Result
from rl2qc.filtering.decision import keep_tiles, over_rejection_warnings, rejected_share
from rl2qc.filtering.drift import DRIFT_ALARM, MIN_TILES, score_drift
from rl2qc.filtering.exports.registry import write_format
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.images.reasons import PROCEDURAL, REASONS, ReferenceQuantities, likely_reasons

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["OVER_REJECTED", "TileTable"]

OVER_REJECTED = "over-rejected"
"""The flag of a slide that loses more of its tissue than was allowed."""

# A slide of which no larger share is kept is out of distribution as a whole.
_FOREIGN_SHARE = 0.1


@dataclass(frozen=True, eq=False, repr=False)
class TileTable(Result):
    """The measured tiles of one slide, or the measured patches of one set.

    Scores are kept as they were measured; ``keep`` is a decision made from them, and
    :meth:`decide` makes another without a look at the pixels.

    Attributes
    ----------
    name, path, kind
        What was measured; ``kind`` is "slide" or "patches".
    x, y, width, height
        (n,) int64, the tiles in level-0 px of the whole slide; for patches 0, 0 and the image's
        size.
    tissue_fraction
        (n,) float64 in [0, 1].
    measurements
        (n,) float64 columns: the model's "log_likelihood" (nats), "p_value", ..., and the
        quantities of :func:`rl2qc.images.quantities.image_quantities` that reasons are told from.
    keep
        (n,) bool, the decision (:func:`rl2qc.filtering.decision.keep_tiles`).
    alpha, method
        The level of that decision, and how it was made.
    image_paths
        The files of patches; empty for a slide.
    mpp, slide_mpp
        Microns per pixel of the tiles and of level 0; None for patches.
    level, scale
        The level that was read and its pixels per pixel of a tile; None for patches.
    dimensions, bounds
        Size at level 0 and its scanned part (x, y, width, height); None for patches.
    tissue_threshold, tissue_coverage
        Absorbed share of light that counts as tissue, and the share of the scanned area that is
        tissue (of all patches, for patches).
    failures
        What could not be read, with the reason: "x, y" of a tile or the path of a patch.
    warnings
        What the reader of the table must know.
    thumbnail
        (h, w, 3) uint8 of the scanned part, for pictures; None for patches.
    scanner
        What the slide says about its scanner.
    icc
        Whether colours went through the slide's ICC profile.
    max_rejected
        A larger share of rejected tissue is flagged.
    patch_size
        Side of what the model saw of each tile, in px at ``mpp``; None where an old result does
        not say.
    tile_size
        Side of a tile in px at ``mpp``: ``patch_size`` but for imported coordinates.
    overlap
        What neighbouring tiles share, in px at ``mpp``.
    level_dimensions
        Size of the level that was read; None for patches.
    coords
        "layout" and "attributes" of the file that the tiles were taken from; None for a grid.
    odd_colours
        What is wrong with the colours of the slide (:func:`rl2qc.images.colours.odd_colours`).
    reference
        What the quantities of the model's reference are like; None if the model does not say, and
        the kept tiles stand for it.

    Examples
    --------
    >>> import tempfile
    >>> import rl2qc
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp()) / "set"
    >>> folder.mkdir()
    >>> for grey in (120, 240):
    ...     Image.new("RGB", (64, 64), (grey,) * 3).save(folder / f"{grey}.png")
    >>> class Dark:
    ...     patch_size, mpp, name = 64, 0.5, "dark"
    ...     def measure(self, images):
    ...         return {"p_value": 1 - images.mean(axis=(1, 2, 3)) / 255}
    >>> rl2qc.filter_patches(folder, Dark(), alpha=0.1, mpp=0.5)
    <TileTable 'set': 1 of 2 patches kept, alpha 0.1...>
    """

    name: str
    path: Path
    kind: str
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    tissue_fraction: NDArray[np.float64]
    measurements: dict[str, NDArray[np.float64]]
    keep: NDArray[np.bool_]
    alpha: float
    image_paths: tuple[Path, ...] = ()
    mpp: float | None = None
    slide_mpp: float | None = None
    mpp_source: str | None = None
    level: int | None = None
    scale: float | None = None
    dimensions: tuple[int, int] | None = None
    bounds: tuple[int, int, int, int] | None = None
    tissue_threshold: float | None = None
    tissue_coverage: float | None = None
    failures: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    thumbnail: NDArray[np.uint8] | None = field(default=None, repr=False)
    scanner: str = ""
    icc: bool = False
    max_rejected: float = 0.5
    method: str = "threshold"
    patch_size: int | None = None
    tile_size: int | None = None
    overlap: int = 0
    level_dimensions: tuple[int, int] | None = None
    coords: dict[str, Any] | None = None
    odd_colours: str = ""
    reference: ReferenceQuantities | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.tile_size is None:
            object.__setattr__(self, "tile_size", self._own_tile_size())

    def _own_tile_size(self) -> int | None:
        """What a table that was not told knows of the size of its tiles."""
        if self.coords is None and self.patch_size is not None:
            return self.patch_size
        if not len(self) or self.mpp is None or self.slide_mpp is None:
            return None
        return max(1, round(int(self.width[0]) * self.slide_mpp / self.mpp))

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        what = "tiles" if self.kind == "slide" else "patches"
        decision = f"alpha {self.alpha:g}" + (" (bh)" if self.method == "bh" else "")
        flags = f"; {', '.join(self.flags)}" if self.flags else ""
        kept = int(self.keep.sum())
        return f"<TileTable {self.name!r}: {kept} of {len(self)} {what} kept, {decision}{flags}>"

    @property
    def unreadable(self) -> int:
        """Number of tiles or images that could not be read."""
        return len(self.failures)

    @property
    def kept_share(self) -> float:
        """Share of the tiles that is kept; NaN where there is none."""
        return float(self.keep.mean()) if len(self) else math.nan

    @property
    def rejected_share(self) -> float:
        """Share of the tissue in the tiles that is rejected; NaN where there is none."""
        return rejected_share(self.keep, self.tissue_fraction * self.width * self.height)

    @property
    def drift(self) -> float:
        """Distance of the scores to the reference (:func:`rl2qc.filtering.drift.score_drift`)."""
        return score_drift(self.measurements["p_value"])

    @property
    def flags(self) -> tuple[str, ...]:
        """Why a person should look before the result is used; empty where nothing is odd."""
        flags = {
            "colours look wrong": bool(self.odd_colours),
            "no tissue": self.kind == "slide" and not len(self) and not self.failures,
            "unlike the reference": len(self) >= MIN_TILES and self.drift >= DRIFT_ALARM,
            OVER_REJECTED: self.rejected_share > self.max_rejected,
            "unreadable tiles": self.unreadable > 0,
        }
        return tuple(name for name, raised in flags.items() if raised)

    @cached_property
    def reasons(self) -> NDArray[np.str_]:
        """(n,) the likely reason of each rejected tile (:data:`rl2qc.images.reasons.REASONS`); ""
        for kept ones, and where no quantities were recorded.

        Of a slide that is out of distribution as a whole, with no more than a tenth of the tiles
        kept, every quantity may lie outside the reference: there a reason is what sets a tile
        apart from the slide's others.
        """
        quantities = self._quantities
        if quantities is None:
            return np.full(len(self), "", np.str_)
        own = ReferenceQuantities.fences(quantities) if self._is_foreign else None
        reasons = likely_reasons(quantities, self.keep, own or self.reference)
        # Where all colours are wrong, an odd hue is no sign of ink.
        if self.odd_colours:
            reasons = np.where(reasons == "ink or pen", REASONS[-1], reasons)
        return reasons

    @property
    def _quantities(self) -> NDArray[np.float64] | None:
        """(n, 7), or None where they were not recorded."""
        if not all(name in self.measurements for name in QUANTITIES):
            return None
        return np.stack([self.measurements[name] for name in QUANTITIES], axis=1)

    @property
    def _is_foreign(self) -> bool:
        return self.kind == "slide" and len(self) >= MIN_TILES and self.kept_share <= _FOREIGN_SHARE

    @property
    def _typically(self) -> str:
        """The reason that holds for the median tile of a slide that is out of distribution; ""
        where none does."""
        quantities = self._quantities
        if quantities is None or not self._is_foreign:
            return ""
        median = np.median(quantities, axis=0, keepdims=True)
        (reason,) = likely_reasons(median, [False], self.reference or PROCEDURAL)
        return "" if reason == REASONS[-1] else str(reason)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Every column by name, in the order of the exports."""
        columns: dict[str, NDArray[Any]] = {
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "tissue_fraction": self.tissue_fraction,
            **self.measurements,
            "keep": self.keep,
            "reason": self.reasons.astype(object),
        }
        if self.kind == "patches":
            columns["path"] = np.array([str(path) for path in self.image_paths], dtype=object)
        return columns

    def decide(
        self, alpha: float, *, method: str = "threshold", max_rejected: float | None = None
    ) -> TileTable:
        """The same measurements, decided anew by :func:`rl2qc.filtering.decision.keep_tiles`."""
        decided = replace(
            self,
            keep=keep_tiles(self.measurements["p_value"], alpha, method),
            alpha=alpha,
            method=method,
            max_rejected=self.max_rejected if max_rejected is None else max_rejected,
        )
        warnings = over_rejection_warnings(
            self.warnings, decided.rejected_share, decided.max_rejected, decided._typically
        )
        return replace(decided, warnings=warnings)

    # ------------------------------------------------------------ shown, and written down

    def table(self) -> str:
        """A few lines for the terminal: how many tiles are kept, why others are not, warnings."""
        lines = [repr(self).strip("<>").removeprefix("TileTable ")]
        counts = {name: int((self.reasons == name).sum()) for name in REASONS}
        lines += [f"  rejected: {name} {count}" for name, count in counts.items() if count]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])

    def to_dict(self) -> dict[str, Any]:
        """All but the picture as plain data: what is said of the whole, and the columns."""
        about = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _COLUMNS}
        if self.reference is not None:
            about["reference"] = {k: v.tolist() for k, v in self.reference.state().items()}
        columns = {name: column.tolist() for name, column in self.columns().items()}
        return {"schema_version": 2, **about, "columns": columns}

    def csv_rows(self) -> Sequence[Mapping[str, Any]]:
        """A mapping for each tile."""
        columns = {name: column.tolist() for name, column in self.columns().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_csv(self, path: str | Path) -> None:
        """Write the tiles to ``path``, as in ``tiles.csv``: one row each, with every digit."""
        write_format("csv", self, path)

    def to_geojson(self, path: str | Path) -> None:
        """Write the tiles to ``path`` for QuPath: an object each, and an annotation a class.

        Raises
        ------
        ValueError
            A table of patches, which have no place on a slide.
        """
        write_format("geojson", self, path)

    def overlay(self) -> Image.Image:
        """The slide with its tiles: kept ones in green, rejected ones the redder the smaller
        their p-value.

        Raises
        ------
        ValueError
            A table without a picture of its slide, such as one of patches.
        """
        # Here, since pictures are not always asked for.
        from rl2qc.filtering.drawing import overlay

        return overlay(self)

    def _repr_html_(self) -> str:
        """How a notebook shows it: the table, and the slide with its tiles."""
        shown = super()._repr_html_()
        if self.thumbnail is None or self.bounds is None:
            return shown
        from rl2qc.html.environment import encode

        picture = encode(self.overlay(), 800, kind="overview")
        return shown + str(picture.img(f"{self.name}, its tiles"))


# Told by the columns, or no plain data.
_COLUMNS = frozenset(
    {"x", "y", "width", "height", "tissue_fraction", "measurements", "keep", "image_paths"}
    | {"thumbnail", "reference"}
)

"""The measured tiles of a slide, or the measured patches of a set, with a decision."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rl2qc.filtering.areas import class_columns
from rl2qc.filtering.corrected import Corrected
from rl2qc.filtering.decision import COHORT_WIDE, keep_tiles, rejected_share
from rl2qc.filtering.drift import score_drift
from rl2qc.filtering.evidence import Evidence, judge_evidence
from rl2qc.filtering.reasons import decision_warnings, reasons_of
from rl2qc.filtering.table_facts import OVER_REJECTED, flags_of, shifted_tiles, tile_size_of
from rl2qc.filtering.verdict import VerdictRules
from rl2qc.filtering.views import TableViews
from rl2qc.images.blank import blank_tiles
from rl2qc.images.reasons import ReferenceQuantities
from rl2qc.stats.adaptation import Adaptation

if TYPE_CHECKING:
    pass

__all__ = ["ADAPTATIONS", "OVER_REJECTED", "TileTable"]

ADAPTATIONS = ("adaptation", "cohort")
"""The fields of a table that hold an :class:`~rl2qc.stats.adaptation.Adaptation`."""


@dataclass(frozen=True, eq=False, repr=False)
class TileTable(TableViews):
    """The measured tiles of one slide, or the measured patches of one set.

    Scores are kept as they were measured; ``keep`` is a decision made from them, and
    :meth:`decide` makes another without a look at the pixels.

    Attributes
    ----------
    name, path, kind
        What was measured; ``kind`` is "slide" or "patches".
    x, y, width, height
        (n,) int64, tiles in level-0 px of the whole slide; for patches 0, 0 and the image's size.
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
    level, scale, level_dimensions
        The level that was read, its pixels per pixel of a tile and its size; None for patches.
    dimensions, bounds
        Size at level 0 and its scanned part (x, y, width, height); None for patches.
    tissue_threshold, tissue_coverage, tissue_source
        Absorbed share of light that counts as tissue (None where light did not decide), the share
        of the scanned area that is tissue (for patches, of all), and how it was found: a word of
        :data:`rl2qc.filtering.tissue.RULES`, or a mask's file and what it was taken for.
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
        Side of what the model saw of each tile, in px at ``mpp``; None in some old results.
    tile_size
        Side of a tile in px at ``mpp``: ``patch_size`` but for imported coordinates.
    overlap
        What neighbouring tiles share, in px at ``mpp``.
    step
        Distance of neighbours on the grid in square level-0 px; None for imported tiles and for
        results of before.
    stretch
        Level-0 px that a square one has across and down (:mod:`rl2qc.slides.stretch`).
    covered, reader
        Whether the model looked at all of each tile, in parts; what read the slide, if asked for.
    coords
        "layout" and "attributes" of the file that the tiles come from; None for a grid.
    odd_colours
        What is wrong with the colours of the slide (:func:`rl2qc.images.colours.odd_colours`).
    reference
        Quantities of the model's reference; None if unknown, and the kept tiles stand for it.
    evidence
        What a general model found, adapted to nothing; None for a model without a map.
    adapt, adaptation, cohort
        How evidence is adapted (``decision.ADAPT``), to what, and what its cohort usually has.
    shown
        What files are called in columns and on pages: by default, by their paths.
    corrected
        What a person said of its tiles, and what that of other slides teaches; None for nothing.
    apart
        Whether it is unlike the other slides of its run, which are alike.
    use_from, drop_below, drop_area
        The thresholds of its verdict (:class:`rl2qc.filtering.verdict.VerdictRules`).

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
    tissue_source: str = "otsu"
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
    step: int | None = None
    stretch: tuple[float, float] = (1.0, 1.0)
    covered: bool = False
    reader: str | None = None
    level_dimensions: tuple[int, int] | None = None
    coords: dict[str, Any] | None = None
    odd_colours: str = ""
    reference: ReferenceQuantities | None = field(default=None, repr=False)
    evidence: Evidence | None = field(default=None, repr=False)
    adapt: str = "none"
    adaptation: Adaptation | None = field(default=None, repr=False)
    cohort: Adaptation | None = field(default=None, repr=False)
    shown: Callable[[Path], str] = field(default=str, repr=False)
    corrected: Corrected | None = None
    apart: bool = False
    use_from: float = VerdictRules.use_from
    drop_below: float = VerdictRules.drop_below
    drop_area: float = VerdictRules.drop_area

    def __post_init__(self) -> None:
        if self.tile_size is None:
            object.__setattr__(self, "tile_size", tile_size_of(self))

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
    def shifted(self) -> NDArray[np.bool_]:
        """(n,) which tiles were moved inwards from over the right or the bottom edge, so that they
        overlap their neighbours."""
        return shifted_tiles(self)

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
        return flags_of(self)

    @cached_property
    def reasons(self) -> NDArray[np.str_]:
        """(n,) the likely reason of each rejected tile
        (:func:`rl2qc.filtering.reasons.reasons_of`); "" for kept ones."""
        return reasons_of(self)

    @property
    def maps(self) -> bool:
        """Whether it tells where in a tile something is."""
        return self.evidence is not None

    @cached_property
    def artifact_mask(self) -> NDArray[np.uint8]:
        """(n, h, w) the class of each cell of 8 px of what the model saw, counted from 1 in the
        order of ``evidence.cells.classes``; 0 where nothing is beyond what clean cells have, of
        tiles that show no damage as a whole what few have.

        Raises
        ------
        ValueError
            A table of a model without a map.
        """
        if self.evidence is None:
            raise ValueError(f"{self.name}: the model that measured the tiles gives no map")
        return self.evidence.mask(self.adaptation, self.measurements["p_value"])

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
        columns |= class_columns(self)
        if self.step is not None:
            columns["shifted"] = self.shifted
        if self.kind == "patches":
            columns["path"] = np.array([self.shown(p) for p in self.image_paths], dtype=object)
        return columns

    def decide(
        self,
        alpha: float,
        *,
        method: str = "threshold",
        max_rejected: float | None = None,
        adapt: str | None = None,
        cohort: Adaptation | None = None,
        apart: bool = False,
        corrected: Corrected | None = None,
        **rules: float | None,
    ) -> TileTable:
        """The same measurements, decided anew by :func:`rl2qc.filtering.decision.keep_tiles`.

        What is None stays as it is; ``cohort`` is what is usual in its slides, and ``apart`` says
        that it is unlike the others. ``corrected`` tiles are decided by a person. ``rules`` are
        thresholds of its verdict by name."""
        corrected = self.corrected if corrected is None else corrected
        weights = () if corrected is None else corrected.weights
        adapts = self.evidence is not None and self.evidence.adapts
        adapt = self.adapt if adapt is None else adapt
        odd_hue, blank = self.measurements.get("odd_hue"), blank_tiles(self.measurements)
        adaptation, judged = judge_evidence(self.evidence, adapt, cohort, weights, odd_hue, blank)
        measurements = self.measurements | judged if judged else self.measurements
        keep = keep_tiles(measurements["p_value"], alpha, method)
        given = {k: v for k, v in {**rules, "max_rejected": max_rejected}.items() if v is not None}
        decided = replace(
            self,
            measurements=measurements,
            keep=keep if corrected is None else corrected.apply(keep),
            corrected=corrected or None,
            alpha=alpha,
            method=method,
            adapt=adapt if adapts else "none",
            adaptation=adaptation,
            cohort=cohort if adapts and adapt in COHORT_WIDE else None,
            apart=apart and adapts and adapt in COHORT_WIDE,
            **asdict(replace(self.rules, **given)),
        )
        return replace(decided, warnings=decision_warnings(decided))

    def to_dict(self) -> dict[str, Any]:
        """All but the picture as plain data: what is said of the whole, and the columns."""
        about = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _COLUMNS}
        for name in ADAPTATIONS:
            about[name] = about[name] and about[name].to_dict()
        about["corrected"] = self.corrected and self.corrected.to_dict()
        if self.reference is not None:
            about["reference"] = {k: v.tolist() for k, v in self.reference.state().items()}
        columns = {name: column.tolist() for name, column in self.columns().items()}
        return {"schema_version": 2, **about, "columns": columns}


# Told by the columns, or no plain data.
_COLUMNS = frozenset(
    {"x", "y", "width", "height", "tissue_fraction", "measurements", "keep", "image_paths"}
    | {"thumbnail", "reference", "evidence", "shown"}
)

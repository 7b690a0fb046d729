"""Why the rejected tiles of a table were rejected: a property of a tile and its slide, not of
alpha."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rl2qc.filtering.decision import over_rejection_warnings
from rl2qc.filtering.drift import MIN_TILES
from rl2qc.filtering.evidence import Evidence, adaptation_warnings
from rl2qc.images.blank import blank_tiles
from rl2qc.images.odd_hue import reasons_by_hue
from rl2qc.images.quantity_names import QUANTITIES
from rl2qc.images.reasons import (
    DAMAGE_REASONS,
    FOREIGN,
    GLASS,
    PROCEDURAL,
    ReferenceQuantities,
    likely_reasons,
)
from rl2qc.stats.adaptation import Adaptation

__all__ = ["decision_warnings", "is_foreign", "reasons_of", "typical_reason"]


class Decided(Protocol):
    """What of a :class:`~rl2qc.filtering.table.TileTable` tells why tiles were rejected."""

    @property
    def kind(self) -> str: ...
    @property
    def keep(self) -> NDArray[np.bool_]: ...
    @property
    def reasons(self) -> NDArray[np.str_]: ...
    @property
    def measurements(self) -> Mapping[str, NDArray[np.float64]]: ...
    @property
    def evidence(self) -> Evidence | None: ...
    @property
    def adapt(self) -> str: ...
    @property
    def adaptation(self) -> Adaptation | None: ...
    @property
    def reference(self) -> ReferenceQuantities | None: ...
    @property
    def odd_colours(self) -> str: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def kept_share(self) -> float: ...
    @property
    def rejected_share(self) -> float: ...
    @property
    def max_rejected(self) -> float: ...
    def __len__(self) -> int: ...


# A slide of which no larger share is kept is out of distribution as a whole.
_FOREIGN_SHARE = 0.1


def reasons_of(table: Decided) -> NDArray[np.str_]:
    """The likely reason (n,) of each rejected tile, one of
    :data:`rl2qc.images.reasons.ALL_REASONS`; "" for kept ones, and where nothing tells.

    With the evidence of a general model it is the class that speaks most for damage. Without, it is
    the measured quantity that lies farthest outside the reference; of a slide that is out of
    distribution as a whole, with no more than a tenth of the tiles kept, every quantity may lie
    outside, and a reason is what sets a tile apart from the slide's others.
    """
    reasons = _of_evidence(table) if table.evidence is not None else _of_quantities(table)
    # Where all colours are wrong, an odd hue is no sign of ink.
    if table.odd_colours:
        inked = np.isin(reasons, ("ink or pen", "ink", "pen", "pale or overstained"))
        reasons = np.where(inked, FOREIGN, reasons)
    return reasons


def _of_evidence(table: Decided) -> NDArray[np.str_]:
    assert table.evidence is not None
    prior = table.evidence.prior
    words = np.array([DAMAGE_REASONS.get(name, name) for name in prior.classes])
    of_classes = table.evidence.reasons(table.adaptation)
    if table.adapt != "none" and "odd_hue" in table.measurements:
        of_classes = reasons_by_hue(of_classes, table.measurements["odd_hue"], prior.classes)
    found = np.where(table.keep, "", words[of_classes.argmax(1)])
    blank = blank_tiles(table.measurements)
    return found if blank is None else np.where(~table.keep & blank, GLASS, found)


def _of_quantities(table: Decided) -> NDArray[np.str_]:
    quantities = _quantities(table)
    if quantities is None:
        return np.full(len(table), "", np.str_)
    own = ReferenceQuantities.fences(quantities) if is_foreign(table) else None
    return likely_reasons(quantities, table.keep, own or table.reference)


def is_foreign(table: Decided) -> bool:
    """Whether a slide is out of distribution as a whole."""
    return table.kind == "slide" and len(table) >= MIN_TILES and table.kept_share <= _FOREIGN_SHARE


def typical_reason(table: Decided) -> str:
    """The reason that holds for the median tile of a slide that is out of distribution; "" where
    none does."""
    quantities = _quantities(table)
    if quantities is None or not is_foreign(table):
        return ""
    if table.evidence is not None:
        # The slide's own table of reasons, and no other opinion.
        reasons, counts = np.unique(table.reasons[~table.keep], return_counts=True)
        return str(reasons[counts.argmax()]) if 2 * counts.max() > len(table) else ""
    median = np.median(quantities, axis=0, keepdims=True)
    (reason,) = likely_reasons(median, [False], table.reference or PROCEDURAL)
    return "" if reason == FOREIGN else str(reason)


def decision_warnings(table: Decided) -> tuple[str, ...]:
    """The warnings of a table, with those that follow from its decision brought up to date."""
    return over_rejection_warnings(
        adaptation_warnings(table.warnings, table.adaptation),
        table.rejected_share,
        table.max_rejected,
        typical_reason(table),
    )


def _quantities(table: Decided) -> NDArray[np.float64] | None:
    """(n, 7), or None where they were not recorded."""
    if not all(name in table.measurements for name in QUANTITIES):
        return None
    return np.stack([table.measurements[name] for name in QUANTITIES], axis=1)

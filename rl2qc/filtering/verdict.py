"""Which slides to drop: a verdict on each slide, from the numbers of its table.

These are all the rules there are. The first that fits decides:

============ ======================================================================================
drop         no tissue
look         no tile can be read, or more than a tenth of the tiles cannot
look         colours that no transmitted light makes; a stain that is not haematoxylin and eosin; a
             stain so faint that little can be told
drop         one kind of damage covers at least ``drop_area`` of the tissue: out of focus as a whole
look         more than ``max_rejected`` of the tissue is out of distribution, its scores are unlike
             the model's reference, or its usual tile is worse than clean ones anywhere
drop         less than ``drop_below`` of the tissue is usable
look         more than ``max_rejected`` of the tissue is rejected, or in doubt: kept, and mostly
             damaged where other tiles of the slide are clear
look         unlike the other slides of the run
use          at least ``use_from`` of the tissue is usable
use in part  all others
============ ======================================================================================

What a model cannot know, such as another stain, is for a person to look at, and never dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rl2qc.filtering.areas import (
    FEW,
    MOST,
    Areal,
    mean_probabilities,
    tissue_shares,
    tissue_weights,
)
from rl2qc.filtering.drift import DRIFT_ALARM, MIN_TILES
from rl2qc.images.reasons import FOREIGN
from rl2qc.stats.adaptation import Adaptation

__all__ = [
    "FLAGGED",
    "VERDICTS",
    "SlideNumbers",
    "Verdict",
    "VerdictRules",
    "numbers_of",
    "rules_in",
    "verdict_of",
]

VERDICTS = ("use", "use in part", "look", "drop")
"""What is to be done with a slide, the best first."""
FLAGGED = frozenset({"look", "drop"})
"""The verdicts that a person should see."""

# Smaller shares of the tissue are not worth a word.
_SAID = 0.01
# A larger share of tiles that cannot be read is not to be passed over.
_UNREADABLE = 0.1
# Of the tissue, more is called the whole of it.
_WHOLE = 0.5
# Of the median tile: share of the area in colours that haematoxylin and eosin do not have (clean
# tiles of twenty laboratories: 0.1 at most; immunohistochemistry: 0.12 to 0.98), and the density of
# the darkest parts (0.5 at least; of a fifth of the stain, 0.14 to 0.41).
_ODD_HUE, _FAINT = 0.15, 0.4
# Others are clear of what a tile mostly shows where one tile in ten has no more than this.
_CLEAR = 0.1


class Verdict(NamedTuple):
    """What is to be done with a slide, one of :data:`VERDICTS`, and why."""

    word: str
    why: str


@dataclass(frozen=True)
class VerdictRules:
    """The thresholds that a user may set, shares of the tissue.

    Attributes
    ----------
    use_from
        Usable from which on a slide is used as a whole.
    drop_below
        Usable below which it is dropped.
    drop_area
        Under one kind of damage from which on it is dropped.
    max_rejected
        Rejected above which a person should look.
    """

    use_from: float = 0.85
    drop_below: float = 0.1
    drop_area: float = 0.8
    max_rejected: float = 0.5


@dataclass(frozen=True)
class SlideNumbers:
    """What a verdict is made from.

    Attributes
    ----------
    tiles, unreadable
        How many were judged, and how many could not be read.
    usable
        Share of the tissue in kept tiles.
    doubtful
        Share of the tissue in kept tiles that mostly show what others are clear of.
    areas
        Share of the tissue under each kind of damage.
    odd_colours
        What is wrong with the colours of the slide; "" if nothing is.
    odd_hue, darkness
        Of the median tile (:func:`rl2qc.images.quantities.image_quantities`).
    drift
        Distance of the scores to the reference.
    limited
        Whether its usual tile is worse than clean ones are in any laboratory.
    apart
        Whether it is unlike the other slides of its run, which are alike.
    blank
        Whether it has no tissue at all.
    """

    tiles: int
    unreadable: int = 0
    usable: float = 1.0
    doubtful: float = 0.0
    areas: Mapping[str, float] = field(default_factory=dict)
    odd_colours: str = ""
    odd_hue: float = 0.0
    darkness: float = 1.0
    drift: float = 0.0
    limited: bool = False
    apart: bool = False
    blank: bool = False


def rules_in(settings: object) -> dict[str, Any]:
    """The thresholds of :class:`VerdictRules` that settings, or a table, have; None is not set."""
    return {f.name: getattr(settings, f.name) for f in fields(VerdictRules)}


def verdict_of(numbers: SlideNumbers, rules: VerdictRules | None = None) -> Verdict:
    """The verdict on a slide by the rules of :mod:`rl2qc.filtering.verdict`.

    Examples
    --------
    >>> verdict_of(SlideNumbers(100, usable=0.7, areas={"ink": 0.25}))
    Verdict(word='use in part', why='70% of the tissue is usable (ink 25%)')
    >>> verdict_of(SlideNumbers(100, usable=0.7), VerdictRules(use_from=0.6)).word
    'use'
    """
    return next(_rules(numbers, rules or VerdictRules()))


def _rules(n: SlideNumbers, rules: VerdictRules) -> Iterator[Verdict]:
    """Every rule that fits, in order."""
    if n.blank:
        yield Verdict("drop", "no tissue")
    if n.unreadable > _UNREADABLE * (n.tiles + n.unreadable):
        yield Verdict("look", f"{n.unreadable} of {n.tiles + n.unreadable} tiles cannot be read")
    if n.odd_colours:
        yield Verdict("look", f"wrong colours: {n.odd_colours}")
    if n.odd_hue > _ODD_HUE:
        share = f"{n.odd_hue:.0%} of its typical tile"
        yield Verdict("look", f"another stain, or wrong colours: {share} is no H&E")
    if n.darkness < _FAINT:
        yield Verdict(
            "look", f"faint: its darkest parts have an optical density of {n.darkness:.2f}"
        )
    # What is out of distribution need not be damaged.
    damage = {name: share for name, share in n.areas.items() if name != FOREIGN}
    worst = max(damage, key=lambda name: damage[name], default="")
    if worst and damage[worst] >= rules.drop_area:
        whole = " as a whole" if damage[worst] > _WHOLE else ""
        yield Verdict("drop", f"{worst}{whole}: {damage[worst]:.0%} of the tissue")
    if n.areas.get(FOREIGN, 0.0) > rules.max_rejected:
        yield Verdict("look", f"{FOREIGN}: {n.areas[FOREIGN]:.0%} of the tissue")
    doubtful = n.doubtful if n.doubtful >= FEW else 0.0
    left = n.usable - doubtful
    kept = f", {doubtful:.0%} in doubt" if doubtful else ""
    usable = f"{left:.0%} of the tissue is usable{kept}{_describe(n.areas)}"
    if n.limited:
        yield Verdict("look", f"its usual tile is worse than clean ones anywhere: {usable}")
    if n.tiles >= MIN_TILES and n.drift >= DRIFT_ALARM:
        yield Verdict("look", f"unlike the model's reference (drift {n.drift:.2f}): {usable}")
    if n.usable < rules.drop_below:
        yield Verdict("drop", usable)
    if 1 - left > rules.max_rejected:
        yield Verdict("look", usable)
    if n.apart:
        yield Verdict("look", f"unlike the other slides: {usable}")
    yield Verdict("use" if left >= rules.use_from else "use in part", usable)


def _describe(areas: Mapping[str, float]) -> str:
    found = sorted(((share, name) for name, share in areas.items() if share >= _SAID), reverse=True)
    return f" ({', '.join(f'{name} {share:.0%}' for share, name in found[:3])})" if found else ""


class Judged(Areal, Protocol):
    """What of a :class:`~rl2qc.filtering.table.TileTable` a verdict is made from."""

    @property
    def measurements(self) -> Mapping[str, NDArray[np.float64]]: ...
    @property
    def adaptation(self) -> Adaptation | None: ...
    @property
    def odd_colours(self) -> str: ...
    @property
    def unreadable(self) -> int: ...
    @property
    def drift(self) -> float: ...
    @property
    def apart(self) -> bool: ...


def _doubtful(table: Judged) -> float:
    """The share of the tissue in kept tiles that mostly show damage which others are clear of.

    A slide of which half is out of focus takes that for usual. A soft scanner does not: none of its
    tiles is sharp.
    """
    if table.evidence is None or not len(table):
        return 0.0
    means = mean_probabilities(table.evidence)
    clear = np.quantile(means, FEW, axis=0) < _CLEAR
    return float(tissue_weights(table)[((means > MOST) & clear).any(1) & table.keep].sum())


def numbers_of(table: Judged) -> SlideNumbers:
    """What of a table its verdict is made from."""

    def median(name: str, default: float) -> float:
        values = table.measurements.get(name)
        return float(np.median(values)) if values is not None and len(values) else default

    return SlideNumbers(
        tiles=len(table),
        unreadable=table.unreadable,
        usable=float(tissue_weights(table)[table.keep].sum()) if len(table) else 0.0,
        doubtful=_doubtful(table),
        areas=tissue_shares(table),
        odd_colours=table.odd_colours,
        odd_hue=median("odd_hue", 0.0),
        darkness=median("darkness", 1.0),
        drift=table.drift if len(table) else 0.0,
        limited=table.adaptation is not None and table.adaptation.limited,
        apart=table.apart,
        blank=not len(table) and not table.unreadable,
    )

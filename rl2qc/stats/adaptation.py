r"""How tiles of a slide move the threshold of the general model, without any label.

A group of unsorted tiles (a slide, a cohort) tells what is usual in it, as far as at most about a
third of its tiles are damaged, since damage only raises evidence and score:

- what each evidence usually reaches, from the lower half of the tiles; only what exceeds it counts;
- the location of the score, the median of the clean tiles, and the scale of its upper tail. Above
  the location a clean tile's excess is distributed as generalised Pareto, a damaged one's evenly;
  how many are damaged, and the scale, come from the posterior of this mixture. (Efron estimates
  such an empirical null from the central scores as well; here the prior of the scale is what
  laboratories at large showed, so that few tiles do.)

All three are shrunk towards the prior of all laboratories, or to the slide's cohort, where tiles
are few, and none passes the absolute limits of the prior: a slide that is bad as a whole is not
explained away, but judged as any laboratory's tiles. Tiles never judge themselves where they are
few (:func:`judge_own`).

References
----------
Efron, "Large-scale simultaneous hypothesis testing: the choice of a null hypothesis", JASA 99
(2004) 96-104. Pickands, "Statistical inference using extreme order statistics", Annals of
Statistics 3 (1975) 119-131, for the tail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2qc.stats._tail import clean_part, pareto_beyond, prior_scales
from rl2qc.stats.prior import GeneralPrior, logit, probability

__all__ = [
    "Adaptation",
    "Judged",
    "adapt",
    "cell_limits",
    "cohort_of",
    "judge",
    "judge_own",
    "moved",
    "score_at",
    "unadapted",
]

Floats: TypeAlias = NDArray[np.float64]

LEAVE_ONE_OUT = 50
"""Of fewer tiles each is judged by what the others say is usual."""

# Tiles that the prior weighs as much as: of what evidence usually reaches, of the location; and of
# both where the prior is that of the slide's own cohort.
_WORTH_USUAL, _WORTH_LOCATION, _WORTH_COHORT = 5.0, 3.0, 20.0
# A location further above that of laboratories, in their standard deviations, is no clean group's.
# Where lines alone count, laboratories differ less: of fifteen left out, none lay above 1.5, and
# none above 2 with 30 % damaged.
_MOST_LOCATION, _MOST_APART = 4.0, 3.0
# The evidence of a clean tile lies below this much above the median, in widths from quarter to
# median: about the third quartile.
_MIRROR = 1.0
# More tiles than this say no more: neighbours are alike.
_MOST = 1000
# How far from the location scores are looked for, and in how many steps of bisection.
_WIDEST, _HALVINGS = 1e4, 60
# How far the cells' limits follow the group.
_FOLLOW = 0.5
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_NODE_WEIGHTS = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()


@dataclass(frozen=True, eq=False)
class Adaptation:
    """What is usual in a group of tiles.

    Attributes
    ----------
    usual : (E,)
        What each evidence usually reaches, on the scale of the prior's.
    location, spread
        Of the score of clean tiles: its median, and how sure that is (standard deviation).
    scales, weights : (k,)
        Scales that the score's upper tail may have, and how likely each is.
    high : (C,)
        Log-odds that the highest hundredth of a tile's cells exceeds in the median tile.
    damaged
        Estimated share of the tiles that is damaged.
    tiles
        From how many tiles.
    limited
        Whether the group's own location passed the absolute limit, so that it is bad as a whole:
        all else is then that of the cohort, or of laboratories at large.
    """

    usual: Floats
    location: float
    spread: float
    scales: Floats
    weights: Floats
    high: Floats
    damaged: float = 0.0
    tiles: int = 0
    limited: bool = False

    @property
    def certainty(self) -> float:
        """Of the location, how much comes from the tiles themselves, 0 to 1."""
        return self.tiles / (self.tiles + _WORTH_LOCATION)

    def to_dict(self) -> dict[str, Any]:
        """For a record, in JSON's types."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in found.items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild what :meth:`to_dict` gave; KeyError if a part is missing."""
        arrays = ("usual", "scales", "weights", "high")
        found = {f.name: record[f.name] for f in fields(cls)}
        return cls(**found | {name: np.asarray(found[name], np.float64) for name in arrays})


class Judged(NamedTuple):
    """What is said of tiles.

    Attributes
    ----------
    score : (n,)
        Log-odds of damage, relative to what is usual; higher is worse.
    p_value : (n,)
        Share of clean tiles that score as high or higher, in (0, 1).
    reason : (n,) int64
        The likeliest class, if the tile is damaged.
    """

    score: Floats
    p_value: Floats
    reason: NDArray[np.int64]


def unadapted(prior: GeneralPrior) -> Adaptation:
    """What is usual in laboratories at large.

    The location's uncertainty is that between laboratories, so p-values are the more careful.
    """
    scales, weights = prior_scales(*prior.scale.tolist())
    location, spread = prior.location.tolist()
    return Adaptation(prior.usual, location, spread, scales, weights, prior.cells_usual)


def adapt(evidence: ArrayLike, prior: GeneralPrior, base: Adaptation | None = None) -> Adaptation:
    """What is usual in a group of tiles, most of them clean.

    Parameters
    ----------
    evidence : (n, E)
        Of all tiles of the group; the order does not matter.
    prior
        Of laboratories at large, and the absolute limits.
    base
        What is usual in the cohort that the group is part of, to shrink to in the prior's place.

    Returns
    -------
    Adaptation
        Equal to the base, or the prior, for no tile at all.
    """
    rows = np.asarray(evidence, np.float64)
    start = unadapted(prior) if base is None else base
    if not len(rows):
        return start
    usual = _usual(rows, prior, start, _WORTH_USUAL if base is None else _WORTH_COHORT)
    scores = np.sort(prior.scores(rows, usual))
    if len(scores) > _MOST:
        scores = scores[((np.arange(_MOST) + 0.5) * len(scores) / _MOST).astype(np.int64)]
    middle, weights, damaged = clean_part(scores, start.scales, start.weights, prior)
    worth = _WORTH_LOCATION if base is None else _WORTH_COHORT
    own = len(rows) / (len(rows) + worth)
    location = own * middle + (1 - own) * start.location
    most = _MOST_APART if prior.apart.any() else _MOST_LOCATION
    if location > prior.location[0] + most * prior.location[1]:
        return replace(start, damaged=float(damaged), tiles=len(rows), limited=True)
    return Adaptation(
        usual,
        float(location),
        float(start.spread * np.sqrt(1 - own)),
        start.scales,
        weights,
        _high(rows, prior, start, own),
        float(damaged),
        len(rows),
    )


def cohort_of(groups: Sequence[Adaptation], prior: GeneralPrior) -> Adaptation:
    """What is usual in a cohort, from what is usual in each of its slides.

    Slides count by how much their own tiles say; the order does not matter.
    """
    start = unadapted(prior)
    share = np.array([group.tiles / (group.tiles + _WORTH_COHORT) for group in groups])
    if not share.sum() > 0:
        return start
    own = share.sum() / (share.sum() + 1)
    mean = share / share.sum()

    def between(name: str) -> Any:
        values = np.stack([np.asarray(getattr(group, name), np.float64) for group in groups])
        return own * np.tensordot(mean, values, 1) + (1 - own) * getattr(start, name)

    weights = between("weights")
    return Adaptation(
        between("usual"),
        float(between("location")),
        float(start.spread * np.sqrt(1 - own)),
        start.scales,
        weights / weights.sum(),
        between("high"),
        float(mean @ [group.damaged for group in groups]),
        sum(group.tiles for group in groups),
        any(group.limited for group in groups),
    )


def judge(evidence: ArrayLike, adaptation: Adaptation, prior: GeneralPrior) -> Judged:
    """Judge tiles by what is usual in a group that they are not part of, or are few of.

    The p-value of a score s above the location M is half the mean of
    :math:`(1 + \\xi (s - M) / \\kappa)^{-1 / \\xi}` over what scale and location may be; there is
    no smallest one.
    """
    rows = np.asarray(evidence, np.float64)
    scores = prior.scores(rows, adaptation.usual)
    reasons = prior.reasons(rows, adaptation.usual).argmax(1).astype(np.int64)
    return Judged(scores, _p_values(scores, adaptation, prior), reasons)


def judge_own(
    evidence: ArrayLike, prior: GeneralPrior, base: Adaptation | None = None
) -> tuple[Adaptation, Judged]:
    """Adapt to tiles and judge the same tiles.

    Of fewer than :data:`LEAVE_ONE_OUT`, each is judged by what all others say is usual.
    """
    rows = np.asarray(evidence, np.float64)
    found = adapt(rows, prior, base)
    if len(rows) >= LEAVE_ONE_OUT or not len(rows):
        return found, judge(rows, found, prior)
    apart = [
        judge(rows[i : i + 1], adapt(np.delete(rows, i, 0), prior, base), prior)
        for i in range(len(rows))
    ]
    return found, Judged(*(np.concatenate(parts) for parts in zip(*apart, strict=True)))


def moved(
    judged: Judged,
    evidence: ArrayLike,
    weights: ArrayLike,
    adaptation: Adaptation,
    prior: GeneralPrior,
) -> Judged:
    """What is said of tiles where evidence weighs more or less.

    Scores move by how far a tile's move exceeds that of the group's median tile, so that location
    and scale stay what they were, and p-values with them.

    Parameters
    ----------
    judged
        As it was taught.
    evidence : (n, E)
    weights : (E,)
        By how much each weighs more.
    adaptation
        What is usual in the group.
    prior
    """
    rows = np.asarray(evidence, np.float64)
    if not len(rows):
        return judged
    by = prior.exceeding(rows, adaptation.usual) @ np.asarray(weights, np.float64)
    scores = prior.scores(rows, adaptation.usual)
    own = np.float64(np.median(by))
    # As a ratio: of few tiles, each was judged by what all others say.
    ratio = _p_values(scores + by - own, adaptation, prior) / _p_values(scores, adaptation, prior)
    tiny = np.finfo(np.float64).tiny
    return judged._replace(
        score=judged.score + by - own, p_value=np.clip(judged.p_value * ratio, tiny, 1)
    )


def score_at(p_values: ArrayLike, adaptation: Adaptation, prior: GeneralPrior) -> Floats:
    """The scores (n,) of :class:`Judged` that have these p-values, in (0, 1)."""
    wanted = np.asarray(p_values, np.float64)
    low = np.full(len(wanted), adaptation.location - _WIDEST)
    high = np.full(len(wanted), adaptation.location + _WIDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = _p_values(middle, adaptation, prior) > wanted
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray((low + high) / 2, np.float64)


def cell_limits(adaptation: Adaptation, prior: GeneralPrior) -> Floats:
    """Probability (C,) of each class above which a cell is damaged.

    Of clean cells one in a hundred exceeds some limit. Limits follow the group by half of what its
    tiles differ: wholly, a soft scanner's would hide what is out of focus.
    """
    return probability(prior.cells + _FOLLOW * (adaptation.high - prior.cells_usual))


def _usual(rows: Floats, prior: GeneralPrior, start: Adaptation, worth: float) -> Floats:
    """What evidence usually reaches, from quarter and median."""
    quarter, middle = np.quantile(logit(rows), [0.25, 0.5], axis=0)
    own = len(rows) / (len(rows) + worth)
    usual = own * (middle + _MIRROR * (middle - quarter)) + (1 - own) * start.usual
    return np.asarray(np.minimum(usual, prior.limit))


def _high(rows: Floats, prior: GeneralPrior, start: Adaptation, own: float) -> Floats:
    """What the highest hundredth of the cells exceeds, by class, in the median tile."""
    classes = len(prior.classes)
    top1 = rows[:, 2 * classes : 3 * classes]
    return np.asarray(own * np.median(logit(top1), 0) + (1 - own) * start.high)


def _p_values(scores: Floats, adaptation: Adaptation, prior: GeneralPrior) -> Floats:
    found = np.zeros(len(scores))
    for node, weight in zip(_NODES, _NODE_WEIGHTS, strict=True):
        excess = scores - (adaptation.location + node * adaptation.spread)
        tail = (
            pareto_beyond(np.maximum(excess, 0)[:, None], adaptation.scales, float(prior.shape))
            @ adaptation.weights
        )
        below = 1 - 0.5 * np.exp(np.minimum(excess, 0) / float(prior.width))
        found += weight * np.where(excess > 0, 0.5 * tail, below)
    return np.maximum(found, np.finfo(np.float64).tiny)

"""What laboratories at large say about damage: the general model's judgement before any adaptation.

A network gives each tile a map of probabilities by class. :func:`map_evidence` makes tens of named
numbers of it, which a result keeps, with the tile's longest straight lines
(:mod:`rl2qc.images.lines`) beside them; a :class:`GeneralPrior`, taught on many laboratories, makes
of these a score and a reason. How far a group of tiles moves the threshold is decided later, in
:mod:`rl2qc.stats.adaptation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["LINES", "GeneralPrior", "evidence_names", "logit", "map_evidence", "probability"]

Floats: TypeAlias = NDArray[np.float64]

LINES = ("band_density", "band_colour", "dark_density", "dark_colour")
"""Kinds of line: a band between two parallel steps of density or of colour, and a line that is
darker, or of more eosin's colour, than both of its sides."""

_TOPS = {"mean": 1.0, "top5": 0.05, "top1": 0.01, "max": 0.0}
# Logits are bounded: what a network is surer of than this says no more.
_LEAST = 1e-4
_AT_ONCE = 512
# A line counts by half where its log-odds exceed the usual by three of these.
_LINE_STEP, _LINE_HALF = 0.5, 3.0
# Log-odds of lines that are as good as none.
_LINE_LEAST = 0.05
# Log-odds and scales beyond these are nobody's, and overflow where they are added up.
_MOST, _MOST_DEVIATION = 1e4, 10


def evidence_names(classes: tuple[str, ...], lines: bool = False) -> tuple[str, ...]:
    """Names of the columns of :func:`map_evidence`, and of the lines where they are measured.

    Examples
    --------
    >>> evidence_names(("ink", "fold"))[:4]
    ('ink_mean', 'fold_mean', 'ink_top5', 'fold_top5')
    >>> evidence_names(("ink", "fold"))[-2:]
    ('ink_view', 'fold_view')
    >>> evidence_names(("ink",), lines=True)[-1]
    'line_dark_colour'
    """
    maps = tuple(f"{c}_{statistic}" for statistic in (*_TOPS, "view") for c in classes)
    return (*maps, *(f"line_{kind}" for kind in LINES)) if lines else maps


def map_evidence(maps: ArrayLike, views: ArrayLike) -> NDArray[np.float32]:
    """Few numbers of a tile's maps: mean, means of the top 5 % and 1 % of the cells, maximum, view.

    Probabilities, not logits: these are unbounded, and lead astray in laboratories far away.

    Parameters
    ----------
    maps : (n, h, w, classes)
        Probability of damage of each class in each cell.
    views : (n, classes)
        The same of the whole tile.

    Returns
    -------
    (n, 5 classes) float32
        In the order of :func:`evidence_names`.

    Raises
    ------
    ValueError
        Shapes that do not belong together, or maps without cells.

    Examples
    --------
    >>> maps = np.zeros((1, 10, 10, 1), np.float32); maps[0, 0, :3] = 1
    >>> map_evidence(maps, [[0.25]]).astype(float).round(2).tolist()
    [[0.03, 0.6, 1.0, 1.0, 0.25]]
    """
    cells, whole = np.asarray(maps, np.float32), np.asarray(views, np.float32)
    fit = cells.ndim == 4 and whole.shape == (len(cells), cells.shape[3])
    if not fit or 0 in cells.shape[1:]:
        raise ValueError(
            "maps must be (n, h, w, classes) with cells and views (n, classes), "
            f"got {cells.shape}, {whole.shape}"
        )
    n, classes = len(cells), cells.shape[3]
    found = np.empty((n, (len(_TOPS) + 1) * classes), np.float32)
    count = cells.shape[1] * cells.shape[2]
    tops = [max(1, round(share * count)) for share in _TOPS.values()]
    for start in range(0, n, _AT_ONCE):
        rows = cells[start : start + _AT_ONCE].reshape(-1, count, classes)
        ordered = -np.sort(-rows, axis=1)
        means = [ordered[:, :top].mean(1) for top in tops]
        found[start : start + _AT_ONCE, :-classes] = np.concatenate(means, 1)
    found[:, -classes:] = whole
    return found


def logit(p: ArrayLike) -> Floats:
    """Log-odds, bounded at about 9.2.

    Examples
    --------
    >>> logit([0.0, 0.5]).round(2).tolist()
    [-9.21, 0.0]
    """
    q = np.clip(np.asarray(p, np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(q / (1 - q)))


def probability(log_odds: ArrayLike) -> Floats:
    """Inverse of :func:`logit`.

    Examples
    --------
    >>> probability([0.0]).tolist()
    [0.5]
    """
    return np.asarray(1 / (1 + np.exp(-np.asarray(log_odds, np.float64))))


@dataclass(frozen=True, eq=False)
class GeneralPrior:
    """What was learnt of evidence across laboratories; ``E`` columns, ``C`` classes.

    Of the columns of the maps each is a term (``T``) of the score. Lines are one term together: how
    far the one that is farthest beyond the usual of its kind exceeds it. And they are damage by
    themselves: a tile is as bad as maps and lines together say, or lines alone.

    Attributes
    ----------
    classes
        Of damage, in the order of the maps.
    usual : (E,)
        Log-odds of what evidence usually reaches in a laboratory, the median over laboratories.
    limit : (E,)
        Log-odds beyond which nothing counts as usual, whatever a group of tiles says: above what
        clean laboratories show.
    weights, bias : (T,), ()
        Log-odds of damage are linear in what exceeds the usual.
    apart : (4,)
        What makes the score of a tile and its lines alone comparable: location and mean excess of
        the score without lines alone in clean tiles, and those of how far lines exceed the usual.
        All 0 where lines alone say nothing, as in priors of before.
    location : (2,)
        A laboratory's location of the score: its mean over laboratories, its standard deviation.
    scale : (2,)
        Scale of the score's upper tail: its median over laboratories, its deviation in logarithms.
    shape : ()
        Of the generalised Pareto distribution of the upper tail.
    width : ()
        Scale of the score below its location.
    reach : ()
        How far above the location damaged tiles lie.
    reason_weights, reason_bias : (C, T), (C,)
        Log-odds of each class, if a tile is damaged.
    cells, cells_usual : (C,)
        Log-odds that one clean cell in a hundred exceeds in some class, and what the highest
        hundredth of a tile's cells exceeds in the median tile.
    """

    classes: tuple[str, ...]
    usual: Floats
    limit: Floats
    weights: Floats
    bias: Floats
    apart: Floats
    location: Floats
    scale: Floats
    shape: Floats
    width: Floats
    reach: Floats
    reason_weights: Floats
    reason_bias: Floats
    cells: Floats
    cells_usual: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of the evidence."""
        return evidence_names(self.classes, self.lines)

    @property
    def lines(self) -> bool:
        """Whether lines are part of the evidence; they were not always."""
        return len(self.usual) > len(evidence_names(self.classes))

    def state(self) -> dict[str, Floats]:
        """All numbers by name: what a model file holds."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "classes"}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]], classes: tuple[str, ...]) -> Self:
        """Rebuild what :meth:`state` gave.

        Raises
        ------
        KeyError
            A part is missing.
        ValueError
            A part has another shape, is not finite, or is no scale; classes share a name.
        """
        names = [f.name for f in fields(cls) if f.name != "classes"]
        full = {"apart": np.zeros(4)} | dict(state)
        made = cls(classes, **{name: np.asarray(full[name], np.float64) for name in names})
        e, c = len(made.names), len(classes)
        terms = len(evidence_names(classes)) + made.lines
        shapes: dict[str, tuple[int, ...]] = {"weights": (terms,), "reason_weights": (c, terms)}
        shapes |= dict.fromkeys(("usual", "limit"), (e,))
        shapes |= dict.fromkeys(("reason_bias", "cells", "cells_usual"), (c,))
        shapes |= {"location": (2,), "scale": (2,), "apart": (4,)}
        for name in names:
            part = getattr(made, name)
            # NaN is not below anything.
            if part.shape != shapes.get(name, ()) or not (np.abs(part) < _MOST).all():
                raise ValueError(f"{name} must be {shapes.get(name, ())}, below {_MOST:g}")
        if len(set(classes)) < c or not all(classes):
            raise ValueError("classes must have names of their own")
        if min(made.scale[0], made.width) <= 0 or made.location[1] < 0:
            raise ValueError("scales must lie above 0")
        if made.apart.any() and not (made.lines and made.apart[1] > 0 and made.apart[3] > 0):
            raise ValueError("lines alone need scales above 0, and lines")
        if not 0 <= made.scale[1] <= _MOST_DEVIATION:
            raise ValueError(f"the second number of scale must lie between 0 and {_MOST_DEVIATION}")
        return made

    def exceeding(self, evidence: ArrayLike, usual: ArrayLike | None = None) -> Floats:
        """How far evidence (n, E) exceeds the usual: terms (n, T), 0 to 1 of what is left above it.

        Parameters
        ----------
        evidence
            Probabilities.
        usual : (E,)
            Log-odds of what the group of tiles usually reaches; the prior's without.
        """
        rows, most = np.asarray(evidence, np.float64), len(evidence_names(self.classes))
        usually = np.asarray(self.usual if usual is None else usual, np.float64)
        level = probability(usually[:most])
        over = np.maximum(rows[:, :most] - level, 0) / (1 - level)
        if not self.lines:
            return np.asarray(over)
        beyond = (logit(rows[:, most:]) - usually[most:]).max(1, keepdims=True)
        return np.concatenate([over, probability(beyond / _LINE_STEP - _LINE_HALF)], 1)

    def scores(self, evidence: ArrayLike, usual: ArrayLike | None = None) -> Floats:
        """Log-odds (n,) of damage; higher is worse.

        Of two independent tests either may reject: their odds add up, as those of Good's harmonic
        mean of p-values do ("Significance tests in parallel and in series", JASA 53:799, 1958).
        """
        together = self.exceeding(evidence, usual) @ self.weights + self.bias
        if not self.apart.any():
            return np.asarray(together)
        location, scale, usually, step = self.apart
        alone = (self.beyond(evidence, usual) - usually) / step
        return np.asarray(location + scale * np.logaddexp((together - location) / scale, alone))

    def together(self) -> GeneralPrior:
        """The same without what lines say alone."""
        return replace(self, apart=np.zeros(4))

    def beyond(self, evidence: ArrayLike, usual: ArrayLike | None = None) -> Floats:
        """By what factor (n,), as a logarithm, the line that stands out most exceeds the usual of
        its kind: laboratories with much of it have as much more of its spread."""
        most = len(evidence_names(self.classes))
        usually = np.asarray(self.usual if usual is None else usual, np.float64)[most:]
        own = logit(np.asarray(evidence, np.float64)[:, most:])
        ratio = (np.maximum(own, 0) + _LINE_LEAST) / (np.maximum(usually, 0) + _LINE_LEAST)
        return np.asarray(np.log(ratio).max(1))

    def reasons(self, evidence: ArrayLike, usual: ArrayLike | None = None) -> Floats:
        """Probability (n, C) of each class, if the tile is damaged."""
        odds = self.exceeding(evidence, usual) @ self.reason_weights.T + self.reason_bias
        shares = np.exp(odds - odds.max(1, keepdims=True))
        return np.asarray(shares / shares.sum(1, keepdims=True))

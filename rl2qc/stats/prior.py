"""What laboratories at large say about damage: the general model's judgement before any adaptation.

A network gives each tile a map of probabilities by class. :func:`map_evidence` makes tens of named
numbers of it, which a result keeps; a :class:`GeneralPrior`, taught on many laboratories, makes of
these a score and a reason. How far a group of tiles moves the threshold is decided later, in
:mod:`rl2qc.stats.adaptation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["MEASURED", "GeneralPrior", "evidence_names", "logit", "map_evidence", "probability"]

Floats: TypeAlias = NDArray[np.float64]

MEASURED = ("blur", "noise", "blockiness", "odd_hue", "density", "darkness")
"""What measured quantities say of damage, in the order of the first six of
:data:`rl2qc.images.quantity_names.QUANTITIES`; blur is focus turned round."""

# Stages of the network whose statistics tell how unlike any laboratory a tile is, by their width.
_STAGES = {"stage2": 128, "stage3": 256, "stage4": 512}
_STATISTICS = 2 * sum(_STAGES.values())
# What exceeds the usual by more units counts no more.
_MOST_UNITS = 6.0
_SIGNS = np.array([-1.0, 1, 1, 1, 1, 1])
_TOPS = {"mean": 1.0, "top5": 0.05, "top1": 0.01, "max": 0.0}
# Logits are bounded: what a network is surer of than this says no more.
_LEAST = 1e-4
_AT_ONCE = 512


def evidence_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the columns of :func:`map_evidence`.

    Examples
    --------
    >>> evidence_names(("ink", "fold"))[:4]
    ('ink_mean', 'fold_mean', 'ink_top5', 'fold_top5')
    >>> evidence_names(("ink", "fold"))[-2:]
    ('ink_view', 'fold_view')
    """
    return tuple(f"{c}_{statistic}" for statistic in (*_TOPS, "view") for c in classes)


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

    Attributes
    ----------
    classes
        Of damage, in the order of the maps.
    usual : (E,)
        What evidence usually reaches in a laboratory, the median over laboratories: log-odds of
        probabilities, all else as it is.
    limit : (E,)
        Beyond which nothing counts as usual, whatever a group of tiles says: above what clean
        laboratories show.
    weights, bias : (E,), ()
        Log-odds of damage are linear in what exceeds the usual.
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
    reason_weights, reason_bias : (C, E), (C,)
        Log-odds of each class, if a tile is damaged.
    cells, cells_usual : (C,)
        Log-odds that one clean cell in a hundred exceeds in some class, and what the highest
        hundredth of a tile's cells exceeds in the median tile.
    units : (E - 5 C,)
        Of the evidence that is no probability; none where there is none.
    stage_mean, stage_scale, stage_axes : (1792,), (1792,), (k, 1792)
        Of the statistics of the last three stages: mean and scale, and within each stage
        orthonormal directions of what varies in clean tiles.
    """

    classes: tuple[str, ...]
    usual: Floats
    limit: Floats
    weights: Floats
    bias: Floats
    location: Floats
    scale: Floats
    shape: Floats
    width: Floats
    reach: Floats
    reason_weights: Floats
    reason_bias: Floats
    cells: Floats
    cells_usual: Floats
    units: Floats = field(default_factory=lambda: np.empty(0))
    stage_mean: Floats = field(default_factory=lambda: np.empty(0))
    stage_scale: Floats = field(default_factory=lambda: np.empty(0))
    stage_axes: Floats = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of the evidence."""
        more = (*_STAGES, *MEASURED) if len(self.units) else ()
        return (*evidence_names(self.classes), *more)

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
            A part has another shape, or is not finite.
        """
        names = [f.name for f in fields(cls) if f.name != "classes"]
        later = {"units", "stage_mean", "stage_scale", "stage_axes"} - state.keys()
        parts = {name: np.asarray(state[name], np.float64) for name in names if name not in later}
        made = cls(classes, **parts)
        e, c = len(made.names), len(classes)
        shapes: dict[str, tuple[int, ...]] = {}
        shapes |= dict.fromkeys(("usual", "limit", "weights"), (e,))
        shapes |= dict.fromkeys(("reason_bias", "cells", "cells_usual"), (c,))
        shapes |= {"location": (2,), "scale": (2,), "reason_weights": (c, e)}
        more, statistics = e - len(evidence_names(classes)), _STATISTICS if len(made.units) else 0
        shapes |= {"units": (more,), "stage_mean": (statistics,), "stage_scale": (statistics,)}
        shapes |= {"stage_axes": (len(made.stage_axes), statistics)}
        for name in names:
            part = getattr(made, name)
            if part.shape != shapes.get(name, ()) or not np.isfinite(part).all():
                raise ValueError(f"{name} must be {shapes.get(name, ())} and finite")
        return made

    def evidence(
        self, of_maps: ArrayLike, statistics: ArrayLike, quantities: ArrayLike
    ) -> NDArray[np.float32]:
        """All evidence (n, E) float32, adapted to nothing: what a result keeps of its tiles.

        Parameters
        ----------
        of_maps : (n, 5 C)
            Of :func:`map_evidence`.
        statistics : (n, 2048)
            Of the network's stages; how far a tile lies off what varies in clean ones is evidence
            of what nobody drew: the logarithm of the mean square, stage by stage.
        quantities : (n, 7)
            Measured (:func:`rl2qc.images.quantities.measure_quantities`).
        """
        first = np.asarray(of_maps, np.float32)
        if not len(self.units):
            return first
        rows = np.asarray(statistics, np.float64)[:, -_STATISTICS:]
        rows = (rows - self.stage_mean) / self.stage_scale
        found, start = [], 0
        for width in _STAGES.values():
            own = slice(start, start + 2 * width)
            axes, part = self.stage_axes[:, own], rows[:, own]
            found.append(np.log(np.square(part - part @ axes.T @ axes).mean(1) + 1e-12))
            start += 2 * width
        measured = np.asarray(quantities, np.float64)[:, : len(MEASURED)] * _SIGNS
        more = np.concatenate([np.stack(found, 1), measured], 1)
        return np.concatenate([first, more.astype(np.float32)], 1)

    def scaled(self, evidence: ArrayLike) -> Floats:
        """Evidence (n, E) on the scale of :attr:`usual`: log-odds of probabilities."""
        rows = np.array(evidence, np.float64)
        count = len(evidence_names(self.classes))
        rows[..., :count] = logit(rows[..., :count])
        return rows

    def placed(self, usual: ArrayLike) -> Floats:
        """What is usual (E,) on the scale of what exceeds it: probabilities, else units."""
        rows = np.array(usual, np.float64)
        count = len(evidence_names(self.classes))
        rows[..., :count] = probability(rows[..., :count])
        rows[..., count:] /= self.units
        return rows

    def exceeding(self, evidence: ArrayLike, usual: ArrayLike | None = None) -> Floats:
        """How far evidence (n, E) exceeds the usual.

        Probabilities: 0 to 1 of what is left above it. All else: 0 to 6 units.

        Parameters
        ----------
        evidence
        usual : (E,)
            What the group of tiles usually reaches; the prior's without.
        """
        level = self.placed(self.usual if usual is None else usual)
        rows = np.array(evidence, np.float64)
        count = len(evidence_names(self.classes))
        rows[:, count:] /= self.units
        over = np.maximum(rows - level, 0)
        over[:, :count] /= 1 - level[:count]
        over[:, count:] = np.minimum(over[:, count:], _MOST_UNITS)
        return np.asarray(over)

    def scores(self, evidence: ArrayLike, usual: ArrayLike | None = None) -> Floats:
        """Log-odds (n,) of damage; higher is worse."""
        return np.asarray(self.exceeding(evidence, usual) @ self.weights + self.bias)

    def reasons(self, evidence: ArrayLike, usual: ArrayLike | None = None) -> Floats:
        """Probability (n, C) of each class, if the tile is damaged."""
        odds = self.exceeding(evidence, usual) @ self.reason_weights.T + self.reason_bias
        shares = np.exp(odds - odds.max(1, keepdims=True))
        return np.asarray(shares / shares.sum(1, keepdims=True))

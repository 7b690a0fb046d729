"""From maps of evidence to a tile's score, its laboratory's threshold, its reason, its mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from rl2qc.synthetic.teaching import CLASSES

__all__ = ["Judge", "adapted", "features", "masks", "place"]

Floats = NDArray[np.floating[Any]]
# Of a stack of tiles: "map" (n, classes, h, w) and "head" (n, classes), logits.
Tiles = dict[str, NDArray[Any]]
# Tiles that the prior weighs as much as.
PRIOR_TILES = 20
ALPHA = 0.05


def features(maps: Floats, heads: Floats) -> Floats:
    """(n, 5 classes): mean, top 5 %, top 1 % and maximum of each map, and the heads.

    Probabilities, not logits: those are unbounded and lead astray in laboratories far away.
    """
    rows = maps.astype(np.float32).reshape(*maps.shape[:2], -1)
    ordered = 1 / (1 + np.exp(-np.sort(rows, 2)[:, :, ::-1]))
    cells = ordered.shape[2]
    parts = [ordered.mean(2)]
    parts += [ordered[:, :, : max(1, round(cells * s))].mean(2) for s in (0.05, 0.01)]
    return np.concatenate([*parts, ordered[:, :, 0], 1 / (1 + np.exp(-heads))], 1)


def place(scores: Floats, prior: tuple[float, float] | None = None) -> tuple[float, float]:
    """Location and width of a laboratory's score, from the lower half of its unsorted tiles.

    Damage only raises the score, so the lower half holds clean tiles while at most half is
    damaged. Its own lower half is left out of the width: glass and fat score low and would widen
    it. Few tiles are drawn towards the prior.
    """
    quarter, third, middle = np.quantile(scores, [0.25, 0.3, 0.5])
    if prior is None:
        return float(third), float(middle - quarter)
    share = len(scores) / (len(scores) + PRIOR_TILES)
    location = share * third + (1 - share) * prior[0]
    width = max(middle - quarter, 0.3 * prior[1])
    return float(location), float(np.exp(share * np.log(width) + (1 - share) * np.log(prior[1])))


def adapted(scores: Floats, tiles: Floats, prior: tuple[float, float]) -> Floats:
    """Scores in widths from the location of the laboratory's own unsorted tiles."""
    location, width = place(tiles, prior)
    return np.asarray((scores - location) / width)


@dataclass(frozen=True)
class Judge:
    """What tells damaged tiles from clean ones, and from which values on.

    Attributes
    ----------
    damage
        Regression of clean against damaged on raw evidence.
    reason
        Regression of the class on the evidence of damaged tiles.
    mean, scale
        By which evidence is standardised.
    prior
        Location and width of a teaching laboratory's score, the median over laboratories.
    raw_limit, limit
        Scores that 95 % of clean tiles stay below: raw, and adapted to their laboratory.
    cells, usual : (classes,)
        Logits that one clean cell in a hundred exceeds in some class, and what the highest
        hundredth of a clean tile's cells exceeds in the median tile.
    """

    damage: LogisticRegression
    reason: LogisticRegression
    mean: Floats
    scale: Floats
    prior: tuple[float, float]
    raw_limit: float
    limit: float
    cells: Floats
    usual: Floats

    @classmethod
    def fit(cls, labs: dict[str, dict[str, Tiles]], C: float) -> Judge:
        """From each teaching laboratory's "clean" and "damaged" views and "plain" tiles.

        Views teach the regressions. Limits come from the plain tiles: views of one laboratory
        differ more than its tiles do.
        """
        views = [(lab["clean"], lab["damaged"]) for lab in labs.values()]
        good = np.concatenate([features(c["map"], c["head"]) for c, _ in views])
        bad = np.concatenate([features(d["map"], d["head"]) for _, d in views])
        x = np.concatenate([good, bad])
        mean, scale = x.mean(0), x.std(0) + 1e-6
        x = (x - mean) / scale
        damage = LogisticRegression(C=C, max_iter=3000).fit(x, np.arange(len(x)) >= len(good))
        kinds = np.concatenate([d["kind"] for _, d in views])
        reason = LogisticRegression(C=C, max_iter=3000, class_weight="balanced")
        reason.fit(x[len(good) :], kinds)

        plain = [lab["plain"] for lab in labs.values()]
        rows = [(features(p["map"], p["head"]) - mean) / scale for p in plain]
        scores = [damage.decision_function(f) for f in rows]
        places = np.array([place(s) for s in scores])
        prior = (float(np.median(places[:, 0])), float(np.median(places[:, 1])))
        own = np.concatenate([adapted(s, s, prior) for s in scores])
        maps = np.concatenate([p["map"] for p in plain])
        return cls(
            damage,
            reason,
            mean,
            scale,
            prior,
            float(np.quantile(np.concatenate(scores), 1 - ALPHA)),
            float(np.quantile(own, 1 - ALPHA)),
            _cell_limits(maps),
            np.median(_high(maps), 0),
        )

    def scores(self, maps: Floats, heads: Floats) -> Floats:
        """Log-odds (n,) of damage; higher is worse."""
        rows = (features(maps, heads) - self.mean) / self.scale
        return np.asarray(self.damage.decision_function(rows))

    def reasons(self, maps: Floats, heads: Floats) -> list[str]:
        """The likeliest class of each tile, if it is damaged."""
        rows = (features(maps, heads) - self.mean) / self.scale
        return [CLASSES[k] for k in self.reason.predict(rows)]

    def cell_limits(self, maps: Floats) -> Floats:
        """Limits (classes,) moved to what is usual in a laboratory's own unsorted tiles."""
        share = len(maps) / (len(maps) + PRIOR_TILES)
        return np.asarray(self.cells + share * (np.median(_high(maps), 0) - self.usual))


def masks(maps: Floats, limits: Floats) -> NDArray[np.bool_]:
    """Cells (n, h, w) whose evidence of some class exceeds the class's limit."""
    over = np.asarray(maps > limits[:, None, None].astype(np.float32))
    return np.asarray(over.any(1), np.bool_)


def _high(maps: Floats) -> Floats:
    """The logit (n, classes) that a hundredth of a tile's cells exceed."""
    rows = maps.astype(np.float32).reshape(*maps.shape[:2], -1)
    return np.asarray(np.quantile(rows, 0.99, axis=2))


def _cell_limits(maps: Floats) -> Floats:
    """One quantile for all classes, such that one clean cell in a hundred exceeds some limit."""
    cells = np.moveaxis(maps, 1, 3).reshape(-1, maps.shape[1]).astype(np.float32)
    for share in np.geomspace(0.01, 0.0005, 14):
        limits = np.quantile(cells, 1 - share, axis=0)
        if np.mean(np.any(cells > limits, 1)) <= 0.01:
            break
    return np.asarray(limits)

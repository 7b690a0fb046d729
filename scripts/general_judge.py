"""Fits the general model's prior (:mod:`rl2qc.stats.prior`) to laboratories' evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression

from rl2qc.stats.adaptation import adapt
from rl2qc.stats.prior import GeneralPrior, logit

__all__ = ["Laboratory", "Penalties", "fit_prior"]

Floats = NDArray[np.float64]
# Between laboratories nothing varies less than this: in a logarithm, in a score.
_LEAST_SCALE, _LEAST_LOCATION = 0.15, 0.35
# What a laboratory's files and scanner may be as a whole, up to this quantile of what was drawn.
_OF_WHOLES = ("out_of_focus", "noise", "compression")
_MILD = 0.4


@dataclass(frozen=True, eq=False)
class Laboratory:
    """Evidence of one laboratory's tiles.

    Attributes
    ----------
    plain : (n, E)
        Clean tiles as they are.
    clean, damaged : (m, E), (k, E)
        Views with changes that are no damage, and with damage.
    kinds : (k,) int
        Class of the damage of each.
    cells : (c, C)
        Log-odds of cells of plain tiles.
    """

    plain: Floats
    clean: Floats
    damaged: Floats
    kinds: NDArray[np.int64]
    cells: Floats


@dataclass(frozen=True)
class Penalties:
    """Inverse strength of the regressions' penalties, and deviations up to the limits."""

    damage: float = 0.2
    reason: float = 0.2
    limit: float = 4.0
    mild: float = _MILD


def fit_prior(
    labs: dict[str, Laboratory],
    classes: tuple[str, ...],
    apart: dict[str, Laboratory] | None = None,
    penalties: Penalties | None = None,
) -> GeneralPrior:
    """The prior of laboratories.

    Parameters
    ----------
    labs
        That teach the regressions.
    classes
    apart
        Laboratories judged by a network that they did not teach: location, scale, tail and limits
        come from their plain tiles where there are any, as these tell what a new laboratory is
        like.
    penalties
    """
    penalties = penalties or Penalties()
    unknown = list((apart or labs).values())
    prior = _usual(unknown, classes, penalties.limit)
    taught = [lab for lab in labs.values() if len(lab.damaged)]
    prior = _of_wholes(prior, taught, penalties.mild)
    prior = _regressions(prior, taught, penalties)
    return _tail(_cells(prior, unknown), unknown, taught)


def _usual(labs: list[Laboratory], classes: tuple[str, ...], deviations: float) -> GeneralPrior:
    """What evidence usually reaches, and its limits; all else empty."""
    found = []
    for lab in labs:
        quarter, middle = np.quantile(logit(lab.plain), [0.25, 0.5], axis=0)
        found.append(2 * middle - quarter)
    usual = np.median(found, 0)
    limit = np.mean(found, 0) + deviations * np.std(found, 0, ddof=1)
    e, c, nothing = len(usual), len(classes), np.array(0.0)
    return GeneralPrior(
        classes=classes,
        usual=usual,
        limit=np.maximum(limit, usual + 1),
        weights=np.zeros(e),
        bias=nothing,
        location=np.zeros(2),
        scale=np.ones(2),
        shape=nothing,
        width=np.array(1.0),
        reach=np.array(1.0),
        reason_weights=np.zeros((c, e)),
        reason_bias=np.zeros(c),
        cells=np.zeros(c),
        cells_usual=np.zeros(c),
    )


def _of_wholes(prior: GeneralPrior, labs: list[Laboratory], mild: float) -> GeneralPrior:
    """Higher limits for classes that a laboratory's files may have as a whole, to a mild degree."""
    rows = logit(np.concatenate([lab.damaged for lab in labs]))
    kinds = np.concatenate([lab.kinds for lab in labs])
    limit = prior.limit.copy()
    for name in _OF_WHOLES:
        number = prior.classes.index(name)
        columns = slice(number, None, len(prior.classes))
        drawn = rows[kinds == number, columns]
        if len(drawn):
            limit[columns] = np.maximum(limit[columns], np.quantile(drawn, mild, axis=0))
    return GeneralPrior.from_state(prior.state() | {"limit": limit}, prior.classes)


def _regressions(prior: GeneralPrior, labs: list[Laboratory], penalties: Penalties) -> GeneralPrior:
    """Damage on what exceeds the usual of each laboratory, which has an intercept of its own."""
    rows, wrong, home, kinds = [], [], [], []
    for number, lab in enumerate(labs):
        usual = adapt(lab.plain, prior).usual
        for part in (lab.plain, lab.clean, lab.damaged):
            rows.append(prior.exceeding(part, usual))
            wrong.append(np.full(len(part), part is lab.damaged))
            home.append(np.full(len(part), number))
        kinds.append(lab.kinds)
    x, y = np.concatenate(rows), np.concatenate(wrong)
    scale = x.std(0) + 1e-6
    homes = 2 * np.eye(len(labs))[np.concatenate(home)]
    damage = LogisticRegression(C=penalties.damage, max_iter=5000)
    damage.fit(np.concatenate([x / scale, homes], 1), y)
    reason = LogisticRegression(C=penalties.reason, max_iter=5000, class_weight="balanced")
    reason.fit(x[y] / scale, np.concatenate(kinds))
    found = dict(prior.state())
    found["weights"] = damage.coef_[0][: x.shape[1]] / scale
    found["bias"] = damage.intercept_[0] + 2 * damage.coef_[0][x.shape[1] :].mean()
    # A class that nobody drew is never a reason.
    found["reason_bias"] = np.full(len(prior.classes), -30.0)
    found["reason_bias"][reason.classes_] = reason.intercept_
    found["reason_weights"][reason.classes_] = reason.coef_ / scale
    return GeneralPrior.from_state(found, prior.classes)


def _tail(prior: GeneralPrior, labs: list[Laboratory], taught: list[Laboratory]) -> GeneralPrior:
    """Location, scale and tail of clean scores, each laboratory adapted to itself."""
    places, scales, counts, excess, below = [], [], [], [], []
    for lab in labs:
        scores = prior.scores(lab.plain, adapt(lab.plain, prior).usual)
        middle = np.median(scores)
        above = scores[scores > middle] - middle
        places.append(middle)
        scales.append(np.log(above.mean()))
        counts.append(len(above))
        excess.append(above / above.mean())
        below.append(middle - scores[scores < middle])
    noise = np.mean(1 / np.array(counts))
    spread = np.sqrt(max(np.var(scales, ddof=1) - noise, _LEAST_SCALE**2))
    reach = [
        prior.scores(lab.damaged, adapt(lab.plain, prior).usual) - np.median(places)
        for lab in taught
    ]
    found = dict(prior.state())
    found["location"] = np.array([np.median(places), max(np.std(places, ddof=1), _LEAST_LOCATION)])
    shape = _shape(np.concatenate(excess))
    # The mean of the distribution is its scale over 1 - shape.
    found["scale"] = np.array([np.exp(np.mean(scales)) * (1 - shape), spread])
    found["shape"] = np.array(shape)
    found["width"] = np.array(np.concatenate(below).mean())
    found["reach"] = np.array(np.quantile(np.concatenate(reach), 0.95))
    return GeneralPrior.from_state(found, prior.classes)


def _shape(excess: Floats) -> float:
    """Likeliest shape of generalised Pareto excesses of mean 1."""

    def minus_log_likelihood(shape: float) -> float:
        scale = 1 - shape
        inside = np.maximum(1 + shape * excess / scale, 1e-12)
        return float(len(excess) * np.log(scale) + (1 + 1 / shape) * np.log(inside).sum())

    # Bounded from below: a tail with an end would reject whatever lies beyond with certainty.
    grid = [s for s in np.linspace(-0.1, 0.4, 51) if abs(s) > 1e-9]
    best = min(grid, key=minus_log_likelihood)
    found = minimize_scalar(
        minus_log_likelihood, bounds=(max(best - 0.01, -0.1), best + 0.01), method="bounded"
    )
    return float(found.x)


def _cells(prior: GeneralPrior, labs: list[Laboratory]) -> GeneralPrior:
    """Log-odds that one clean cell in a hundred exceeds, by half of what is usual in its tiles."""
    classes = len(prior.classes)
    usual = [np.median(logit(lab.plain[:, 2 * classes : 3 * classes]), 0) for lab in labs]
    middle = np.median(usual, 0)
    moved = [lab.cells - 0.5 * (own - middle) for lab, own in zip(labs, usual, strict=True)]
    cells = np.concatenate(moved)
    limits: Any = None
    for share in np.geomspace(0.01, 0.0005, 24):
        limits = np.quantile(cells, 1 - share, axis=0)
        if np.mean(np.any(cells > limits, 1)) <= 0.01:
            break
    found = dict(prior.state())
    found["cells"], found["cells_usual"] = limits, middle
    return GeneralPrior.from_state(found, prior.classes)

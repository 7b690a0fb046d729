"""Fits the general model's prior (:mod:`rl2qc.stats.prior`) to what a network says of laboratories.

What exceeds the usual of its own laboratory is the evidence of a tile; a regression on it, with an
intercept for each laboratory, tells damaged tiles from clean ones. It is taught on tiles as they
are, clean and with drawn damage, and on views with changes that are no damage, which count less.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from general_fits import bounded_regression, pareto_shape
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from rl2qc.stats.adaptation import adapt
from rl2qc.stats.prior import GeneralPrior, evidence_names, logit

__all__ = ["Laboratory", "Penalties", "Tiles", "fit_prior", "with_tail_of"]

Floats = NDArray[np.float64]
# Between laboratories nothing varies less than this: in a logarithm, in a score.
_LEAST_SCALE, _LEAST_LOCATION = 0.15, 0.35
# What a laboratory's files and scanner may be as a whole, up to this quantile of what was drawn.
_OF_WHOLES = ("out_of_focus", "noise", "compression")
_MILD = 0.4


@dataclass(frozen=True, eq=False)
class Tiles:
    """What a network says of n tiles.

    Attributes
    ----------
    evidence : (n, E)
    kinds : (n,) int
        Class of the damage of each; empty for clean ones.
    """

    evidence: Floats
    kinds: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.evidence)


@dataclass(frozen=True, eq=False)
class Laboratory:
    """Tiles of one laboratory.

    Attributes
    ----------
    plain
        Clean, as they are.
    drawn
        The same with drawn damage.
    clean, damaged
        Views with changes that are no damage, without and with damage.
    cells : (c, C)
        Log-odds of cells of plain tiles.
    """

    plain: Tiles
    drawn: Tiles
    clean: Tiles
    damaged: Tiles
    cells: Floats


@dataclass(frozen=True)
class Penalties:
    """What the regressions were chosen by on fold 0.

    Attributes
    ----------
    damage, reason
        Inverse strength of the penalties.
    views
        How much a view counts beside a tile as it is.
    limit
        Deviations between laboratories up to the limits.
    least
        Of the weights of standardised evidence: a map may speak against damage but a little.
    lines
        How much lines alone count beside all evidence together.
    """

    damage: float = 0.2
    reason: float = 2.0
    views: float = 0.3
    limit: float = 4.0
    least: float = -0.2
    lines: float = 0.5


def fit_prior(
    labs: dict[str, Laboratory], classes: tuple[str, ...], penalties: Penalties | None = None
) -> GeneralPrior:
    """The prior of the laboratories that taught a network."""
    penalties = penalties or Penalties()
    taught = list(labs.values())
    plain = [lab.plain.evidence for lab in taught]
    prior = _usual(_empty(classes), plain, penalties.limit)
    prior = _of_wholes(prior, taught)
    prior = _regressions(prior, taught, penalties)
    prior = _cells(prior, list(zip(plain, [lab.cells for lab in taught], strict=True)))
    prior = _lines_alone(prior, [(prior, rows) for rows in plain], penalties.lines)
    reach = []
    for lab, rows in zip(taught, plain, strict=True):
        reach.append(prior.scores(lab.damaged.evidence, adapt(rows, prior).usual))
    prior = _tail(prior, [(prior, rows) for rows in plain])
    most = float(np.quantile(np.concatenate(reach), 0.95))
    return changed(prior, reach=np.array(most - prior.location[0]))


def with_tail_of(
    prior: GeneralPrior, apart: list[tuple[GeneralPrior, Floats, Floats]]
) -> GeneralPrior:
    """A prior with the tail, the limits and the cells of laboratories that a network never saw.

    Parameters
    ----------
    prior
    apart
        Of each laboratory: the prior of the network that judged it, evidence (n, E) of its clean
        tiles, and log-odds (c, C) of their cells.
    """
    limits = np.max([of.limit for of, _, _ in apart], 0)
    own = _usual(prior, [plain for _, plain, _ in apart], Penalties().limit).limit
    limit = np.maximum(np.maximum(own, prior.limit), limits)
    found = changed(prior, limit=limit)
    found = _cells(found, [(plain, cells) for _, plain, cells in apart])
    labs = [(of, plain) for of, plain, _ in apart]
    return _tail(_lines_alone(found, labs, Penalties().lines), labs)


def changed(prior: GeneralPrior, **parts: Any) -> GeneralPrior:
    return GeneralPrior.from_state(prior.state() | parts, prior.classes)


def _empty(classes: tuple[str, ...]) -> GeneralPrior:
    e, c, nothing = len(evidence_names(classes, lines=True)), len(classes), np.array(0.0)
    terms = len(evidence_names(classes)) + 1
    return GeneralPrior(
        classes=classes,
        usual=np.zeros(e),
        limit=np.zeros(e),
        weights=np.zeros(terms),
        bias=nothing,
        apart=np.zeros(4),
        location=np.zeros(2),
        scale=np.ones(2),
        shape=nothing,
        width=np.array(1.0),
        reach=np.array(1.0),
        reason_weights=np.zeros((c, terms)),
        reason_bias=np.zeros(c),
        cells=np.zeros(c),
        cells_usual=np.zeros(c),
    )


def _usual(prior: GeneralPrior, labs: list[Floats], deviations: float) -> GeneralPrior:
    """What evidence usually reaches, and its limits."""
    found = []
    for plain in labs:
        quarter, middle = np.quantile(logit(plain), [0.25, 0.5], axis=0)
        found.append(2 * middle - quarter)
    usual = np.median(found, 0)
    limit = np.mean(found, 0) + deviations * np.std(found, 0, ddof=1)
    return changed(prior, usual=usual, limit=np.maximum(limit, usual + 1))


def _of_wholes(prior: GeneralPrior, labs: list[Laboratory]) -> GeneralPrior:
    """Higher limits for what a laboratory's files may be as a whole, to a mild degree."""
    rows = logit(np.concatenate([lab.damaged.evidence for lab in labs]))
    kinds = np.concatenate([lab.damaged.kinds for lab in labs])
    limit = prior.limit.copy()
    for name in _OF_WHOLES:
        number = prior.classes.index(name)
        columns = [k for k, column in enumerate(prior.names) if column.startswith(f"{name}_")]
        drawn = rows[kinds == number][:, columns]
        if len(drawn):
            limit[columns] = np.maximum(limit[columns], np.quantile(drawn, _MILD, axis=0))
    return changed(prior, limit=limit)


def _regressions(prior: GeneralPrior, labs: list[Laboratory], penalties: Penalties) -> GeneralPrior:
    """Damage on what exceeds the usual of each laboratory, which has an intercept of its own."""
    rows, home, kinds, weight = [], [], [], []
    for number, lab in enumerate(labs):
        usual = adapt(lab.plain.evidence, prior).usual
        for tiles in (lab.plain, lab.drawn, lab.clean, lab.damaged):
            rows.append(prior.exceeding(tiles.evidence, usual))
            home.append(np.full(len(tiles), number))
            kinds.append(tiles.kinds if len(tiles.kinds) else np.full(len(tiles), -1))
            share = penalties.views if tiles in (lab.clean, lab.damaged) else 1.0
            weight.append(np.full(len(tiles), share))
    x, kind, weights = np.concatenate(rows), np.concatenate(kinds), np.concatenate(weight)
    bad = kind >= 0
    scale = x.std(0) + 1e-6
    homes = 2 * np.eye(len(labs))[np.concatenate(home)]
    bounds = [(penalties.least, np.inf)] * x.shape[1] + [(-np.inf, np.inf)] * len(labs)
    damage, intercept = bounded_regression(
        np.concatenate([x / scale, homes], 1), bad, weights, penalties.damage, bounds
    )
    # Balanced by half: wholly, rare classes are said too often, and what is foreign too rarely.
    of, counts = np.unique(kind[bad], return_counts=True)
    rare = dict(zip(of.tolist(), np.sqrt(counts.mean() / counts).tolist(), strict=True))
    reason = LogisticRegression(C=penalties.reason, max_iter=5000, class_weight=rare)
    reason.fit(x[bad] / scale, kind[bad], weights[bad])
    # A class that nobody drew is never a reason.
    bias, of_class = np.full(len(prior.classes), -30.0), np.zeros_like(prior.reason_weights)
    bias[reason.classes_], of_class[reason.classes_] = reason.intercept_, reason.coef_ / scale
    return changed(
        prior,
        weights=damage[: x.shape[1]] / scale,
        bias=np.array(intercept + 2 * damage[x.shape[1] :].mean()),
        reason_bias=bias,
        reason_weights=of_class,
    )


def _tail(prior: GeneralPrior, labs: list[tuple[GeneralPrior, Floats]]) -> GeneralPrior:
    """Location, scale and tail of clean scores, each laboratory adapted to itself.

    Each is judged by the prior of its own network.
    """
    places, scales, counts, excess, below = [], [], [], [], []
    for of, plain in labs:
        scores = of.scores(plain, adapt(plain, of).usual)
        middle = np.median(scores)
        above = scores[scores > middle] - middle
        # Intercepts and weights of two networks differ: in shares of what each one's own clean
        # tiles have.
        unit = _mean_excess(prior) / _mean_excess(of)
        places.append((middle - of.location[0]) * unit + prior.location[0])
        scales.append(np.log(above.mean() * unit))
        counts.append(len(above))
        excess.append(above / above.mean())
        below.append((middle - scores[scores < middle]) * unit)
    noise = np.mean(1 / np.array(counts))
    spread = np.sqrt(max(np.var(scales, ddof=1) - noise, _LEAST_SCALE**2))
    shape = pareto_shape(np.concatenate(excess))
    return changed(
        prior,
        location=np.array([np.median(places), max(np.std(places, ddof=1), _LEAST_LOCATION)]),
        # The mean of the distribution is its scale over 1 - shape.
        scale=np.array([np.exp(np.mean(scales)) * (1 - shape), spread]),
        shape=np.array(shape),
        width=np.array(np.concatenate(below).mean()),
    )


def _lines_alone(
    prior: GeneralPrior, labs: list[tuple[GeneralPrior, Floats]], share: float
) -> GeneralPrior:
    """Location and mean excess of clean tiles, of the score without lines alone and of these."""
    bare = [(of.together(), plain) for of, plain in labs]
    tail = _tail(prior.together(), bare)
    beyond = [of.beyond(plain, adapt(plain, of).usual) for of, plain in labs]
    middles = [np.median(found) for found in beyond]
    excess = np.concatenate([f[f > m] - m for f, m in zip(beyond, middles, strict=True)])
    if not share or not len(excess):
        return prior
    step = excess.mean()
    usually = np.median(middles) - step * np.log(share)
    apart = np.array([tail.location[0], _mean_excess(tail), usually, step])
    return changed(prior, apart=apart)


def _mean_excess(prior: GeneralPrior) -> float:
    """Above the location of clean tiles."""
    return float(prior.scale[0] / (1 - prior.shape))


def _cells(prior: GeneralPrior, labs: list[tuple[Floats, Floats]]) -> GeneralPrior:
    """Log-odds that one clean cell in a hundred exceeds, by half of what is usual in its tiles."""
    classes = len(prior.classes)
    usual = [np.median(logit(plain[:, 2 * classes : 3 * classes]), 0) for plain, _ in labs]
    middle = np.median(usual, 0)
    moved = [own - 0.5 * (high - middle) for (_, own), high in zip(labs, usual, strict=True)]
    cells = np.concatenate(moved)
    limits: Any = None
    for share in np.geomspace(0.01, 0.0005, 24):
        limits = np.quantile(cells, 1 - share, axis=0)
        if np.mean(np.any(cells > limits, 1)) <= 0.01:
            break
    return changed(prior, cells=limits, cells_usual=middle)

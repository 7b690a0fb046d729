"""Scores of a group of tiles, taken apart into clean and damaged ones."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tail", "clean_part", "pareto_beyond", "pareto_density", "prior_scales"]

Floats: TypeAlias = NDArray[np.float64]

_SHARES = np.linspace(0, 0.95, 20)
# The share of damaged tiles above the location is Beta(1, 4) a priori.
_FEW_DAMAGED = 3.0
# Scales that a tail may have, and how far they reach, in standard deviations.
_SCALES, _REACH = 25, 2.5


class Tailed(Protocol):
    """What is known of scores above the median of the clean ones: the shape of the generalised
    Pareto distribution that clean ones follow, and how far up damaged ones lie, anywhere."""

    @property
    def shape(self) -> Any: ...
    @property
    def reach(self) -> Any: ...


class Tail(NamedTuple):
    """:class:`Tailed` in two numbers."""

    shape: float
    reach: float


def prior_scales(median: float, deviation: float) -> tuple[Floats, Floats]:
    """Scales (k,) that a tail may have, and how likely each is: logarithms are normal."""
    steps = np.linspace(-_REACH, _REACH, _SCALES)
    weights = np.exp(-(steps**2) / 2)
    return median * np.exp(deviation * steps), weights / weights.sum()


def clean_part(
    scores: Floats, scales: Floats, likely: Floats, prior: Tailed
) -> tuple[float, Floats, float]:
    """Median of the clean scores, posterior of the tail's scale, share that is damaged.

    The share that is damaged says which quantile of all scores is the clean median, and the excess
    above the median says what share is damaged: a fixed point, found in a few rounds.
    """
    damaged, middle, weights = 0.0, float(np.median(scores)), likely
    before = np.log(likely + 1e-300)[:, None] + _FEW_DAMAGED * np.log(1 - _SHARES)
    for _ in range(10):
        middle = float(np.quantile(scores, 0.5 * (1 - damaged)))
        excess = scores[scores > middle] - middle
        if not len(excess):
            break
        clean = pareto_density(excess, scales[:, None], float(prior.shape))[:, None]
        both = (1 - _SHARES[:, None]) * clean + _SHARES[:, None] / float(prior.reach)
        log = np.log(both + 1e-300).sum(2) + before
        joint = np.exp(log - log.max())
        joint /= joint.sum()
        weights, share = joint.sum(1), float(joint.sum(0) @ _SHARES)
        moved, damaged = abs(share / (2 - share) - damaged), share / (2 - share)
        if moved < 1e-3:
            break
    return middle, np.asarray(weights), damaged


def pareto_density(excess: Floats, scale: Floats, shape: float) -> Floats:
    """Of the generalised Pareto distribution."""
    if abs(shape) < 1e-6:
        return np.asarray(np.exp(-excess / scale) / scale)
    inside = np.maximum(1 + shape * excess / scale, 0)
    with np.errstate(divide="ignore"):
        density = np.where(inside > 0, inside ** (-1 / shape - 1), 0)
    return np.asarray(density / scale)


def pareto_beyond(excess: Floats, scale: Floats, shape: float) -> Floats:
    """Share of the generalised Pareto distribution beyond an excess."""
    if abs(shape) < 1e-6:
        return np.asarray(np.exp(-excess / scale))
    return np.asarray(np.maximum(1 + shape * excess / scale, 0) ** (-1 / shape))

"""Fits of scripts/general_judge.py: a regression with bounds, the shape of a tail."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = ["bounded_regression", "pareto_shape"]

Floats = NDArray[np.float64]


def bounded_regression(
    x: Floats,
    y: NDArray[np.bool_],
    weights: Floats,
    inverse_penalty: float,
    bounds: list[tuple[float, float]],
) -> tuple[Floats, float]:
    """Logistic regression with squared penalty and bounds: coefficients (d,) and intercept."""
    sign = np.where(y, 1.0, -1.0)

    def loss(b: Floats) -> tuple[float, Floats]:
        odds = sign * (x @ b[:-1] + b[-1])
        slope = -weights * sign / (1 + np.exp(np.clip(odds, -500, 500)))
        value = weights @ np.logaddexp(0, -odds) + b[:-1] @ b[:-1] / 2 / inverse_penalty
        return float(value), np.append(x.T @ slope + b[:-1] / inverse_penalty, slope.sum())

    start = np.zeros(x.shape[1] + 1)
    found = minimize(
        loss,
        start,
        jac=True,
        bounds=[*bounds, (-np.inf, np.inf)],
        method="L-BFGS-B",
        options={"maxiter": 3000},
    )
    return np.asarray(found.x[:-1]), float(found.x[-1])


def pareto_shape(excess: Floats) -> float:
    """Likeliest shape, of those from -0.1 to 0.4, of generalised Pareto excesses of mean 1.

    Bounded from below: a tail that soon ends would reject with certainty whatever lies beyond.
    """

    def minus_log_likelihood(shape: float) -> float:
        scale = 1 - shape
        inside = np.maximum(1 + shape * excess / scale, 1e-12)
        return float(len(excess) * np.log(scale) + (1 + 1 / shape) * np.log(inside).sum())

    shapes = [shape for shape in np.linspace(-0.1, 0.4, 501) if abs(shape) > 1e-9]
    return float(min(shapes, key=minus_log_likelihood))

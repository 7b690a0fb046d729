"""How many distinct classes n uniform draws from s classes meet: the occupancy distribution."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, lambertw

__all__ = ["Tails", "distribution", "expected_distinct", "log_stirling2", "rarefied"]

_Floats: TypeAlias = NDArray[np.float64]
_Indices: TypeAlias = NDArray[np.intp]

# Half of the nodes of the contour integral; its error falls exponentially in their number.
_NODES = 32


def log_stirling2(n: int, k: _Indices) -> _Floats:
    r"""Logarithm of the Stirling numbers of the second kind S(n, k), for 1 <= k <= n.

    Cauchy's integral of the generating function :math:`(e^z - 1)^k / k!` on the circle through
    its saddle point, by the trapezoidal rule. It is Temme's integral, evaluated numerically
    instead of expanded, so it holds for every n and k, to the rounding of log n!.

    References
    ----------
    Temme, "Asymptotic estimates of Stirling numbers", Studies in Applied Mathematics 89, 1993:
    the saddle point solves z / (1 - e^-z) = n / k, hence z = v + W0(-v e^-v) with v = n / k.
    """
    k = np.asarray(k, dtype=np.float64)
    out = np.zeros(len(k))  # S(n, n) = 1
    inner = k < n
    k = k[inner, None]
    v = n / k
    radius = v + lambertw(-v * np.exp(-v)).real
    # n is the mean of a sum of k zero-truncated Poisson variables of this rate; the integral is
    # the probability of that mean, and its integrand narrows with their standard deviation.
    deviation = np.sqrt(n * np.maximum(1 + radius - v, 0))
    angle = np.minimum(np.pi, 14 / np.maximum(deviation, 1e-300)) * np.arange(_NODES + 1) / _NODES
    weight = np.full(_NODES + 1, 1.0)
    weight[[0, -1]] = 0.5
    z = radius * np.exp(1j * angle)
    growth = z - radius + np.log(-np.expm1(-z)) - np.log(-np.expm1(-radius))
    integrand = np.exp(k * growth - 1j * n * angle).real
    probability = angle[:, 1] * (integrand @ weight) / np.pi
    k, radius = k[:, 0], radius[:, 0]
    out[inner] = (
        gammaln(n + 1)
        - gammaln(k + 1)
        + k * (radius + np.log(-np.expm1(-radius)))
        - n * np.log(radius)
        + np.log(probability)
    )
    return out


def expected_distinct(n: int, s: float) -> float:
    """Mean number of distinct classes among n draws from s: s (1 - (1 - 1/s)^n)."""
    return float(-s * np.expm1(n * np.log1p(-1 / s))) if s > 1 else 1.0


def distribution(n: int, s: float) -> tuple[_Indices, _Floats]:
    """Every number of distinct classes that has a probability worth the name, with it."""
    centre = round(expected_distinct(n, s))
    k = _around(centre, n)
    return k, _probabilities(k, log_stirling2(n, k), n, s)


def rarefied(counts: NDArray[np.intp], size: int) -> float:
    """Expected number of distinct images in a random subset of ``size`` retrievals."""
    n = int(counts.sum())
    missing = n - counts
    possible = missing >= size  # else every subset holds the image
    log_absent = (
        gammaln(missing[possible] + 1)
        - gammaln(missing[possible] - size + 1)
        - gammaln(n + 1)
        + gammaln(n - size + 1)
    )
    return float(len(counts) - np.exp(log_absent).sum())


class Tails:
    """P(K <= k) and P(K >= k) of one n and k as functions of the number of classes s."""

    def __init__(self, n: int, k: int) -> None:
        self.n, self.k = n, k
        self._window = _around(k, n)
        self._log_stirling = log_stirling2(n, self._window)

    def at_most(self, s: float) -> float:
        return self._tails(s)[0]

    def at_least(self, s: float) -> float:
        return self._tails(s)[1]

    def _tails(self, s: float) -> tuple[float, float]:
        p = _probabilities(self._window, self._log_stirling, self.n, s)
        own = p[self._window == self.k].sum()
        # The window is centred on k, so it may miss mass on the side of the mean; the side away
        # from the mean it holds in full.
        if expected_distinct(self.n, s) > self.k:
            at_most = float(p[self._window <= self.k].sum())
            return at_most, 1 - at_most + own
        at_least = float(p[self._window >= self.k].sum())
        return 1 - at_least + own, at_least


def _around(k: int, n: int) -> _Indices:
    """Numbers of distinct classes within 12 standard deviations of ``k``.

    The variance is at most 0.112 n, whatever the number of classes.
    """
    reach = math.ceil(12 * math.sqrt(0.112 * n)) + 40
    return np.arange(max(1, k - reach), min(n, k + reach) + 1)


def _probabilities(k: _Indices, log_stirling: _Floats, n: int, s: float) -> _Floats:
    """P(K = k) = s! / (s - k)! S(n, k) / s^n; 0 where k > s."""
    possible = k <= s
    log_p = np.full(len(k), -np.inf)
    log_p[possible] = (
        gammaln(s + 1) - gammaln(s - k[possible] + 1) + log_stirling[possible] - n * math.log(s)
    )
    return np.asarray(np.exp(log_p))

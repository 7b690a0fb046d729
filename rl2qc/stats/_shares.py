"""Bounds of a share, between 0 and 1, where resamples of it hardly vary."""

from __future__ import annotations

from scipy.special import betaincinv, ndtri, stdtrit

__all__ = ["share_bounds"]


def share_bounds(
    value: float, variance: float, level: float, units: float, degrees: float
) -> tuple[float, float]:
    """Clopper-Pearson bounds of a share at its effective number of units.

    That is the number of independent images whose share would vary as much, reduced for a
    variance estimated from few units; where nothing varies, the number of units itself.

    Parameters
    ----------
    value, variance : float
        The share, and the variance of its resamples.
    level : float
    units : float
        Independent units (images, slides) behind the share.
    degrees : float
        Degrees of freedom of the variance.

    References
    ----------
    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 1934; Korn and Graubard, "Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data", Survey Methodology 1998.

    Examples
    --------
    >>> low, high = share_bounds(1.0, 0.0, 0.95, 60, 59)
    >>> round(low, 3), high
    (0.94, 1.0)
    """
    n, tail = units, (1 - level) / 2
    if 0 < value < 1 and variance > 0:
        few = float(ndtri(1 - tail) / stdtrit(degrees, 1 - tail))
        n = value * (1 - value) / variance * few**2
    k = n * value
    low = betaincinv(k, n - k + 1, tail) if value > 0 else 0.0
    high = betaincinv(k + 1, n - k, 1 - tail) if value < 1 else 1.0
    return float(low), float(high)

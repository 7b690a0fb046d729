"""Differences of a metric between two generated sets, with paired intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from rl2qc.stats._shares import share_bounds
from rl2qc.stats._units import Array, Draws, Rows, Units, drawn_as, finite
from rl2qc.stats.resampling import Method, bootstrap, subsample

__all__ = ["Difference", "paired_difference"]


@dataclass(frozen=True)
class Difference:
    """Metric of one generated set minus that of another, against the same real images.

    Parameters
    ----------
    value, low, high : float
        ``value_a - value_b`` and its interval.
    value_a, value_b : float
    level : float
    n_resamples : int
    method : {"bootstrap", "subsample"}
    by_group : bool
    warnings : tuple of str
    """

    value: float
    low: float
    high: float
    value_a: float
    value_b: float
    level: float
    n_resamples: int
    method: Method
    by_group: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def paired_difference(
    metric: Callable[[Array, Array], float],
    real: ArrayLike,
    generated: tuple[ArrayLike, ArrayLike],
    *,
    method: Method = "bootstrap",
    paired: bool = False,
    groups: Sequence[ArrayLike | None] | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    **draws: Unpack[Draws],
) -> Difference:
    r"""Interval of ``metric(real, a) - metric(real, b)``, both against the same real resample.

    Much of the noise of the real set cancels, so it is sharper than two intervals side by side.

    Parameters
    ----------
    metric : callable
        ``metric(real, generated)``, a float.
    real : array_like, rows are images
    generated : (array_like, array_like)
        The two sets, a and b.
    method : {"bootstrap", "subsample"}
        See :func:`~rl2qc.stats.resampling.bootstrap` and
        :func:`~rl2qc.stats.resampling.subsample`.
    paired : bool
        Row i of both generated sets belongs together (one seed, scene or source image): the rows
        are drawn together.
    groups : sequence of (array_like or None), optional
        Slide or patient of each image of the real set, of a and of b; paired sets share theirs,
        so there are two then.
    bounds : (float, float)
        Range of the metric. ``(0, 1)`` says that it is a share: near 0 and 1 resamples of shares
        hardly vary, so the interval then also holds the limits that follow from those of Clopper
        and Pearson, [l, u], of either share at the number of images (or groups), and from the
        correlation r of their resamples:
        :math:`a - b \pm \sqrt{d_a^2 - 2 r d_a d_b + d_b^2}` with :math:`d_a = a - l_a`,
        :math:`d_b = u_b - b` below and :math:`d_a = u_a - a`, :math:`d_b = b - l_b` above.
    n_resamples, level, seed
        As in :func:`~rl2qc.stats.resampling.bootstrap`.

    Raises
    ------
    ValueError
        As :func:`~rl2qc.stats.resampling.bootstrap`, or for paired sets of different sizes.

    References
    ----------
    Zou, "Toward using confidence intervals to compare correlations", Psychological Methods 2007
    (limits of a difference from those of its parts); Newcombe, "Interval estimation for the
    difference between independent proportions", Statistics in Medicine 1998 (for shares).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> real, near, far = (rng.normal(m, 1, size=(100, 1)) for m in (0, 1, 3))
    >>> def shift(a, b): return abs(a.mean() - b.mean())
    >>> paired_difference(shift, real, (near, far)).significant
    True
    """
    x, a, b = (np.atleast_1d(sample) for sample in (real, *generated))
    if method not in ("bootstrap", "subsample"):
        raise ValueError(f'method must be "bootstrap" or "subsample", got {method!r}')
    if paired and len(a) != len(b):
        raise ValueError(f"paired sets must have as many images, got {len(a)} and {len(b)}")
    samples = (x, np.arange(len(a))) if paired else (x, a, b)
    groups = [None] * len(samples) if groups is None else list(groups)
    if paired and len(groups) > len(samples):
        raise ValueError("paired sets share their groups: give those of the real set and of one")
    n_resamples, level, seed = drawn_as(draws)
    value_a, value_b = finite(metric(x, a)), finite(metric(x, b))

    seen: list[tuple[float, float]] = []

    def apart(r: Array, s: Array, t: Array) -> float:
        seen.append((metric(r, s), metric(r, t)))
        return seen[-1][0] - seen[-1][1]

    def together(r: Array, rows: Rows) -> float:
        return apart(r, a[rows], b[rows])

    width = bounds[1] - bounds[0]

    interval = (bootstrap if method == "bootstrap" else subsample)(
        together if paired else apart,
        *samples,
        groups=groups,
        n_resamples=n_resamples,
        level=level,
        bounds=(-width, width),
        value=value_a - value_b,
        seed=seed,
    )
    if tuple(bounds) == (0, 1) and 0 <= min(value_a, value_b) <= max(value_a, value_b) <= 1:
        units = [Units(s, g, "").effective for s, g in zip(samples, groups, strict=True)]
        limits = _of_shares(value_a, value_b, np.array(seen), level, min(units))
        interval = interval.holding(*limits)
    warnings: tuple[str, ...] = ()
    if len(a) != len(b):
        warnings = (
            f"the sets hold {len(a)} and {len(b)} images: for a metric that depends on the number"
            " of images part of the difference is due to that",
        )
    return Difference(
        interval.value,
        interval.low,
        interval.high,
        value_a,
        value_b,
        level,
        n_resamples,
        method,
        interval.by_group,
        warnings,
    )


def _of_shares(
    a: float, b: float, resampled: Array, level: float, units: float
) -> tuple[float, float]:
    """Limits of the difference of two shares from those of each and what resamples (n, 2) say."""

    def limits(share: float, values: Array) -> tuple[float, float]:
        variance = float(np.var(values))
        # Where the shares of whole slides are alike, an image counts for more than its slide.
        worth = share * (1 - share) / variance if variance > 0 else 0.0
        return share_bounds(share, 0.0, level, max(units, worth), 1)

    (low_a, high_a), (low_b, high_b) = limits(a, resampled[:, 0]), limits(b, resampled[:, 1])
    vary = np.ptp(resampled, axis=0).all()
    correlation = float(np.corrcoef(resampled.T)[0, 1]) if vary else 0.0

    def reach(of_a: float, of_b: float) -> float:
        return math.sqrt(max(of_a**2 - 2 * correlation * of_a * of_b + of_b**2, 0.0))

    return a - b - reach(a - low_a, high_b - b), a - b + reach(high_a - a, b - low_b)

"""Charts that pages draw as inline SVG: numbers, and the drawing of them.

Each is written into a template as it is, ``{{ chart }}``, and takes its colours from the style
sheet of all pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from rl2qc.core.text import number

__all__ = [
    "RANK_STEPS",
    "Bar",
    "Histogram",
    "SizeChart",
    "StackedBars",
    "histogram",
    "interval_chart",
    "size_chart",
    "stacked_bars",
]

_BINS = 32
RANK_STEPS = 20
# Extent of a drawing in its own unit; the style sheet says how large it is shown.
_WIDTH, _HEIGHT = 100, 50


@dataclass(frozen=True)
class Histogram:
    """Shares of values in equal bins, for one or two sets on one axis.

    Attributes
    ----------
    series
        Height of each bin by title, 1 for the highest bin of all. The title is the class of the
        shape, too.
    low, high
        Ends of the axis.
    mark
        Where on the axis the observed value stands, 0 to 1; None without one.
    """

    series: Mapping[str, list[float]]
    low: float
    high: float
    mark: float | None = None

    def __html__(self) -> Markup:
        """A shape for each set, the observed value as a line, the axis with its ends."""
        shapes = Markup("").join(
            Markup('<path class="{}" d="M0 {h}{}V{h}Z"/>').format(
                title,
                "".join(
                    f"V{_short(_HEIGHT * (1 - height))}h{_WIDTH / len(heights):.3f}"
                    for height in heights
                ),
                h=_HEIGHT,
            )
            for title, heights in self.series.items()
        )
        if self.mark is not None:
            shapes += Markup('<line class="mark" x1="{x}" x2="{x}" y1="0" y2="{h}"/>').format(
                x=_short(_WIDTH * self.mark), h=_HEIGHT
            )
        return _svg(shapes, "histogram") + _axis(number(self.low), number(self.high))


def histogram(
    sets: Mapping[str, ArrayLike],
    *,
    mark: float | None = None,
    bins: int = _BINS,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Histogram:
    """Bin values; those beyond the central 96 % of all are counted in the bins at the ends.

    The axis keeps within ``bounds``, what the values can be.

    Examples
    --------
    >>> histogram({"a": [0.0, 1.0, 1.0]}, bins=2).series
    {'a': [0.5, 1.0]}
    """
    values = {title: np.asarray(v, dtype=np.float64) for title, v in sets.items()}
    pooled = np.concatenate(list(values.values()))
    low, high = (float(q) for q in np.quantile(pooled, [0.02, 0.98]))
    if mark is not None:
        low, high = min(low, mark), max(high, mark)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    if mark is not None:  # room beside the line
        low, high = low - 0.02 * (high - low), high + 0.02 * (high - low)
    low, high = max(low, bounds[0]), min(high, bounds[1])
    shares = {
        title: np.histogram(np.clip(v, low, high), bins, (low, high))[0] / len(v)
        for title, v in values.items()
    }
    top = max(float(s.max()) for s in shares.values())
    return Histogram(
        {title: (s / top).tolist() for title, s in shares.items()},
        low,
        high,
        None if mark is None else (mark - low) / (high - low),
    )


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram: its ``share`` of the tiles, and what of it is ``rejected``."""

    share: float
    rejected: float


@dataclass(frozen=True)
class StackedBars:
    """Shares in equal steps of (0, 1], rejected ones below kept ones, beside a level line.

    Attributes
    ----------
    bars
        From the lowest step to the highest.
    """

    bars: tuple[Bar, ...]

    def __html__(self) -> Markup:
        """Bars, and a dashed line where all of them would end if they were level."""
        if not self.bars:
            return Markup("")
        n = len(self.bars)
        # A level histogram stands at a third at most, so that small differences stay small.
        top = max(max(bar.share for bar in self.bars), 3 / n)
        rows = Markup("").join(
            Markup('<rect class="{}" x="{}" width="8" y="{:.1f}" height="{:.1f}"/>').format(
                name, 10 * i + 1, 60 - 58 * (below + share) / top, 58 * share / top
            )
            for i, bar in enumerate(self.bars)
            for name, below, share in (
                ("out", 0.0, bar.rejected),
                ("in", bar.rejected, bar.share - bar.rejected),
            )
            if share > 0
        )
        lines = Markup('<line x1="0" x2="{w}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
            w=10 * n, y=60 - 58 / n / top
        ) + Markup('<line class="base" x1="0" x2="{w}" y1="60" y2="60"/>').format(w=10 * n)
        label = f"{n} steps of rising rank, {self.bars[0].share:.0%} in the lowest"
        return _svg(rows + lines, label, "ranks", 10 * n, 60)


def stacked_bars(ranks: ArrayLike, keep: NDArray[np.bool_], bins: int = RANK_STEPS) -> StackedBars:
    """Shares of ranks in ``bins`` equal steps of (0, 1], and of rejected ones; no bars for none.

    Parameters
    ----------
    ranks : (n,)
        p-values, say.
    keep : (n,) bool
        What was not rejected.

    Examples
    --------
    >>> stacked_bars([0.1, 0.5, 0.9, 1.0], np.array([False, True, True, True]), bins=2).bars
    (Bar(share=0.5, rejected=0.25), Bar(share=0.5, rejected=0.0))
    """
    p = np.asarray(ranks, np.float64)
    if not len(p):
        return StackedBars(())
    # Steps are closed above, as the decision is: p = alpha is rejected.
    steps = np.clip(np.ceil(p * bins - 1e-9).astype(np.int64) - 1, 0, bins - 1)
    shares = np.bincount(steps, minlength=bins) / len(p)
    rejected = np.bincount(steps[~keep], minlength=bins) / len(p)
    return StackedBars(tuple(map(Bar, shares.tolist(), rejected.tolist())))


@dataclass(frozen=True)
class SizeChart:
    """A value against the number of images, on an axis of 1/n with infinitely many at its right.

    Attributes
    ----------
    points
        (x, y) of each number of images, in the unit of the drawing.
    limit
        Where the value at infinitely many images would stand; None without one.
    low, high
        Ends of the vertical axis.
    smallest
        Images at the left end.
    """

    points: tuple[tuple[float, float], ...]
    limit: tuple[float, float] | None
    low: float
    high: float
    smallest: int

    def __html__(self) -> Markup:
        """The curve, dashed from the most images there are to the limit."""
        lines = _line("curve", self.points)
        if self.limit is not None:
            lines += _line("limit", (self.points[-1], self.limit))
        return (
            Markup('<div class="upright"><span>{}</span><span>{}</span></div>').format(
                number(self.high), number(self.low)
            )
            + _svg(lines, "against the number of images")
            + _axis(f"{self.smallest} images", "\N{INFINITY}")
        )


def size_chart(n: Sequence[int], values: Sequence[float], limit: float = math.nan) -> SizeChart:
    """Lay a value at rising numbers of images ``n`` out, and what it tends to if that is known.

    Examples
    --------
    >>> chart = size_chart([10, 20], [4.0, 2.0], limit=0.0)
    >>> chart.points, chart.limit, chart.high
    (((0.0, 3.0), (50.0, 25.0)), (100.0, 47.0), 4.0)
    """
    known = [*values, *([] if math.isnan(limit) else [limit])]
    low, high = min(known), max(known)
    spread = (high - low) or 1.0

    def at(x: float, value: float) -> tuple[float, float]:
        return round(_WIDTH * x, 2), round(_HEIGHT - 44 * (value - low) / spread - 3, 2)

    points = tuple(at(1 - n[0] / size, value) for size, value in zip(n, values, strict=True))
    return SizeChart(points, None if math.isnan(limit) else at(1.0, limit), low, high, n[0])


def interval_chart(
    steps: Sequence[float],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
) -> Markup:
    """Values at rising steps, with what lies within their intervals.

    Examples
    --------
    >>> chart = interval_chart([0, 100], [4.0, 2.0], [3.0, math.nan], [5.0, math.nan])
    >>> chart.count("polyline"), chart.count('class="between"'), "100" in chart
    (1, 1, True)
    """
    ends = [v for v in (*values, *lows, *highs) if math.isfinite(v)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    spread, first = (high - low) or 1.0, steps[0]
    reach = (steps[-1] - first) or 1

    def at(step: float, value: float) -> tuple[float, float]:
        return (
            round(_WIDTH * (step - first) / reach, 2),
            round(_HEIGHT - 44 * (value - low) / spread - 3, 2),
        )

    lines = _line("curve", [at(*p) for p in zip(steps, values, strict=True) if math.isfinite(p[1])])
    for step, value, bottom, top in zip(steps, values, lows, highs, strict=True):
        if math.isfinite(value):
            x, y = at(step, value)
            lines += Markup('<line class="curve" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(
                round(x - 0.8, 2), round(x + 0.8, 2), y=y
            )
        if math.isfinite(bottom) and math.isfinite(top):
            (x, y), (_, y_top) = at(step, bottom), at(step, top)
            lines += Markup('<line class="between" x1="{x}" x2="{x}" y1="{}" y2="{}"/>').format(
                y, y_top, x=x
            )
    return (
        Markup('<div class="upright"><span>{}</span><span>{}</span></div>').format(
            number(high), number(low)
        )
        + _svg(lines, "against the step")
        + _axis(f"step {first:g}", f"{steps[-1]:g}")
    )


def _svg(
    content: Markup, label: str, name: str = "chart", width: int = _WIDTH, height: int = _HEIGHT
) -> Markup:
    """Stretched to whatever place the style sheet gives it."""
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>'
    ).format(name, width, height, label, content)


def _axis(left: str, right: str) -> Markup:
    return Markup('<div class="axis"><span>{}</span><span>{}</span></div>').format(left, right)


def _line(name: str, points: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<polyline class="{}" points="{}"/>').format(
        name, " ".join(f"{x},{y}" for x, y in points)
    )


def _short(value: float) -> float:
    return round(value, 2)

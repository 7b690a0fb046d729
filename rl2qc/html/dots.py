"""Values with their intervals, a line each on one axis, as pages draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from rl2qc.core.text import number

__all__ = ["Dot", "dot_chart"]


class Dot(NamedTuple):
    """One value.

    Attributes
    ----------
    name
    value, low, high
        NaN where there is none.
    mark
        What stands behind the value, such as "best" or "*".
    """

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    mark: str = ""


def dot_chart(dots: Sequence[Dot]) -> Markup:
    """Each value as a dot on its interval, beside its name; all on one axis, its ends below.

    Examples
    --------
    >>> chart = dot_chart([Dot("a", 1.0, 0.5, 2.0), Dot("b", 3.0, mark="best")])
    >>> chart.count('class="between"'), chart.count('class="dot"'), "3 best" in chart.striptags()
    (1, 2, True)
    """
    ends = [v for dot in dots for v in dot[1:4] if math.isfinite(v)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    reach = (high - low) or 1.0

    def at(value: float) -> float:
        return round(2 + 96 * (value - low) / reach, 2)

    rows = Markup("")
    for dot in dots:
        drawn = Markup("")
        if math.isfinite(dot.low) and math.isfinite(dot.high):
            drawn += Markup('<line class="between" x1="{}" x2="{}" y1="5" y2="5"/>').format(
                at(dot.low), at(dot.high)
            )
        if math.isfinite(dot.value):
            drawn += Markup('<line class="dot" x1="{x}" x2="{x}" y1="1" y2="9"/>').format(
                x=at(dot.value)
            )
        rows += Markup(
            '<span class="name">{}</span><svg viewBox="0 0 100 10" preserveAspectRatio="none" '
            'role="img" aria-label="{}">{}</svg><span class="value">{}{}</span>'
        ).format(dot.name, _read(dot), drawn, number(dot.value), f" {dot.mark}" if dot.mark else "")
    axis = Markup('<span></span><span class="axis"><span>{}</span><span>{}</span></span>').format(
        number(low), number(high)
    )
    return Markup('<div class="dots">{}{}<span></span></div>').format(rows, axis)


def _read(dot: Dot) -> str:
    if math.isnan(dot.low):
        return f"{dot.name}: {number(dot.value)}"
    return f"{dot.name}: {number(dot.value)}, {number(dot.low)} to {number(dot.high)}"

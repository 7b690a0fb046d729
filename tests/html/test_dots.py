"""Values on one axis, a line each."""

from __future__ import annotations

import math
import re

import pytest

from rl2qc.html.dots import Dot, dot_chart


def places(chart):
    return [float(x) for x in re.findall(r'class="dot" x1="([\d.]+)"', chart)]


def test_places_are_linear_between_the_ends():
    chart = dot_chart([Dot("a", 2.0, 0.0, 4.0), Dot("b", 10.0, 8.0, 20.0)])
    assert places(chart) == pytest.approx([2 + 96 * 2 / 20, 2 + 96 * 10 / 20])
    ends = re.findall(r'class="between" x1="([\d.]+)" x2="([\d.]+)"', chart)
    assert [tuple(map(float, e)) for e in ends] == [(2.0, 21.2), (40.4, 98.0)]
    assert 'aria-label="a: 2, 0 to 4"' in chart


def test_what_is_not_there_is_not_drawn():
    chart = dot_chart([Dot("a", math.nan), Dot("b", 1.0)])
    assert len(places(chart)) == 1 and "between" not in chart
    assert dot_chart([]).count("<svg") == 0


def test_names_are_text():
    assert "<b>" not in dot_chart([Dot("<b>", 1.0, mark="<i>")])

"""Charts: the numbers that they draw, and that the drawing shows them."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from rl2qc.html.charts import StackedBars, histogram, size_chart, stacked_bars


def svg(chart) -> ElementTree.Element:
    return ElementTree.fromstring(re.search("<svg.*</svg>", chart.__html__()).group())


def test_a_histogram_counts_every_value():
    values = np.concatenate([np.random.default_rng(0).normal(size=1000), [1e6]])
    found = histogram({"a": values, "b": values[:10]}, bins=8)
    a, b = (np.array(found.series[n]) for n in "ab")
    assert max(a.max(), b.max()) == 1
    # Both are shares on one scale.
    assert a.sum() == pytest.approx(b.sum())
    assert found.high < 10


def test_a_mark_lies_on_the_axis():
    found = histogram({"a": [1.0, 1.0, 1.0]}, mark=3.0)
    assert 0.9 < found.mark < 1
    flat = histogram({"a": [2.0]}, mark=2.0)
    assert flat.mark == pytest.approx(0.5)


@pytest.mark.parametrize("mark", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("value", [0.0, 0.02, 1.0])
def test_the_axis_of_a_share_keeps_within_0_and_1(value, mark):
    found = histogram({"real": [value] * 9}, mark=mark, bounds=(0, 1))
    assert 0 <= found.low < found.high <= 1
    assert found.low <= mark <= found.high and 0 <= found.mark <= 1


def test_a_histogram_is_drawn_as_it_is():
    chart = histogram({"real": [0.0, 1.0, 1.0], "<b>": [0.0]}, mark=0.5, bins=2)
    drawn = svg(chart)
    paths = drawn.findall("path")
    assert [path.get("class") for path in paths] == ["real", "<b>"]
    # 50 units high, from above: a third and two thirds of "real", all of the other in one bin.
    heights = [50 - float(y) for y in re.findall(r"V([\d.]+)h", paths[0].get("d"))]
    assert heights == pytest.approx([100 / 6, 100 / 3], abs=0.01)
    assert float(drawn.find("line").get("x1")) == pytest.approx(100 * chart.mark, abs=0.01)


@pytest.mark.parametrize("n", [1, 10, 1000])
@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.1])
def test_stacked_bars_count(n, alpha, rng):
    p = rng.uniform(size=n)
    bars = stacked_bars(p, p > alpha).bars
    expected = np.histogram(p, bins=20, range=(0, 1))[0] / n
    np.testing.assert_allclose([bar.share for bar in bars], expected)
    rejected = np.histogram(p[p <= alpha], bins=20, range=(0, 1))[0] / n
    np.testing.assert_allclose([bar.rejected for bar in bars], rejected)


def test_stacked_bars_at_the_edges():
    p = np.array([0.0, 0.05, 0.05, 1.0])
    bars = stacked_bars(p, p > 0.05).bars
    assert (bars[0].share, bars[1].share, bars[-1].share) == (0.75, 0.0, 0.25)
    assert (bars[0].rejected, bars[1].rejected, bars[-1].rejected) == (0.75, 0.0, 0.0)
    assert stacked_bars([], np.empty(0, np.bool_)) == StackedBars(())
    assert StackedBars(()).__html__() == ""


def test_stacked_bars_are_drawn_as_they_are(rng):
    p = rng.uniform(size=400) ** 2
    chart = stacked_bars(p, p > 0.1)
    rows = svg(chart).findall("rect")
    area = {
        name: sum(float(r.get("height")) for r in rows if r.get("class") == name)
        for name in ("in", "out")
    }
    assert area["out"] / sum(area.values()) == pytest.approx((p <= 0.1).mean(), abs=0.01)
    level, base = svg(chart).findall("line")
    top = float(base.get("y1")) - float(level.get("y1"))
    assert 20 * top == pytest.approx(sum(area.values()), rel=0.02)


def test_values_against_the_number_of_images():
    chart = size_chart([10, 20, 40], [4.0, 3.0, 2.5], limit=2.0)
    drawn = svg(chart)
    curve, limit = (line.get("points").split() for line in drawn.findall("polyline"))
    x = [float(point.split(",")[0]) for point in curve]
    # It rises to the right, where infinitely many images stand.
    assert x == [0, 50, 75]
    assert limit[0] == curve[-1]
    assert limit[1].startswith("100")
    drawn = chart.__html__()
    assert all(text in drawn for text in (">10 images<", ">4<", ">2<"))
    y = [float(point.split(",")[1]) for point in (*curve, limit[1])]
    assert np.diff(y) / y[-1] == pytest.approx(44 * np.array([1, 0.5, 0.5]) / 2 / y[-1], abs=1e-3)
    assert (chart.low, chart.high) == (2, 4)


def test_no_limit_and_no_change():
    chart = size_chart([10, 20], [1.0, 1.0], limit=math.nan)
    assert chart.limit is None
    assert len(svg(chart).findall("polyline")) == 1
